//! [`ToldStore`]: a store that says what was applied to it.

use std::sync::Arc;

use async_trait::async_trait;
use gleaner::{
    Advance, Binding, Expected, Filter, GrainId, LogId, Mark, Outcome, Rebase, Replica,
    ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};

use crate::report::{Report, say};

/// Passes every call on, and says each replica that the store answers to have moved.
pub struct ToldStore {
    inner: Arc<dyn ReplicaStore>,
}

impl ToldStore {
    /// Around a store.
    pub fn new(inner: Arc<dyn ReplicaStore>) -> Self {
        Self { inner }
    }
}

impl std::fmt::Debug for ToldStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ToldStore")
    }
}

fn tell(grain: &GrainId, outcome: &Outcome) {
    if outcome.applied > 0 {
        say(&Report::Applied {
            key: grain.grain_key().to_owned(),
            cursor: outcome.mark.cursor,
        });
    }
}

#[async_trait]
impl ReplicaStore for ToldStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        self.inner.bind(log, replacing).await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let grains: Vec<GrainId> = runs.iter().map(|run| run.grain.clone()).collect();
        let outcomes = self.inner.apply(log, runs).await?;
        for (grain, outcome) in grains.iter().zip(&outcomes) {
            tell(grain, outcome);
        }
        Ok(outcomes)
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let grain = rebase.grain.clone();
        let outcome = self.inner.rebase(log, rebase).await?;
        tell(&grain, &outcome);
        Ok(outcome)
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        self.inner.remove(grain, expected).await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        self.inner.prune(grains).await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        self.inner.get(grain).await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        self.inner.cursor(grains).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        self.inner.list(filter, after, limit).await
    }

    fn is_resident(&self) -> bool {
        self.inner.is_resident()
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.inner.peek(grain)
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        self.inner.handle(grain)
    }
}
