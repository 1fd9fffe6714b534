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
        Self::of_name(grain.grain_type(), grain.grain_key())
    }

    /// The slice of the grain of this type and key.
    pub(crate) fn of_name(grain_type: &str, grain_key: &str) -> Self {
        let mut hash = Xxh3Default::new();
        for part in [grain_type, grain_key] {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of `gleaner-slice-1`, computed by another implementation of XXH3 over the bytes put
    /// together by hand.
    #[test]
    fn vectors() {
        let long = ("x".repeat(512), "y".repeat(512));
        for (grain_type, key, slice) in [
            ("aircraft", "N14228", 833),
            ("a/b", "c", 284),
            ("a", "b/c", 301),
            ("t", "\0", 571),
            ("é", "🛩", 629),
            (long.0.as_str(), long.1.as_str(), 287),
        ] {
            let grain = GrainId::new(grain_type, key).unwrap();
            assert_eq!(Slice::of(&grain).get(), slice, "{grain}");
        }
    }

    #[test]
    fn no_slice_is_left_empty_and_none_lies_outside() {
        let mut seen = vec![0_u32; usize::from(Slice::COUNT)];
        for key in 0..100_000 {
            let grain = GrainId::new("t", key.to_string()).unwrap();
            seen[usize::from(Slice::of(&grain).get())] += 1;
        }
        // 98 each on average; a count is off by more than half with negligible odds, and the hash is
        // fixed, so what holds once holds always.
        assert!(seen.iter().all(|count| (49..150).contains(count)));
    }
}
