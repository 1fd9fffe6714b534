//! [`Head`] and [`Fence`]: what a log keeps of a grain for good, even when its entries are gone.

use crate::{Cursor, Digest, Entry, Epoch, Kind, Writer};

/// The newest entry of a grain, and the newest base it can be rebuilt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Head {
    /// Where the newest entry stands.
    pub cursor: Cursor,
    /// Its digest: a replica is in step when cursor and digest equal these.
    pub digest: Digest,
    /// What it is; `Tombstone` for a dead grain.
    pub kind: Kind,
    /// The newest `FullState` or `Tombstone`. Never above `cursor`.
    pub base: Cursor,
}

impl Head {
    /// The head that an entry is. `base` is its own cursor, unless it is a Delta.
    pub fn of(entry: &Entry, base: Cursor) -> Self {
        Self {
            cursor: entry.cursor(),
            digest: entry.digest(),
            kind: entry.kind(),
            base,
        }
    }
}

/// The highest `(epoch, writer)` that claimed a grain: below it nothing is accepted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The claimed epoch.
    pub epoch: Epoch,
    /// The one writer of that epoch.
    pub writer: Writer,
}
