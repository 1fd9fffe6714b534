//! [`Chance`]: random numbers from a seed that is printed.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;

/// A `SplitMix64` generator.
pub(crate) struct Chance {
    state: u64,
}

impl Chance {
    /// From a fresh seed, or from the one in `GLEANER_SEED`.
    pub(crate) fn new() -> Self {
        let seed = match std::env::var("GLEANER_SEED") {
            Ok(given) => given.parse().expect("GLEANER_SEED is a number"),
            Err(_) => RandomState::new().hash_one("seed"),
        };
        println!("GLEANER_SEED={seed}");
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Any number of 32 bits; small, large and powers of two as often as all others together.
    pub(crate) fn number(&mut self) -> u32 {
        let any = u32::try_from(self.next() >> 32).unwrap();
        match self.below(6) {
            0 => any % 8,
            1 => u32::MAX - any % 8,
            2 => 1 << (any % 32),
            _ => any,
        }
    }

    /// Up to `most` random bytes, one at least.
    pub(crate) fn bytes(&mut self, most: usize) -> Bytes {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.byte()).collect()
    }
}
