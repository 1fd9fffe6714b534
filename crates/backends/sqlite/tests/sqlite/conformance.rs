//! The kit's tests, one a clause, on files in temporary folders.

use std::sync::Arc;

use gleaner_conformance::{LogFactory, StoreFactory};
use gleaner_core::Fold;
use gleaner_sqlite::{SqliteLog, SqliteReplicaStore};
use tempfile::TempDir;

struct Logs;

impl LogFactory for Logs {
    type Guard = TempDir;
    type Log = SqliteLog;

    async fn open(&self) -> (TempDir, SqliteLog) {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
        (folder, log)
    }

    async fn reopen(&self, folder: &TempDir) -> Option<SqliteLog> {
        Some(SqliteLog::open(folder.path().join("log.db")).await.unwrap())
    }
}

/// Stores with resident replicas, or without.
struct Stores {
    resident: bool,
}

impl Stores {
    async fn store(&self, folder: &TempDir, fold: Option<Arc<dyn Fold>>) -> SqliteReplicaStore {
        let mut config = SqliteReplicaStore::builder(folder.path().join("store.db"));
        if let Some(fold) = fold {
            config = config.fold(fold);
        }
        config.resident(self.resident).open().await.unwrap()
    }
}

impl StoreFactory for Stores {
    type Guard = TempDir;
    type Store = SqliteReplicaStore;

    async fn open(&self, fold: Option<Arc<dyn Fold>>) -> (TempDir, SqliteReplicaStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = self.store(&folder, fold).await;
        (folder, store)
    }

    async fn reopen(
        &self,
        folder: &TempDir,
        fold: Option<Arc<dyn Fold>>,
    ) -> Option<SqliteReplicaStore> {
        Some(self.store(folder, fold).await)
    }
}

mod log {
    gleaner_conformance::log_conformance!(super::Logs);
}

mod feed {
    gleaner_conformance::feed_conformance!(super::Logs);
}

mod resident_store {
    gleaner_conformance::store_conformance!(super::Stores { resident: true });
}

mod store_on_disk {
    gleaner_conformance::store_conformance!(super::Stores { resident: false });
}
