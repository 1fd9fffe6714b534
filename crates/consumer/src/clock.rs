//! [`Clock`]: what ages are counted on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gleaner_actor::Moment;
use tokio::time::Instant;

/// Both clocks of this machine at one moment. Clocks of two machines are never compared (C1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Monotonic, since the follower's start. Stands still while the machine is suspended.
    pub monotonic: Moment,
    /// Wall time, since 1970. Goes on while the machine is suspended, and may be set.
    pub wall: Moment,
}

impl Reading {
    /// How much time has passed since `earlier`: the larger of what the two clocks say (C5). A
    /// suspended machine is seen by the wall clock, a wall clock set back by the monotonic one.
    pub fn since(self, earlier: Self) -> Duration {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::MonotonicClockAlone.is_planted() {
            return self.monotonic.since(earlier.monotonic);
        }
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::WallClockAlone.is_planted() {
            return self.wall.since(earlier.wall);
        }
        self.monotonic
            .since(earlier.monotonic)
            .max(self.wall.since(earlier.wall))
    }

    /// The reading `age` earlier.
    #[must_use]
    pub(crate) fn minus(self, age: Duration) -> Self {
        Self {
            monotonic: self.monotonic.minus(age),
            wall: self.wall.minus(age),
        }
    }
}

/// Reads the clocks. Give a follower your own to test what depends on suspension or a set clock.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks now.
    fn read(&self) -> Reading;
}

/// The machine's clocks: `tokio::time`'s monotonic one, so that paused-time tests work, and the
/// system's wall clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            start: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Reading {
            monotonic: Moment::after_start(self.start.elapsed()),
            wall: Moment::after_start(wall),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(monotonic: u64, wall: u64) -> Reading {
        let at = |secs| Moment::after_start(Duration::from_secs(secs));
        Reading {
            monotonic: at(monotonic),
            wall: at(wall),
        }
    }

    #[test]
    fn c5_the_larger_of_both_clocks_counts() {
        // Suspended for an hour: only the wall clock knows.
        assert_eq!(
            reading(11, 4600).since(reading(10, 1000)),
            Duration::from_secs(3600)
        );
        // The wall clock was set back: only the monotonic one knows.
        assert_eq!(
            reading(15, 900).since(reading(10, 1000)),
            Duration::from_secs(5)
        );
    }
}
