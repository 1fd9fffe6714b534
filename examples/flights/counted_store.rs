//! [`CountedStore`]: a replica store that counts what is applied to it, and can hold still to be
//! killed at an exact count.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use gleaner::{
    Advance, Binding, Expected, Filter, GrainId, LogId, Mark, Outcome, Rebase, Replica,
    ReplicaHandle, ReplicaPage, ReplicaStore, Result, UnixMillis,
};

use crate::lags::Lags;

/// Passes every call on; counts grain results that moved a replica, and the lag of each.
pub(crate) struct CountedStore {
    inner: Arc<dyn ReplicaStore>,
    applied: AtomicU64,
    lags: Mutex<Lags>,
    /// Set: results are applied one call at a time, cut so that the count is met exactly, and then
    /// no call returns any more.
    kill: Option<Kill>,
}

struct Kill {
    after: u64,
    one_at_a_time: tokio::sync::Mutex<()>,
}

impl CountedStore {
    /// Counts, and no more.
    pub(crate) fn new(inner: Arc<dyn ReplicaStore>) -> Self {
        Self {
            inner,
            applied: AtomicU64::new(0),
            lags: Mutex::new(Lags::default()),
            kill: None,
        }
    }

    /// Says on standard output when so many grain results are durable, and waits to be killed.
    pub(crate) fn until_killed(inner: Arc<dyn ReplicaStore>, after: u64) -> Self {
        Self {
            kill: Some(Kill {
                after,
                one_at_a_time: tokio::sync::Mutex::new(()),
            }),
            ..Self::new(inner)
        }
    }

    /// Grain results that moved a replica since this process began.
    pub(crate) fn applied(&self) -> u64 {
        self.applied.load(Ordering::Relaxed)
    }

    /// Their lags so far.
    pub(crate) fn lags(&self) -> Lags {
        self.lags
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn count(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let written: Vec<Vec<UnixMillis>> = runs
            .iter()
            .map(|run| run.entries.iter().map(gleaner::Entry::written_at).collect())
            .collect();
        let outcomes = self.inner.apply(log, runs).await?;
        for (outcome, written) in outcomes.iter().zip(&written) {
            if outcome.applied > 0 {
                let last = match outcome.stop {
                    None => written.last(),
                    Some(_) => written.get(outcome.applied.saturating_sub(1)),
                };
                self.note(last.copied());
            }
        }
        Ok(outcomes)
    }

    fn note(&self, written_at: Option<UnixMillis>) {
        self.applied.fetch_add(1, Ordering::Relaxed);
        if let Some(written_at) = written_at {
            self.lags
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .note(written_at);
        }
    }

    /// How many more results there may be before the kill, which comes at none.
    async fn room(&self, kill: &Kill) -> usize {
        let applied = self.applied();
        if applied < kill.after {
            return usize::try_from(kill.after - applied).unwrap_or(usize::MAX);
        }
        // If it cannot be said, the parent is gone, and waits for nothing.
        let mut out = std::io::stdout();
        let _ = writeln!(out, "{WAITING}{applied}").and_then(|()| out.flush());
        std::future::pending().await
    }
}

/// What the killing parent looks for; the count follows.
pub(crate) const WAITING: &str = "waiting_to_be_killed_at=";

#[async_trait]
impl ReplicaStore for CountedStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        self.inner.bind(log, replacing).await
    }

    async fn apply(&self, log: &LogId, mut runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let Some(kill) = &self.kill else {
            return self.count(log, runs).await;
        };
        let _turn = kill.one_at_a_time.lock().await;
        let mut outcomes = Vec::with_capacity(runs.len());
        while !runs.is_empty() {
            let room = self.room(kill).await;
            let rest = runs.split_off(room.min(runs.len()));
            outcomes.extend(self.count(log, runs).await?);
            runs = rest;
        }
        self.room(kill).await;
        Ok(outcomes)
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let written_at = rebase.entries.last().map(gleaner::Entry::written_at);
        let _turn = match &self.kill {
            Some(kill) => Some(kill.one_at_a_time.lock().await),
            None => None,
        };
        let outcome = self.inner.rebase(log, rebase).await?;
        if outcome.applied > 0 {
            self.note(written_at);
        }
        if let Some(kill) = &self.kill {
            self.room(kill).await;
        }
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
