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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draft, GrainId};

    /// Vectors of `gleaner-digest-1`. Each was computed by another implementation of XXH3 over the
    /// bytes put together by hand, as the type's documentation lays them out.
    #[test]
    fn vectors() {
        let grain = GrainId::new("aircraft", "N14228").unwrap();
        let full = Draft::full(
            grain.clone(),
            Cursor::new(1, 1),
            Writer::new(7),
            "at the gate",
        );
        let full = full.seal().digest();
        assert_eq!(full.get(), 0x64c9_4ce5_f274_ff41);

        let delta = |prev| {
            Draft::delta(
                grain.clone(),
                Cursor::new(1, 2),
                Writer::new(7),
                prev,
                "off",
            )
            .seal()
            .digest()
        };
        assert_eq!(delta(full).get(), 0xc8d6_505a_8d0b_7004);
        // A predecessor whose digest is 0 is not the same as none.
        assert_eq!(delta(Digest::ZERO).get(), 0xae52_3590_4952_48bb);

        let max = (1 << 53) - 1;
        let mut end = Draft::tombstone(grain.clone(), Cursor::new(max, max), Writer::new(u64::MAX));
        end.schema = Schema::MAX;
        assert_eq!(end.seal().digest().get(), 0x795a_6c50_a9a6_bb4c);

        // Long enough for XXH3's other code path.
        let long: Vec<u8> = (0..=250_u8).cycle().take(1000).collect();
        let writer = Writer::new(0x0123_4567_89ab_cdef);
        let mut long = Draft::full(grain, Cursor::new(3, 9), writer, long);
        long.schema = Schema::new(5);
        assert_eq!(long.seal().digest().get(), 0xba4b_789a_5adc_90b9);
    }

    #[test]
    fn every_covered_field_changes_it_and_no_label_does() {
        let grain = GrainId::new("t", "k").unwrap();
        let base = Draft::delta(
            grain,
            Cursor::new(1, 2),
            Writer::new(3),
            Digest::new(4),
            "p",
        );
        let of = |change: fn(&mut Draft)| {
            let mut draft = base.clone();
            change(&mut draft);
            draft.seal().digest()
        };
        let plain = of(|_| {});
        let changes: [fn(&mut Draft); 7] = [
            |draft| draft.kind = Kind::FullState,
            |draft| draft.cursor.epoch = crate::Epoch::new(2),
            |draft| draft.cursor.sequence = crate::Sequence::new(3),
            |draft| draft.writer = Writer::new(4),
            |draft| draft.schema = Schema::new(1),
            |draft| draft.prev = Some(Digest::new(5)),
            |draft| draft.payload = "q".into(),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert_ne!(of(change), plain, "change {at}");
        }
        assert_eq!(of(|draft| draft.source = crate::Source::new("eu")), plain);
        assert_eq!(
            of(|draft| draft.written_at = crate::UnixMillis::new(9)),
            plain
        );
    }

    #[test]
    fn a_damaged_entry_is_not_sealed_as_what_it_was() {
        let grain = GrainId::new("t", "k").unwrap();
        let draft = Draft::full(grain, Cursor::new(1, 1), Writer::new(1), "whole");
        let stored = draft.clone().seal().digest();
        assert!(draft.clone().seal_as(stored).is_ok());
        let mut damaged = draft;
        damaged.payload = "hole".into();
        let error = damaged.seal_as(stored).unwrap_err().to_string();
        assert!(
            error.contains("1:1") && error.contains(&stored.to_string()),
            "{error}"
        );
    }
}
