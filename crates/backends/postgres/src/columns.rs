//! Entries, heads and shards as columns: arrays that a statement takes apart with `unnest`.

use gleaner_core::{Entry, Fence, Filter, GrainId, Head, Slice};
use tokio_postgres::types::ToSql;

use crate::rows::stored;
use crate::schema::SLICES_A_SHARD;

/// A grain's slice, and the feed shard that it lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lot {
    pub(crate) slice: i16,
    pub(crate) shard: i16,
}

impl Lot {
    pub(crate) fn of(grain: &GrainId) -> Self {
        // Below 1,024.
        let slice = i16::try_from(Slice::of(grain).get()).unwrap_or_default();
        Self {
            slice,
            shard: slice / SLICES_A_SHARD,
        }
    }
}

/// How many places are wanted in each shard that is concerned, in ascending order of shards.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) shards: Vec<i16>,
    pub(crate) numbers: Vec<i64>,
}

impl Places {
    /// Where a shard stands among those that are concerned, counted from 1 as the server counts.
    pub(crate) fn slot(&self, shard: i16) -> i16 {
        let before = self.shards.partition_point(|other| *other < shard);
        i16::try_from(before).unwrap_or_default() + 1
    }

    /// Takes the next place in a shard; which it is, counted from 1.
    pub(crate) fn take(&mut self, shard: i16) -> i64 {
        match self.shards.binary_search(&shard) {
            Ok(at) => self.numbers.get_mut(at).map_or(0, |number| {
                *number += 1;
                *number
            }),
            Err(at) => {
                self.shards.insert(at, shard);
                self.numbers.insert(at, 1);
                1
            }
        }
    }
}

/// The columns of entries.
#[derive(Debug, Default)]
pub(crate) struct EntryColumns<'a> {
    pub(crate) epochs: Vec<i64>,
    pub(crate) sequences: Vec<i64>,
    pub(crate) writers: Vec<i64>,
    pub(crate) kinds: Vec<i16>,
    pub(crate) prevs: Vec<Option<i64>>,
    pub(crate) digests: Vec<i64>,
    pub(crate) written_at: Vec<i64>,
    pub(crate) sources: Vec<&'a [u8]>,
    pub(crate) schemas: Vec<i64>,
    pub(crate) payloads: Vec<&'a [u8]>,
}

impl<'a> EntryColumns<'a> {
    pub(crate) fn push(&mut self, entry: &'a Entry) {
        self.epochs.push(stored(entry.epoch().get()));
        self.sequences.push(stored(entry.sequence().get()));
        self.writers.push(stored(entry.writer().get()));
        self.kinds.push(i16::from(entry.kind().code()));
        self.prevs.push(entry.prev().map(|prev| stored(prev.get())));
        self.digests.push(stored(entry.digest().get()));
        self.written_at.push(entry.written_at().get());
        self.sources.push(entry.source().as_str().as_bytes());
        self.schemas.push(i64::from(entry.schema().get()));
        self.payloads.push(entry.payload());
    }
}

/// The columns of new heads.
#[derive(Debug, Default)]
pub(crate) struct HeadColumns<'a> {
    types: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
    places: Vec<i64>,
    epochs: Vec<i64>,
    sequences: Vec<i64>,
    digests: Vec<i64>,
    kinds: Vec<i16>,
    base_epochs: Vec<i64>,
    base_sequences: Vec<i64>,
    fence_epochs: Vec<Option<i64>>,
    fence_writers: Vec<Option<i64>>,
}

impl<'a> HeadColumns<'a> {
    pub(crate) fn push(
        &mut self,
        grain: &'a GrainId,
        place: i64,
        head: &Head,
        fence: Option<Fence>,
    ) {
        self.types.push(grain.grain_type().as_bytes());
        self.keys.push(grain.grain_key().as_bytes());
        self.places.push(place);
        self.epochs.push(stored(head.cursor.epoch.get()));
        self.sequences.push(stored(head.cursor.sequence.get()));
        self.digests.push(stored(head.digest.get()));
        self.kinds.push(i16::from(head.kind.code()));
        self.base_epochs.push(stored(head.base.epoch.get()));
        self.base_sequences.push(stored(head.base.sequence.get()));
        self.fence_epochs
            .push(fence.map(|fence| stored(fence.epoch.get())));
        self.fence_writers
            .push(fence.map(|fence| stored(fence.writer.get())));
    }

    pub(crate) fn params(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.types,
            &self.keys,
            &self.places,
            &self.epochs,
            &self.sequences,
            &self.digests,
            &self.kinds,
            &self.base_epochs,
            &self.base_sequences,
            &self.fence_epochs,
            &self.fence_writers,
        ]
    }
}

/// Names in two arrays, as the statements take them.
pub(crate) struct GrainNames<'a> {
    pub(crate) types: Vec<&'a [u8]>,
    pub(crate) keys: Vec<&'a [u8]>,
}

impl<'a> GrainNames<'a> {
    pub(crate) fn of(grains: impl Iterator<Item = &'a GrainId> + Clone) -> Self {
        Self {
            types: grains
                .clone()
                .map(|grain| grain.grain_type().as_bytes())
                .collect(),
            keys: grains.map(|grain| grain.grain_key().as_bytes()).collect(),
        }
    }
}

/// A number of things, as a limit in a statement: sums of a few of them do not overflow there.
pub(crate) fn clamped(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

/// The slices of a filter, a bit each; none if it is about all.
pub(crate) fn slice_bits(filter: &Filter) -> Option<Vec<u8>> {
    let slices = filter.only_slices()?;
    let mut bits = vec![0_u8; usize::from(Slice::COUNT) / 8];
    for slice in slices.iter() {
        // Bit n of the server's is bit n mod 8 of byte n / 8, from the lowest.
        if let Some(byte) = bits.get_mut(usize::from(slice / 8)) {
            *byte |= 1 << (slice % 8);
        }
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_shard_in_ascending_order() {
        let mut places = Places::default();
        assert_eq!(
            [9, 3, 9, 31, 9].map(|shard| places.take(shard)),
            [1, 1, 2, 1, 3]
        );
        assert_eq!(places.shards, [3, 9, 31]);
        assert_eq!(places.numbers, [1, 3, 1]);
        assert_eq!([3, 9, 31].map(|shard| places.slot(shard)), [1, 2, 3]);
    }

    #[test]
    fn a_shard_is_a_run_of_slices() {
        for key in 0..200 {
            let grain = GrainId::new("t", key.to_string()).unwrap();
            let lot = Lot::of(&grain);
            assert_eq!(lot.slice, i16::try_from(Slice::of(&grain).get()).unwrap());
            assert!((0..32).contains(&lot.shard) && lot.slice / 32 == lot.shard);
        }
    }
}
