//! What readers and driver share memory by. Under `cfg(gleaner_loom)` it is loom's, so that the models
//! of this crate run the code itself through every order of events that the memory model allows, and
//! not a copy of it; in every build that anybody uses it is the standard library's, `parking_lot`'s
//! and tokio's.

#[cfg(not(gleaner_loom))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};

    pub(crate) use parking_lot::Mutex;
    pub(crate) use tokio::sync::Notify;
}

#[cfg(gleaner_loom)]
mod modelled;

#[cfg(gleaner_loom)]
pub(crate) use modelled::{AtomicU32, AtomicU64, Mutex, Notify};
#[cfg(not(gleaner_loom))]
pub(crate) use real::{AtomicU32, AtomicU64, Mutex, Notify};
