//! What grains are made of here: states that chain every change, and the folds of both sides.

use bytes::Bytes;
use gleaner::{Entry, Fold, FoldError, GrainId, Schema};

use super::rng::mix;

/// The layout that followers understand; [`NEWER`] is one that they do not.
pub(crate) const KNOWN: Schema = Schema::new(1);
/// A layout from the future.
pub(crate) const NEWER: Schema = Schema::new(2);

/// A whole state: a chain over all changes, and how many there were.
pub(crate) fn state(unique: u64) -> Bytes {
    joined(mix(unique), 0)
}

/// A change. A bad one is refused by the followers' fold, though not by the publisher's.
pub(crate) fn delta(unique: u64, bad: bool) -> Bytes {
    let mut bytes = unique.to_le_bytes().to_vec();
    bytes.push(u8::from(bad));
    bytes.into()
}

/// Whether a change is bad.
pub(crate) fn is_bad(payload: &[u8]) -> bool {
    payload.get(8) == Some(&1)
}

/// The state after a change: no change can be left out, doubled or swapped unseen.
pub(crate) fn folded(state: &[u8], delta: &[u8]) -> Option<Bytes> {
    let chain = word(state, 0)?;
    let count = word(state, 8)?;
    let unique = word(delta, 0)?;
    Some(joined(
        mix(chain.rotate_left(7) ^ mix(unique) ^ count),
        count + 1,
    ))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let word = bytes.get(at..at + 8)?;
    Some(u64::from_le_bytes(word.try_into().ok()?))
}

fn joined(chain: u64, count: u64) -> Bytes {
    [chain.to_le_bytes(), count.to_le_bytes()].concat().into()
}

/// The fold of a publisher: it takes every change.
pub(crate) struct Writing;

impl Fold for Writing {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        folded(state, delta.payload()).ok_or_else(|| FoldError::new("not a state and a change"))
    }
}

/// The fold of a follower: it refuses bad changes and newer layouts.
pub(crate) struct Following;

impl Fold for Following {
    fn fold(&self, grain: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        if is_bad(delta.payload()) {
            return Err(FoldError::new("a bad change"));
        }
        Writing.fold(grain, state, delta)
    }

    fn newest_schema(&self) -> Schema {
        KNOWN
    }
}

/// Whether followers can apply an entry that fits.
pub(crate) fn applies(entry: &Entry) -> bool {
    entry.schema() <= KNOWN && !(entry.prev().is_some() && is_bad(entry.payload()))
}
