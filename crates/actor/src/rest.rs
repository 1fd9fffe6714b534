//! [`Rest`]: what is left to know of an actor that rests in step.

use gleaner_core::{Cursor, Digest, Head};

use crate::{GrainActor, Jitter, Policy};
use std::sync::Arc;

/// An actor that rests in step, is told nothing and doubts nothing, is where its replica stands and no
/// more: 24 bytes instead of 64. Most of a million grains rest at any moment, so a driver keeps this of
/// them and wakes an actor when something happens ([`GrainActor::rest`], [`Rest::wake`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    cursor: Cursor,
    digest: Digest,
}

impl Rest {
    pub(crate) const fn new(cursor: Cursor, digest: Digest) -> Self {
        Self { cursor, digest }
    }

    /// Where the replica stands.
    pub const fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The last entry applied.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the actor would do nothing if it were named with this head.
    pub fn is_at(&self, head: &Head) -> bool {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::DigestsNotCompared.is_planted() {
            return head.cursor == self.cursor;
        }
        head.cursor == self.cursor && head.digest == self.digest
    }

    /// The actor again, as it was but for the state of its jitter. `fed` as in [`GrainActor::new`].
    pub fn wake(self, policy: Arc<Policy>, jitter: Jitter, fed: bool) -> GrainActor {
        GrainActor::resting(policy, jitter, fed, self)
    }
}
