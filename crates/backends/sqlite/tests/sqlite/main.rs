//! The clauses, and what only this backend promises: its files, and several logs on one of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod conformance;
mod files;
mod filters;
mod replaced;
mod sharing;
mod stores;

use gleaner_core::{Cursor, Draft, Entry, GrainId, Writer};

fn grain(key: &str) -> GrainId {
    GrainId::new("aircraft", key).unwrap()
}

fn full(key: &str, epoch: u64, sequence: u64, payload: impl Into<bytes::Bytes>) -> Entry {
    Draft::full(
        grain(key),
        Cursor::new(epoch, sequence),
        Writer::new(epoch),
        payload,
    )
    .seal()
}
