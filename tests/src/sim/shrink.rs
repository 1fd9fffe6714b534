//! [`shorten`]: which few of a world's faults still break the same promise.

use std::collections::BTreeSet;

use super::run::run;
use super::world::{Ending, Mask, Violation};

/// A violation with fewer faults.
#[derive(Debug, Clone)]
pub struct Shortened {
    /// The faults that are left.
    pub mask: Mask,
    /// How it ends with them: trace included.
    pub ending: Ending,
    /// How many worlds were run to find it.
    pub runs: u32,
}

/// The most worlds that are run for it.
const MOST: u32 = 300;

/// Finds the shortest prefix of the faults, and then a small set of those, that breaks the same
/// promise.
pub fn shorten(violation: &Violation) -> Shortened {
    let mut search = Search {
        seed: violation.seed,
        invariant: violation.invariant,
        runs: 0,
    };
    let mut best = Mask::All;
    let mut high = search.asked();
    let mut low = 0;
    while low < high {
        let middle = low + (high - low) / 2;
        if search.breaks(&Mask::First(middle)) {
            high = middle;
            best = Mask::First(middle);
        } else {
            low = middle + 1;
        }
    }
    let ending = run(search.seed, &best, true);
    let mut left: BTreeSet<u64> = ending.injected.iter().map(|(number, ..)| *number).collect();
    // Halves, quarters, then each by itself.
    let mut size = left.len().div_ceil(2).max(1);
    loop {
        let numbers: Vec<u64> = left.iter().copied().collect();
        for chunk in numbers.chunks(size) {
            let fewer: BTreeSet<u64> = left
                .iter()
                .copied()
                .filter(|number| !chunk.contains(number))
                .collect();
            if fewer.len() < left.len() && search.breaks(&Mask::Only(fewer.clone())) {
                left = fewer;
                best = Mask::Only(left.clone());
            }
        }
        if size <= 1 || search.runs >= MOST {
            break;
        }
        size = size.div_ceil(2);
    }
    Shortened {
        ending: run(search.seed, &best, true),
        mask: best,
        runs: search.runs,
    }
}

struct Search {
    seed: u64,
    invariant: &'static str,
    runs: u32,
}

impl Search {
    fn breaks(&mut self, mask: &Mask) -> bool {
        if self.runs >= MOST {
            return false;
        }
        self.runs += 1;
        let found = run(self.seed, mask, false).violation;
        found.is_some_and(|found| found.invariant == self.invariant)
    }

    /// How many faults the whole world asks for, at most.
    fn asked(&mut self) -> u64 {
        self.runs += 1;
        let ending = run(self.seed, &Mask::All, true);
        ending.injected.last().map_or(0, |(number, ..)| number + 1)
    }
}
