//! The words of the contracts as messages, written out by hand.

use gleaner_core::{Cursor, Entry, Filter, GrainId, Kind};

use crate::raw::proto;

pub(crate) fn grains<'a>(all: impl IntoIterator<Item = &'a GrainId>) -> proto::Grains {
    let mut wire = proto::Grains::default();
    let mut keys = Vec::new();
    for (place, grain) in (0..).zip(all) {
        wire.new_types.push(grain.grain_type().to_owned());
        wire.types.push(place);
        wire.key_lengths.push(length(grain.grain_key().len()));
        keys.extend_from_slice(grain.grain_key().as_bytes());
    }
    wire.keys = keys.into();
    wire
}

/// Entries of one source and writer.
pub(crate) fn entries<'a>(all: impl IntoIterator<Item = &'a Entry>) -> proto::Entries {
    let mut wire = proto::Entries::default();
    let mut payloads = Vec::new();
    for entry in all {
        wire.new_sources = vec![entry.source().as_str().to_owned()];
        wire.new_writers = vec![entry.writer().get()];
        wire.kinds.push(u32::from(entry.kind().code()));
        wire.epochs.push(entry.epoch().get());
        wire.sequences.push(entry.sequence().get());
        wire.writers.push(0);
        wire.digests.push(entry.digest().get());
        if entry.kind() == Kind::Delta {
            wire.prevs.push(entry.prev().unwrap().get());
        }
        wire.written_at.push(0);
        wire.sources.push(0);
        wire.lengths.push(length(entry.payload().len()));
        payloads.extend_from_slice(entry.payload());
    }
    wire.payloads = payloads.into();
    wire
}

pub(crate) fn filter(filter: &Filter) -> proto::Filter {
    proto::Filter {
        grain_type: filter.only_type().map(str::to_owned),
        key_prefix: filter.only_prefix().map(str::to_owned),
        slices: None,
    }
}

pub(crate) fn cursor(cursor: Cursor) -> proto::Cursor {
    proto::Cursor {
        epoch: cursor.epoch.get(),
        sequence: cursor.sequence.get(),
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap()
}
