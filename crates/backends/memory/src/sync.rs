//! What [`slots`](crate::slots) shares memory by. Under `cfg(gleaner_loom)` locks and reference counts
//! are loom's, so that the model of this crate runs the code itself; map and pointer are then plain
//! stand-ins behind a lock, which keep to what `DashMap` and `ReplicaSlot` document. In every build
//! that anybody uses they are these.

#[cfg(gleaner_loom)]
mod modelled;
#[cfg(not(gleaner_loom))]
mod real {
    use gleaner_core::GrainId;

    pub(crate) use std::sync::Arc as Counted;

    pub(crate) use gleaner_core::ReplicaSlot as Pointer;
    pub(crate) use parking_lot::{Mutex, MutexGuard};

    pub(crate) type Map<V> = dashmap::DashMap<GrainId, V, foldhash::fast::RandomState>;
}

#[cfg(gleaner_loom)]
pub(crate) use modelled::{Counted, Map, Mutex, MutexGuard, Pointer};
#[cfg(not(gleaner_loom))]
pub(crate) use real::{Counted, Map, Mutex, MutexGuard, Pointer};
