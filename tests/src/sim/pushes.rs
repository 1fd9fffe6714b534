//! [`Outbox`] and [`Inbox`]: what the log sends unasked, and all that can go wrong on the way.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use gleaner::memory::MemoryLog;
use gleaner::{Budget, Cursor, Digest, Entry, Filter, GrainId, Identity, Pushed, PushedRun};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::rng::Rng;
use super::wire::Reads;
use super::world::World;

/// How many sendings a log holds for one listener who is slow to ask; the oldest is dropped.
const HELD: usize = 8;

/// The log's side: sends what was appended to everybody who listens, in a world where it does.
pub(crate) struct Outbox {
    world: Arc<World>,
    listeners: Mutex<Vec<Weak<Inbox>>>,
    fates: Mutex<Rng>,
    /// What was appended since the copy last caught up.
    behind: Mutex<BTreeMap<GrainId, Vec<(Cursor, Digest)>>>,
}

/// A process's side: what was sent to it and not yet asked for, by the filters of its listeners.
pub(crate) struct Inbox {
    /// Whether it hears of what the copy has, and not of what the log has.
    lags: bool,
    boxes: Mutex<Vec<(Filter, VecDeque<Pushed>)>>,
    came: Notify,
}

/// What happens to one sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Plain,
    Lost,
    /// So much later, perhaps behind others.
    Late(Duration),
    /// Now, and once more later.
    Twice(Duration),
    /// Without the first entry of a run, or one within it.
    Torn,
}

impl Outbox {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let fates = Mutex::new(Rng::stream(world.shape.seed, "pushes", 1));
        Self {
            world,
            listeners: Mutex::default(),
            fates,
            behind: Mutex::default(),
        }
    }

    pub(crate) fn open(&self, lags: bool) -> Arc<Inbox> {
        let inbox = Arc::new(Inbox {
            lags,
            boxes: Mutex::default(),
            came: Notify::new(),
        });
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(&inbox));
        inbox
    }

    /// These have just been appended.
    pub(crate) fn appended(&self, log: &MemoryLog, entries: Vec<Entry>) {
        if entries.is_empty() || !self.world.shape.pushes {
            return;
        }
        if !self.world.shape.confirms {
            let mut behind = self.behind.lock();
            for entry in &entries {
                let of_grain = behind.entry(entry.grain().clone()).or_default();
                of_grain.push((entry.cursor(), entry.digest()));
            }
        }
        if let Ok(identity) = log.name() {
            self.send(false, &identity, &runs(entries));
        }
    }

    /// The copy has caught up: it has what was appended meanwhile, unless that was lost.
    pub(crate) fn copied(&self, copy: &MemoryLog) {
        let behind = std::mem::take(&mut *self.behind.lock());
        let mut entries = Vec::new();
        for (grain, new) in behind {
            let held = copy.read(&grain, Cursor::ZERO, Budget::UNBOUNDED);
            let held = held.map(|page| page.entries).unwrap_or_default();
            let is_new = |entry: &Entry| new.contains(&(entry.cursor(), entry.digest()));
            entries.extend(held.into_iter().filter(is_new));
        }
        if let Ok(identity) = copy.name()
            && !entries.is_empty()
        {
            self.send(true, &identity, &runs(entries));
        }
    }

    fn send(&self, lagging: bool, identity: &Identity, runs: &[PushedRun]) {
        let listeners: Vec<_> = {
            let known = self.listeners.lock();
            known.iter().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            if listener.lags != lagging {
                continue;
            }
            let mut pushed = Pushed {
                identity: identity.clone(),
                runs: runs.to_vec(),
            };
            match self.fate() {
                Fate::Plain => listener.put(&pushed),
                Fate::Lost => {}
                Fate::Late(time) => later(&listener, time, pushed),
                Fate::Twice(time) => {
                    listener.put(&pushed);
                    later(&listener, time, pushed);
                }
                Fate::Torn => {
                    for run in &mut pushed.runs {
                        if run.entries.len() > 1 {
                            run.entries.remove(run.entries.len() / 2 - 1);
                        }
                    }
                    listener.put(&pushed);
                }
            }
        }
    }

    /// Draws what happens, as often for each sending, whatever comes of it.
    fn fate(&self) -> Fate {
        let (kind, time) = {
            let mut rng = self.fates.lock();
            (rng.below(100), rng.millis(1, 2_000))
        };
        let fate = match kind {
            0..=14 => Fate::Lost,
            15..=24 => Fate::Twice(time),
            25..=44 => Fate::Late(time),
            // Enough that it is behind the next.
            45..=54 => Fate::Late(time / 20),
            55..=64 => Fate::Torn,
            _ => Fate::Plain,
        };
        let faulty = fate != Fate::Plain
            && self.world.shape.faults > 0
            && self.world.fault(|| format!("push: {fate:?}"));
        if faulty { fate } else { Fate::Plain }
    }
}

fn later(inbox: &Arc<Inbox>, time: Duration, pushed: Pushed) {
    let inbox = Arc::downgrade(inbox);
    tokio::spawn(async move {
        sleep(time).await;
        if let Some(inbox) = inbox.upgrade() {
            inbox.put(&pushed);
        }
    });
}

/// One run a grain, in the order of the entries.
fn runs(entries: Vec<Entry>) -> Vec<PushedRun> {
    let mut runs: BTreeMap<GrainId, Vec<Entry>> = BTreeMap::new();
    for entry in entries {
        let run = runs.entry(entry.grain().clone()).or_default();
        run.push(entry);
    }
    let run = |(grain, entries)| PushedRun { grain, entries };
    runs.into_iter().map(run).collect()
}

impl Inbox {
    fn put(&self, pushed: &Pushed) {
        for (filter, held) in &mut *self.boxes.lock() {
            let concerns = |run: &&PushedRun| filter.includes(&run.grain);
            let runs: Vec<_> = pushed.runs.iter().filter(concerns).cloned().collect();
            if runs.is_empty() {
                continue;
            }
            if held.len() == HELD {
                held.pop_front();
            }
            let identity = pushed.identity.clone();
            held.push_back(Pushed { identity, runs });
        }
        self.came.notify_waiters();
    }

    /// The next for grains of a filter. What was sent before it was first asked for is gone.
    pub(crate) async fn next(&self, filter: &Filter) -> Pushed {
        loop {
            let mut came = pin!(self.came.notified());
            came.as_mut().enable();
            if let Some(pushed) = self.take(filter) {
                return pushed;
            }
            came.await;
        }
    }

    fn take(&self, filter: &Filter) -> Option<Pushed> {
        let mut boxes = self.boxes.lock();
        if let Some((_, held)) = boxes.iter_mut().find(|(known, _)| known == filter) {
            return held.pop_front();
        }
        boxes.push((filter.clone(), VecDeque::new()));
        None
    }
}
