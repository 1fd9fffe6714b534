//! [`Draw`]: cheap random numbers, the same on both sides.

/// A xorshift generator: a nanosecond a draw, repeated from its seed.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        // Never zero, on which xorshift would stand still.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0 = x;
        x
    }

    /// A number below `n`; zero if there is none.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u128::from(self.draw()) * u128::from(n)) >> 64) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_and_reach_everything() {
        let (mut one, mut two) = (Draw::new(7), Draw::new(7));
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            let drawn = one.below(10);
            assert_eq!(drawn, two.below(10));
            seen[drawn as usize] += 1;
        }
        assert!(
            seen.iter().all(|&times| (800..1200).contains(&times)),
            "{seen:?}"
        );
    }
}
