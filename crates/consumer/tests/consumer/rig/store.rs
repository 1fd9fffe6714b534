//! [`RigStore`]: a store whose calls can be held back, refused, or carried out and then refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use gleaner_core::{
    Advance, Binding, Error, Expected, Filter, GrainId, LogId, Mark, Outcome, Rebase, Replica,
    ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};

use parking_lot::Mutex;

use super::Gate;

pub(crate) struct RigStore {
    inner: Arc<dyn ReplicaStore>,
    /// Before the apply is carried out.
    pub(crate) apply: Gate,
    pub(crate) rebase: Gate,
    pub(crate) load: Gate,
    /// Before a replica that is not resident is read.
    pub(crate) get: Gate,
    /// The next so many applies take effect and then answer an error.
    lost_answers: AtomicUsize,
    pub(crate) runs: AtomicUsize,
    /// Entries that moved a replica.
    pub(crate) applied: AtomicUsize,
    /// Whether it says that replicas are in memory.
    pub(crate) resident: bool,
    /// Whose replicas it cannot read.
    pub(crate) damaged: Mutex<HashSet<GrainId>>,
}

impl RigStore {
    pub(crate) fn new(inner: Arc<dyn ReplicaStore>) -> Self {
        Self {
            inner,
            apply: Gate::new(),
            rebase: Gate::new(),
            load: Gate::new(),
            get: Gate::new(),
            lost_answers: AtomicUsize::new(0),
            runs: AtomicUsize::new(0),
            applied: AtomicUsize::new(0),
            resident: true,
            damaged: Mutex::default(),
        }
    }

    pub(crate) fn lose_answers(&self, applies: usize) {
        self.lost_answers.store(applies, Ordering::SeqCst);
    }

    pub(crate) fn applied(&self) -> usize {
        self.applied.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ReplicaStore for RigStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        self.inner.bind(log, replacing).await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        self.apply.enter()?;
        self.apply.pass().await;
        self.runs.fetch_add(runs.len(), Ordering::SeqCst);
        let outcomes = self.inner.apply(log, runs).await?;
        let applied = outcomes.iter().map(|outcome| outcome.applied).sum();
        self.applied.fetch_add(applied, Ordering::SeqCst);
        let lost = self.lost_answers.load(Ordering::SeqCst);
        if lost > 0 {
            self.lost_answers.store(lost - 1, Ordering::SeqCst);
            return Err(Error::unknown("rig", "the answer was lost"));
        }
        Ok(outcomes)
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        self.rebase.enter()?;
        self.rebase.pass().await;
        self.inner.rebase(log, rebase).await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        self.inner.remove(grain, expected).await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        self.inner.prune(grains).await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        self.get.pass().await;
        self.inner.get(grain).await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        self.load.enter()?;
        let damaged = |grain: &&GrainId| self.damaged.lock().contains(*grain);
        if let Some(grain) = grains.iter().find(damaged) {
            return Err(Error::permanent("rig", "damaged").of(grain));
        }
        let answer = self.inner.cursor(grains).await;
        self.load.pass().await;
        answer
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
        self.resident && self.inner.is_resident()
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.inner.peek(grain).filter(|_| self.resident)
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        self.inner.handle(grain).filter(|_| self.resident)
    }
}
