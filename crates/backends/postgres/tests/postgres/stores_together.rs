//! [`StoresTogether`]: one store opened three times, as by three processes, each call through the next of
//! them. The third is opened as behind a pooler.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gleaner_core::{
    Advance, Binding, Expected, Filter, GrainId, LogId, Mark, Outcome, Rebase, Replica,
    ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};
use gleaner_postgres::{PostgresReplicaStore, PostgresStoreConfig};

pub(crate) struct StoresTogether {
    stores: [PostgresReplicaStore; 3],
    next: AtomicUsize,
}

impl StoresTogether {
    pub(crate) async fn open(config: PostgresStoreConfig) -> Self {
        // At the same moment: they make the tables together.
        let (first, second, third) = tokio::join!(
            config.clone().open(),
            config.clone().open(),
            config.pooler(true).open()
        );
        Self {
            stores: [first.unwrap(), second.unwrap(), third.unwrap()],
            next: AtomicUsize::new(0),
        }
    }

    fn store(&self) -> &PostgresReplicaStore {
        &self.stores[self.next.fetch_add(1, Ordering::Relaxed) % 3]
    }
}

#[async_trait]
impl ReplicaStore for StoresTogether {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        self.store().bind(log, replacing).await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        self.store().apply(log, runs).await
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        self.store().rebase(log, rebase).await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        self.store().remove(grain, expected).await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        self.store().prune(grains).await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        self.store().get(grain).await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        self.store().cursor(grains).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        self.store().list(filter, after, limit).await
    }

    fn is_resident(&self) -> bool {
        self.store().is_resident()
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.store().peek(grain)
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        self.store().handle(grain)
    }
}
