//! The shared tests of the contracts, on this backend.

use std::sync::Arc;

use gleaner_conformance::{LogFactory, NotApplicable, StoreFactory};
use gleaner_core::{Fold, Limits};
use gleaner_memory::{MemoryLog, MemoryReplicaStore};

const ENDS: &str = "what is in memory ends with its process";

struct Log;

impl LogFactory for Log {
    type Guard = ();
    type Log = MemoryLog;

    async fn open(&self) -> ((), MemoryLog) {
        // Small enough that the kit reaches every limit quickly.
        let limits = Limits::default()
            .with_max_payload(1 << 20)
            .with_max_batch_bytes(4 << 20);
        ((), MemoryLog::with_limits(limits))
    }

    fn not_applicable(&self) -> NotApplicable {
        &[("L10", ENDS), ("l11_reopened_log_is_the_same_log", ENDS)]
    }
}

struct Store;

impl StoreFactory for Store {
    type Guard = ();
    type Store = MemoryReplicaStore;

    async fn open(&self, fold: Option<Arc<dyn Fold>>) -> ((), MemoryReplicaStore) {
        let store = MemoryReplicaStore::new().with_max_state(self.max_state());
        let store = match fold {
            Some(fold) => store.with_fold(fold),
            None => store,
        };
        ((), store)
    }

    fn max_state(&self) -> usize {
        1 << 20
    }

    fn not_applicable(&self) -> NotApplicable {
        &[
            ("s5_reopened_store_holds_what_it_answered", ENDS),
            ("s8_reopened_store_refuses_late_applies", ENDS),
            ("s9_reopened_store_remembers_its_log", ENDS),
        ]
    }
}

mod log {
    gleaner_conformance::log_conformance!(super::Log);
}
mod feed {
    gleaner_conformance::feed_conformance!(super::Log);
}
mod store {
    gleaner_conformance::store_conformance!(super::Store);
}
