//! [`Backoff`]: how long to wait before the same call again.

use std::time::Duration;

/// Exponential waits with jitter from a seed. The wait before attempt *n* lies between half and the
/// whole of `min * 2^n`, and never above `max`.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    state: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        // A wait of nothing would be a hot loop.
        let min = min.max(Duration::from_millis(1));
        Self {
            min,
            max: max.max(min),
            state: seed,
        }
    }

    /// The wait after `failures` failures in a row (1 for the first).
    pub(crate) fn delay(&mut self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let whole = self
            .min
            .checked_mul(1_u32 << doublings)
            .map_or(self.max, |wait| wait.min(self.max));
        let half = whole / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let jitter = self.draw() % nanos.saturating_add(1).max(1);
        half + Duration::from_nanos(jitter)
    }

    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }
}

/// The finalizer of splitmix64: neighbouring numbers become unlike ones, no two the same.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum_and_stay_within_half() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(30));
        let mut backoff = Backoff::new(min, max, 7);
        for failures in 1..80 {
            let whole = (min * 2_u32.pow(failures.min(20) - 1)).min(max);
            let wait = backoff.delay(failures);
            assert!(
                wait >= whole / 2 && wait <= whole,
                "attempt {failures}: {wait:?}"
            );
        }
    }

    #[test]
    fn the_same_seed_waits_alike_and_another_does_not() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(9), seed);
            (1..9).map(|n| backoff.delay(n)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn zero_and_reversed_bounds_never_spin() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO, 0);
        assert!(backoff.delay(1) >= Duration::from_micros(500));
        let mut reversed = Backoff::new(Duration::from_secs(2), Duration::from_secs(1), 0);
        assert!(reversed.delay(1) >= Duration::from_secs(1));
    }
}
