//! The kit's tests, one a clause, each in a schema of its own.

use std::sync::Arc;

use gleaner_conformance::{LogFactory, NotApplicable, StoreFactory};
use gleaner_core::{Fold, Limits};
use gleaner_postgres::{PostgresLog, PostgresLogConfig, PostgresReplicaStore, PostgresStoreConfig};

use crate::server::{fresh, is_installed};
use crate::stores_together::StoresTogether;
use crate::together::Together;

/// As it is by default.
struct Logs;

fn config(url: &str) -> PostgresLogConfig {
    let limits = Limits::default()
        .with_max_payload(1 << 20)
        .with_max_batch_bytes(4 << 20);
    PostgresLog::builder(url).unwrap().limits(limits)
}

impl LogFactory for Logs {
    type Guard = String;
    type Log = PostgresLog;

    fn is_available(&self) -> bool {
        is_installed()
    }

    async fn open(&self) -> (String, PostgresLog) {
        let url = fresh();
        let log = config(&url).open().await.unwrap();
        (url, log)
    }

    async fn reopen(&self, url: &String) -> Option<PostgresLog> {
        Some(config(url).open().await.unwrap())
    }
}

/// Three processes on one log, one of them behind a pooler.
struct Shared;

const HINTED: &str = "a hint that another process sends may come before this one listens";

impl LogFactory for Shared {
    type Guard = String;
    type Log = Together;

    fn is_available(&self) -> bool {
        is_installed()
    }

    async fn open(&self) -> (String, Together) {
        let url = fresh();
        let log = Together::open(config(&url)).await;
        (url, log)
    }

    async fn reopen(&self, url: &String) -> Option<Together> {
        Some(Together::open(config(url)).await)
    }

    fn not_applicable(&self) -> NotApplicable {
        &[
            ("f5_a_wait_ends_at_once_if_something_is_there", HINTED),
            ("f5_an_append_wakes_a_waiter", HINTED),
            ("f5_a_dropped_wait_loses_nothing", HINTED),
        ]
    }
}

struct Stores;

fn store_config(url: &str, fold: Option<Arc<dyn Fold>>) -> PostgresStoreConfig {
    let config = PostgresReplicaStore::builder(url).unwrap();
    match fold {
        Some(fold) => config.fold(fold),
        None => config,
    }
}

impl StoreFactory for Stores {
    type Guard = String;
    type Store = PostgresReplicaStore;

    fn is_available(&self) -> bool {
        is_installed()
    }

    async fn open(&self, fold: Option<Arc<dyn Fold>>) -> (String, PostgresReplicaStore) {
        let url = fresh();
        let store = store_config(&url, fold).open().await.unwrap();
        (url, store)
    }

    async fn reopen(
        &self,
        url: &String,
        fold: Option<Arc<dyn Fold>>,
    ) -> Option<PostgresReplicaStore> {
        Some(store_config(url, fold).open().await.unwrap())
    }
}

/// Three processes on one store, one of them behind a pooler.
struct SharedStores;

impl StoreFactory for SharedStores {
    type Guard = String;
    type Store = StoresTogether;

    fn is_available(&self) -> bool {
        is_installed()
    }

    async fn open(&self, fold: Option<Arc<dyn Fold>>) -> (String, StoresTogether) {
        let url = fresh();
        let store = StoresTogether::open(store_config(&url, fold)).await;
        (url, store)
    }

    async fn reopen(&self, url: &String, fold: Option<Arc<dyn Fold>>) -> Option<StoresTogether> {
        Some(StoresTogether::open(store_config(url, fold)).await)
    }
}

mod log {
    gleaner_conformance::log_conformance!(super::Logs);
}

mod feed {
    gleaner_conformance::feed_conformance!(super::Logs);
}

mod store {
    gleaner_conformance::store_conformance!(super::Stores);
}

mod shared {
    mod log {
        gleaner_conformance::log_conformance!(super::super::Shared);
    }
    mod feed {
        gleaner_conformance::feed_conformance!(super::super::Shared);
    }
    mod store {
        gleaner_conformance::store_conformance!(super::super::SharedStores);
    }
}
