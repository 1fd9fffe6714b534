//! [`LogFactory`] and [`StoreFactory`]: how the kit gets the backends that it tests.

use std::future::Future;
use std::sync::Arc;

use gleaner_core::{Fold, Limits, ReplicaStore, ReplicationLog};

/// Promises that cannot arise for a backend, each with its reason.
///
/// The first is a clause (`"L10"`: all its tests) or one test's name
/// (`"s5_reopened_store_holds_what_it_answered"`). One that names nothing in the kit fails every
/// test, so that a slip does not switch a test off, and nobody believes in a switch that is none.
pub type NotApplicable = &'static [(&'static str, &'static str)];

/// Opens logs to be tested.
///
/// Every `open` gives a log of its own: fresh, empty, shared with nobody. Tests run side by side in
/// one process, so use a new file, schema, key prefix or stream each time. The guard is kept until
/// the test is over: a temporary folder, a server process.
///
/// Large limits make slow tests; the kit refuses to try limits above
/// [`MAX_TRIED_PAYLOAD`](Self::MAX_TRIED_PAYLOAD) and
/// [`MAX_TRIED_BATCH`](Self::MAX_TRIED_BATCH). Open the log with smaller ones then; 16 entries a
/// batch and 1 KiB a payload are the least that the tests need.
pub trait LogFactory: Send + Sync {
    /// The largest payload limit that the kit tries to reach.
    const MAX_TRIED_PAYLOAD: usize = 256 << 20;
    /// The largest batch limit, in entries, that the kit tries to reach.
    const MAX_TRIED_BATCH: usize = 1 << 17;

    /// What must outlive the log; what a log is opened anew from.
    type Guard: Send + Sync;
    /// The log.
    type Log: ReplicationLog;

    /// Whether there is what it takes to open one: a server that is installed. Where not, say so in a
    /// line of your own, since the test then passes without having tested anything.
    fn is_available(&self) -> bool {
        true
    }

    /// A fresh, empty, private log.
    fn open(&self) -> impl Future<Output = (Self::Guard, Self::Log)> + Send;

    /// The log of `guard` opened anew, as a process does that was started again; the former one has
    /// been dropped. None if that makes no sense; then L10 and L11 are declared
    /// [not applicable](Self::not_applicable).
    fn reopen(&self, guard: &Self::Guard) -> impl Future<Output = Option<Self::Log>> + Send {
        let _ = guard;
        async { None }
    }

    /// What cannot arise here, and why.
    fn not_applicable(&self) -> NotApplicable {
        &[]
    }
}

/// Opens replica stores to be tested; otherwise as [`LogFactory`].
pub trait StoreFactory: Send + Sync {
    /// What must outlive the store; what a store is opened anew from.
    type Guard: Send + Sync;
    /// The store.
    type Store: ReplicaStore;

    /// Whether there is what it takes to open one: a server that is installed. Where not, say so in a
    /// line of your own, since the test then passes without having tested anything.
    fn is_available(&self) -> bool {
        true
    }

    /// A fresh, empty, private store, bound to no log, with the kit's fold or none.
    fn open(
        &self,
        fold: Option<Arc<dyn Fold>>,
    ) -> impl Future<Output = (Self::Guard, Self::Store)> + Send;

    /// The store of `guard` opened anew; the former one has been dropped. None for a store that does
    /// not outlive its process.
    fn reopen(
        &self,
        guard: &Self::Guard,
        fold: Option<Arc<dyn Fold>>,
    ) -> impl Future<Output = Option<Self::Store>> + Send {
        let _ = (guard, fold);
        async { None }
    }

    /// The largest state that the opened store keeps, in bytes.
    fn max_state(&self) -> usize {
        Limits::DEFAULT_MAX_PAYLOAD
    }

    /// What cannot arise here, and why.
    fn not_applicable(&self) -> NotApplicable {
        &[]
    }
}
