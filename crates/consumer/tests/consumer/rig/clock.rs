//! [`RigClock`]: tokio's paused time, and a wall clock that may leap.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gleaner_actor::Moment;
use gleaner_consumer::{Clock, Reading};
use tokio::time::Instant;

/// Where the wall clock stands at the start: far from zero, so that it can be set back.
const WALL: Duration = Duration::from_secs(1_000_000);

pub(crate) struct RigClock {
    start: Instant,
    /// Milliseconds that the wall clock is ahead of the monotonic one.
    leap: AtomicI64,
}

impl RigClock {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            leap: AtomicI64::new(0),
        }
    }

    /// The machine sleeps: the wall clock goes on, the monotonic one stands.
    pub(crate) fn suspend(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.leap.fetch_add(millis, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock back.
    pub(crate) fn set_back(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.leap.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Clock for RigClock {
    fn read(&self) -> Reading {
        let elapsed = self.start.elapsed();
        let leap = self.leap.load(Ordering::SeqCst);
        let leapt = Duration::from_millis(leap.unsigned_abs());
        let wall = if leap < 0 {
            (WALL + elapsed).saturating_sub(leapt)
        } else {
            WALL + elapsed + leapt
        };
        Reading {
            monotonic: Moment::after_start(elapsed),
            wall: Moment::after_start(wall),
        }
    }
}
