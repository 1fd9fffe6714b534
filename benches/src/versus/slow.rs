//! [`SlowStore`]: a store that takes a stated time for each run, one apply after the other.

use std::time::Duration;

use async_trait::async_trait;
use gleaner::memory::MemoryReplicaStore;
use gleaner::{
    Advance, Binding, Expected, Filter, GrainId, LogId, Mark, Outcome, Rebase, Replica,
    ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};
use tokio::sync::Mutex;

/// A store in memory behind a slow way to it: what a secondary on a poor disk or network has.
pub(crate) struct SlowStore {
    store: MemoryReplicaStore,
    each: Duration,
    turn: Mutex<()>,
}

impl SlowStore {
    pub(crate) fn new(store: MemoryReplicaStore, each: Duration) -> Self {
        Self {
            store,
            each,
            turn: Mutex::new(()),
        }
    }
}

#[async_trait]
impl ReplicaStore for SlowStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        self.store.bind(log, replacing).await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let _turn = self.turn.lock().await;
        let runs_count = u32::try_from(runs.len()).unwrap_or(u32::MAX);
        tokio::time::sleep(self.each.saturating_mul(runs_count)).await;
        self.store.apply(log, runs).await
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        self.store.rebase(log, rebase).await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        self.store.remove(grain, expected).await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        self.store.prune(grains).await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        self.store.get(grain).await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        self.store.cursor(grains).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        self.store.list(filter, after, limit).await
    }

    fn is_resident(&self) -> bool {
        self.store.is_resident()
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.store.peek(grain)
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        self.store.handle(grain)
    }
}
