//! What [`slots`](crate::slots) shares memory by. Under `cfg(gleaner_loom)` locks and reference counts
//! are loom's, so that the model of this crate runs the code itself; map and pointer are then plain
//! stand-ins behind a lock, which keep to what `DashMap` and `ReplicaSlot` document. In every build
//! that anybody uses they are these.

#[cfg(gleaner_loom)]
mod modelled;
#[cfg(not(gleaner_loom))]
mod real {
    use gleaner_core::GrainId;

    pub(crate) use std::sync::atomic::{AtomicU32, Ordering};

    pub(crate) use gleaner_core::ReplicaSlot as Pointer;
    pub(crate) use parking_lot::{Mutex, MutexGuard};

    pub(crate) type Map<V> = dashmap::DashMap<GrainId, V, foldhash::fast::RandomState>;

    /// Readers of one shard take turns at its lock's cache line; so there are many more shards than
    /// cores, at 128 bytes each.
    const SHARDS: usize = 256;

    pub(crate) fn map<V>() -> Map<V> {
        let hasher = foldhash::fast::RandomState::default();
        dashmap::DashMap::with_hasher_and_shard_amount(hasher, SHARDS)
    }
}

#[cfg(gleaner_loom)]
pub(crate) use modelled::{AtomicU32, Map, Mutex, MutexGuard, Ordering, Pointer, map};
#[cfg(not(gleaner_loom))]
pub(crate) use real::{AtomicU32, Map, Mutex, MutexGuard, Ordering, Pointer, map};
