//! [`Bell`] and [`Watcher`]: how those who wait for the feed learn that something has moved.
//!
//! This process's commits ring the bell themselves. Those of other processes are seen by one thread,
//! which looks at the file only while somebody waits.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gleaner_core::{Identity, Position, Result};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use crate::error::BACKEND;
use crate::place::{Link, Place, Role};
use crate::rows;

/// The pause between two looks, by how many have found nothing: 1 ms for the 50 ms after something
/// has moved, since more is likely to follow; 5 ms for the next second; then 20 ms. A look costs a few
/// microseconds, waking up for it up to 40 on a virtual machine: 0.2 % of a core when nothing moves.
fn pause(still: u32) -> Duration {
    Duration::from_millis(match still {
        0..50 => 1,
        50..250 => 5,
        _ => 20,
    })
}

/// Each so many looks it is asked whether the path still leads to the same file.
const STAT_EVERY: u32 = 8;

/// The feed's counter as far as it is known in this process, and under which identity.
#[derive(Debug)]
pub(crate) struct Bell {
    seen: watch::Sender<Option<(Identity, u64)>>,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self {
            seen: watch::Sender::new(None),
        }
    }

    /// Says that the counter stands at `pos`; wakes those who wait if it did not before.
    pub(crate) fn ring(&self, identity: Identity, pos: u64) {
        self.seen.send_if_modified(|seen| match seen {
            Some((known, at)) if *known == identity && *at >= pos => false,
            _ => {
                *seen = Some((identity, pos));
                true
            }
        });
    }

    /// Returns when something is known to lie after `since`, or `since` is of another log.
    pub(crate) async fn passed(&self, since: &Position) {
        let mut seen = self.seen.subscribe();
        let passed = seen.wait_for(|seen| {
            seen.as_ref().is_some_and(|(identity, pos)| {
                since
                    .counters(identity, since.filter(), BACKEND)
                    .map_or(true, |counters| counters.iter().all(|at| at < pos))
            })
        });
        // It fails only when the sender is gone, and this is the sender.
        drop(passed.await);
    }
}

/// The thread that looks for other processes' commits.
///
/// # Concurrency
/// `state` is all that is shared: how many wait, and whether to end. The thread looks
/// unconditionally when the first waiter comes, taking `data_version` before the counter: a commit
/// before that look is in the counter, one after it changes `data_version` for the next look. So
/// whatever lies after a waiter's position rings the bell within a pause.
pub(crate) struct Watcher {
    place: Arc<Place>,
    bell: Arc<Bell>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: usize,
    running: bool,
    ending: bool,
}

/// Somebody who waits; the thread rests when the last is dropped.
#[must_use]
pub(crate) struct Waiter {
    shared: Arc<Shared>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.waiting = state.waiting.saturating_sub(1);
    }
}

impl Watcher {
    pub(crate) fn new(place: Arc<Place>, bell: Arc<Bell>) -> Self {
        Self {
            place,
            bell,
            shared: Arc::default(),
        }
    }

    /// Has the file watched for as long as the waiter lives.
    pub(crate) fn join(&self) -> Waiter {
        let mut state = self.shared.state.lock();
        state.waiting += 1;
        if !state.running {
            let eye = Eye {
                place: Arc::clone(&self.place),
                bell: Arc::clone(&self.bell),
                link: None,
                version: None,
                looks: 0,
            };
            let shared = Arc::clone(&self.shared);
            // Without a thread, waiters still hear this process and wait out their time otherwise.
            state.running = thread::Builder::new()
                .name("gleaner-sqlite-watcher".to_owned())
                .spawn(move || watch_file(&shared, eye))
                .is_ok();
        } else if state.waiting == 1 {
            self.shared.changed.notify_one();
        }
        drop(state);
        Waiter {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.state.lock().ending = true;
        self.shared.changed.notify_one();
    }
}

fn watch_file(shared: &Shared, mut eye: Eye) {
    let mut still = 0_u32;
    loop {
        let mut state = shared.state.lock();
        if state.waiting == 0 && !state.ending {
            eye.version = None;
            while state.waiting == 0 && !state.ending {
                shared.changed.wait(&mut state);
            }
        }
        if state.ending {
            return;
        }
        drop(state);
        still = match eye.look() {
            Ok(true) => 0,
            Ok(false) => still.saturating_add(1),
            Err(_) => still.saturating_add(1).max(50),
        };
        thread::sleep(pause(still));
    }
}

/// What the thread looks with.
struct Eye {
    place: Arc<Place>,
    bell: Arc<Bell>,
    link: Option<Link>,
    /// Of the last look; none if the next is to be unconditional.
    version: Option<i64>,
    looks: u32,
}

impl Eye {
    /// Whether anything has changed.
    fn look(&mut self) -> Result<bool> {
        self.looks = self.looks.wrapping_add(1);
        let ask = self.version.is_none() || self.looks.is_multiple_of(STAT_EVERY);
        let link = match self.link.take() {
            Some(link) if !ask || self.place.is_current(link.file)? => link,
            _ => {
                self.version = None;
                self.place.connect(Role::Read)?
            }
        };
        let found = self.place.retry(|| {
            let mut data_version = link.conn.prepare_cached("PRAGMA data_version")?;
            let version: i64 = data_version.query_row((), |row| row.get(0))?;
            if self.version == Some(version) {
                return Ok(None);
            }
            Ok(Some((version, rows::read_meta(&link.conn, link.file)?)))
        })?;
        self.link = Some(link);
        let Some((version, (identity, pos))) = found else {
            return Ok(false);
        };
        self.version = Some(version);
        self.bell.ring(identity, pos);
        Ok(true)
    }
}
