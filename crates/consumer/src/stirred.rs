//! [`Stirred`]: when something about a grain last changed, for the count of those that are stalled.

use gleaner_actor::Moment;

#[cfg(feature = "metrics")]
use crate::sync::AtomicU32;
#[cfg(feature = "metrics")]
use std::sync::atomic::Ordering;

/// When a grain's cursor, its health or its being in step changed last. Four bytes that its cell has to
/// spare, written by the driver alone; nothing at all without the feature `metrics`.
///
/// In ticks of 2^24 ns, 17 ms, that wrap around after more than two years: what has not changed for
/// longer looks younger than it is.
#[derive(Debug)]
pub(crate) struct Stirred {
    #[cfg(feature = "metrics")]
    tick: AtomicU32,
}

impl Stirred {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            tick: AtomicU32::new(0),
        }
    }
}

#[cfg(not(feature = "metrics"))]
impl Stirred {
    #[expect(clippy::unused_self, reason = "it is something with the feature")]
    pub(crate) fn note(&self, _: Moment) {}
}

#[cfg(feature = "metrics")]
impl Stirred {
    pub(crate) fn note(&self, now: Moment) {
        self.tick.store(tick(now), Ordering::Relaxed);
    }

    /// For how long nothing changed, in whole ticks.
    pub(crate) fn still_for(&self, now: Moment) -> std::time::Duration {
        let ticks = tick(now).wrapping_sub(self.tick.load(Ordering::Relaxed));
        // Noted since `now` was read.
        let ticks = if ticks > u32::MAX - 64 { 0 } else { ticks };
        std::time::Duration::from_nanos(u64::from(ticks) << TICK)
    }
}

#[cfg(feature = "metrics")]
const TICK: u32 = 24;

#[cfg(feature = "metrics")]
fn tick(now: Moment) -> u32 {
    u32::try_from(now.as_nanos() >> TICK & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(all(test, feature = "metrics", not(gleaner_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_is_counted_in_whole_ticks_and_wraps() {
        let stirred = Stirred::new();
        let at = |ticks: u64| Moment::from_nanos(ticks << TICK);
        for begin in [0, 1, u64::from(u32::MAX) - 1, 1 << 33] {
            stirred.note(at(begin));
            assert_eq!(stirred.still_for(at(begin)), Duration::ZERO);
            assert_eq!(
                stirred.still_for(at(begin + 60)),
                Duration::from_nanos(60 << TICK)
            );
        }
        stirred.note(at(70));
        assert_eq!(stirred.still_for(at(69)), Duration::ZERO);
    }
}
