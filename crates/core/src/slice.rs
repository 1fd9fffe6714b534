//! [`Slice`]: the share of a population that a grain falls into.

use std::fmt;

use xxhash_rust::xxh3::Xxh3Default;

use crate::GrainId;

/// One of 1,024 shares of all grains: `gleaner-slice-1`, by which feed shards and followers divide a
/// population (F4).
///
/// XXH3 (64 bits, no seed) over the type's length as `u64` little-endian, the type, the key's length
/// likewise, the key; modulo 1,024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slice(u16);

impl Slice {
    /// How many slices there are.
    pub const COUNT: u16 = 1024;

    /// The slice of a grain.
    pub fn of(grain: &GrainId) -> Self {
        let mut hash = Xxh3Default::new();
        for part in [grain.grain_type(), grain.grain_key()] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        // The remainder is below 1,024 and fits.
        Self(u16::try_from(hash.digest() % u64::from(Self::COUNT)).unwrap_or(0))
    }

    /// The slice's number, 0 to 1,023.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
