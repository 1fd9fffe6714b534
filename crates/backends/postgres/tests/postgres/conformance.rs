//! The kit's tests, one a clause, each in a schema of its own.

use std::sync::Arc;

use gleaner_conformance::{LogFactory, StoreFactory};
use gleaner_core::{Fold, Limits};
use gleaner_postgres::{PostgresLog, PostgresLogConfig, PostgresReplicaStore};

use crate::server::{fresh, is_installed};

/// Logs as they are by default, or as they are opened behind a pooler.
struct Logs {
    pooler: bool,
}

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
        let log = config(&url).pooler(self.pooler).open().await.unwrap();
        (url, log)
    }

    async fn reopen(&self, url: &String) -> Option<PostgresLog> {
        Some(config(url).pooler(self.pooler).open().await.unwrap())
    }
}

struct Stores;

impl Stores {
    async fn store(url: &str, fold: Option<Arc<dyn Fold>>) -> PostgresReplicaStore {
        let mut config = PostgresReplicaStore::builder(url).unwrap();
        if let Some(fold) = fold {
            config = config.fold(fold);
        }
        config.open().await.unwrap()
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
        let store = Self::store(&url, fold).await;
        (url, store)
    }

    async fn reopen(
        &self,
        url: &String,
        fold: Option<Arc<dyn Fold>>,
    ) -> Option<PostgresReplicaStore> {
        Some(Self::store(url, fold).await)
    }
}

mod log {
    gleaner_conformance::log_conformance!(super::Logs { pooler: false });
}

mod feed {
    gleaner_conformance::feed_conformance!(super::Logs { pooler: false });
}

mod store {
    gleaner_conformance::store_conformance!(super::Stores);
}

mod behind_a_pooler {
    mod log {
        gleaner_conformance::log_conformance!(super::super::Logs { pooler: true });
    }
    mod feed {
        gleaner_conformance::feed_conformance!(super::super::Logs { pooler: true });
    }
}
