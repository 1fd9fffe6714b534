//! [`Dice`]: databases and operations that look random and are the same in every run.

use std::collections::BTreeMap;

use crate::operation::{Operation, Point};

/// xorshift64*.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One of `0..sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }

    pub(crate) fn pick(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll(sides as u64)).unwrap()
    }

    pub(crate) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.pick(most + 1);
        (0..length)
            .map(|_| u8::try_from(self.roll(256)).unwrap())
            .collect()
    }

    pub(crate) fn vector(&mut self, dimensions: usize) -> Vec<f32> {
        let number = |_| f32::from(u16::try_from(self.roll(2000)).unwrap()) / 8.0 - 125.0;
        (0..dimensions).map(number).collect()
    }

    /// Of few names, so that they meet; now and then one that makes no sense.
    pub(crate) fn operation(&mut self) -> Operation {
        let name = format!("c{}", self.roll(3));
        let id = format!("p{}", self.roll(12));
        match self.roll(20) {
            0..4 => Operation::CreateCollection {
                name,
                dimensions: 2,
            },
            4 => Operation::DropCollection { name },
            5..8 => Operation::Delete {
                collection: name,
                id,
            },
            sort => {
                // One in so many has a vector of the wrong space.
                let dimensions = if sort == 8 && self.roll(3) == 0 { 3 } else { 2 };
                let attributes = (0..self.roll(3))
                    .map(|at| (format!("a{at}"), "x".repeat(self.pick(9))))
                    .collect::<BTreeMap<_, _>>();
                let vector = self.vector(dimensions);
                Operation::Upsert {
                    collection: name,
                    id,
                    point: Point { vector, attributes },
                }
            }
        }
    }
}
