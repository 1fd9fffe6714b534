//! [`Chance`]: random numbers from a seed that is printed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

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

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// Sleeps for less than `micros`: so that a kill falls anywhere.
    pub(crate) fn pause(&mut self, micros: u64) {
        std::thread::sleep(Duration::from_micros(self.below(micros)));
    }
}
