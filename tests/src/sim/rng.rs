//! [`Rng`]: seeded streams of numbers, one for each concern.

use std::time::Duration;

/// A stream of numbers: splitmix64. A stream is named by its concern and an index, so that one more
/// draw in one of them shifts no other.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream of a concern in the world of a seed.
    pub(crate) fn stream(seed: u64, concern: &str, index: u64) -> Self {
        let mut state = mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
        for byte in concern.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        Self(mix(state ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93)))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Below `bound`; 0 if that is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// Whether something of so many in a thousand happens.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = usize::try_from(self.below(of.len() as u64)).ok()?;
        of.get(at)
    }
}

/// The finaliser of splitmix64.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, concern, index| {
            let mut rng = Rng::stream(seed, concern, index);
            [rng.next(), rng.next()]
        };
        assert_eq!(draw(1, "faults", 0), draw(1, "faults", 0));
        assert_ne!(draw(1, "faults", 0), draw(2, "faults", 0));
        assert_ne!(draw(1, "faults", 0), draw(1, "faults", 1));
        assert_ne!(draw(1, "faults", 0), draw(1, "reads", 0));
    }
}
