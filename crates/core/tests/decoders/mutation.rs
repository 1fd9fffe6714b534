//! [`Mutator`]: what happens to bytes on the way, drawn from a seed.

use std::fmt::Write;

use crate::corpus::Sample;

/// `SplitMix64`: small, and the same everywhere.
pub(crate) struct Mutator(u64);

/// Numbers where decoders go wrong: as lengths, counts, tags and cursors.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    0x7f,
    0xff,
    1 << 20,
    (16 << 20) + 1,
    1 << 33,
    (1 << 53) - 1,
    1 << 53,
    1 << 60,
    u64::MAX,
];

impl Mutator {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.draw() % (bound.max(1) as u64)).unwrap()
    }

    /// One of `samples`, changed one to four times, with pieces of `others`.
    pub(crate) fn mutate(&mut self, samples: &[Sample], others: &[Sample]) -> Vec<u8> {
        let mut bytes = samples[self.below(samples.len())].bytes.clone();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, others);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, others: &[Sample]) {
        let at = self.below(bytes.len());
        let end = at + self.below(bytes.len() - at + 1);
        match self.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.draw().to_le_bytes()[0],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            // A range twice.
            4 => {
                let range = bytes[at..end].to_vec();
                bytes.splice(at..at, range);
            }
            // A length field, or whatever lies there.
            5 if bytes.len() >= 8 => {
                let at = self.below(bytes.len() - 7);
                let edge = match self.below(3) {
                    0 => bytes.len() as u64 + self.draw() % 3,
                    _ => EDGES[self.below(EDGES.len())],
                };
                bytes[at..at + 8].copy_from_slice(&edge.to_le_bytes());
            }
            // The end of another.
            6 => {
                let other = &others[self.below(others.len())].bytes;
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            _ => bytes.extend_from_slice(&self.draw().to_le_bytes()[..=at % 8]),
        }
    }
}

/// Bytes as the corpus takes them back: `xxd -r -p`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut said, byte| {
        let _ = write!(said, "{byte:02x}");
        said
    })
}
