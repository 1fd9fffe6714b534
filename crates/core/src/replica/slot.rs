//! [`ReplicaSlot`]: where readers find a grain's newest replica.

use std::fmt;

use arc_swap::ArcSwapAny;

use super::Replica;
use super::held::Thin;

/// The place of one grain's newest replica in memory, for stores whose replicas are resident: one
/// pointer, which readers load and a writer swaps, neither waiting for the other.
///
/// # Concurrency
/// A load and a store are each one moment; a load gives the replica of the last store before it, whole
/// (S4). What was stored is released and what is loaded is acquired. Two writers are not kept apart:
/// whoever reads, folds and stores needs a lock of its own.
#[derive(Default)]
pub struct ReplicaSlot(ArcSwapAny<Option<Thin>>);

impl ReplicaSlot {
    /// The replica of this moment. Costs one reference count.
    pub fn load(&self) -> Option<Replica> {
        self.0.load_full().map(Replica)
    }

    /// Whether there is none at this moment.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_none()
    }

    /// Puts a replica, or none, in the place of what is there.
    pub fn store(&self, replica: Option<Replica>) {
        self.0.store(replica.map(|replica| replica.0));
    }
}

impl fmt::Debug for ReplicaSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplicaSlot").field(&self.load()).finish()
    }
}
