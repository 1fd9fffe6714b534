//! Entries and shards as columns: arrays that a statement takes apart with `unnest`.

use gleaner_core::{Entry, GrainId, Slice};

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
