//! [`Process`]: a process of the world, which may be held up, suspended or killed; and its clocks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gleaner::{Clock, Reading};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use super::rng::Rng;

/// One incarnation of a process. What it calls goes through its gate.
pub(crate) struct Process {
    pub(crate) name: String,
    dead: AtomicBool,
    held_until: Mutex<Instant>,
    /// What goes wrong with its calls.
    pub(crate) faults: Mutex<Rng>,
}

impl Process {
    pub(crate) fn new(name: String, faults: Rng) -> Self {
        Self {
            name,
            dead: AtomicBool::new(false),
            held_until: Mutex::new(Instant::now()),
            faults: Mutex::new(faults),
        }
    }

    /// It gets no turn before then.
    pub(crate) fn hold(&self, time: Duration) {
        let mut held = self.held_until.lock();
        *held = (*held).max(Instant::now() + time);
    }

    pub(crate) fn is_held(&self) -> bool {
        *self.held_until.lock() > Instant::now()
    }

    /// It gets no turn any more. What it has sent may still arrive.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Returns when it gets a turn.
    pub(crate) async fn turn(&self) {
        loop {
            if self.dead.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let until = *self.held_until.lock();
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// The two clocks of a machine: the monotonic one stands still while it is suspended, the wall clock
/// may be set back.
pub(crate) struct Clocks {
    start: Instant,
    state: Mutex<Wrong>,
}

#[derive(Default)]
struct Wrong {
    /// For how long the machine was suspended, and is until.
    suspended: Duration,
    until: Option<(Instant, Instant)>,
    set_back: Duration,
}

/// Where wall clocks begin: far from zero, so that one can be set back.
const WALL: Duration = Duration::from_secs(1_700_000_000);

impl Clocks {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            state: Mutex::default(),
        }
    }

    /// The machine is suspended for so long.
    pub(crate) fn suspend(&self, time: Duration) {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.settle(now);
        if state.until.is_none() {
            state.until = Some((now, now + time));
        }
    }

    /// Somebody sets the wall clock back.
    pub(crate) fn set_back(&self, by: Duration) {
        self.state.lock().set_back += by;
    }
}

impl Wrong {
    /// A suspension that has ended is one of the past.
    fn settle(&mut self, now: Instant) {
        if let Some((from, until)) = self.until
            && until <= now
        {
            self.suspended += until - from;
            self.until = None;
        }
    }
}

impl Clock for Clocks {
    fn read(&self) -> Reading {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.settle(now);
        let still = state.until.map_or(Duration::ZERO, |(from, _)| now - from);
        let elapsed = now - self.start;
        let monotonic = elapsed.saturating_sub(state.suspended + still);
        let wall = (WALL + elapsed).saturating_sub(state.set_back);
        Reading {
            monotonic: moment(monotonic),
            wall: moment(wall),
        }
    }
}

fn moment(since: Duration) -> gleaner::Moment {
    gleaner::Moment::after_start(since)
}
