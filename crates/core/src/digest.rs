//! [`Digest`]: the 64-bit hash that says whether two histories are the same at a cursor.

use std::fmt;

use xxhash_rust::xxh3::Xxh3Default;

use crate::{Cursor, Kind, Schema, Writer};

/// A 64-bit hash of what an entry says: `gleaner-digest-1`.
///
/// It is XXH3 (64 bits, no seed) over, in this order: kind as one byte (0 `FullState`, 1 `Delta`,
/// 2 `Tombstone`), epoch, sequence and writer as `u64`, schema as `u32`, one byte saying whether
/// there is a `prev`, `prev` as `u64` (0 without one), the payload's length as `u64`, the payload.
/// All integers are little-endian. Since a Delta's digest takes in its predecessor's, two equal
/// digests at one cursor mean equal histories back to the base.
///
/// It finds accidents and forked histories, not forgery: XXH3 is no cryptographic hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Digest(u64);

impl Digest {
    /// What a replica that has applied nothing carries.
    pub const ZERO: Self = Self(0);

    /// Wraps a stored digest.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits.
    pub const fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn of(
        kind: Kind,
        cursor: Cursor,
        writer: Writer,
        schema: Schema,
        prev: Option<Self>,
        payload: &[u8],
    ) -> Self {
        let mut fixed = [0_u8; 46];
        let fields: [&[u8]; 8] = [
            &[kind.code()],
            &cursor.epoch.get().to_le_bytes(),
            &cursor.sequence.get().to_le_bytes(),
            &writer.get().to_le_bytes(),
            &schema.get().to_le_bytes(),
            &[u8::from(prev.is_some())],
            &prev.map_or(0, Self::get).to_le_bytes(),
            &(payload.len() as u64).to_le_bytes(),
        ];
        for (slot, byte) in fixed
            .iter_mut()
            .zip(fields.iter().flat_map(|field| field.iter()))
        {
            *slot = *byte;
        }
        let mut hash = Xxh3Default::new();
        hash.update(&fixed);
        hash.update(payload);
        Self(hash.digest())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
