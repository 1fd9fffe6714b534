//! [`CountedLog`]: a log that counts the entries written through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use gleaner::{
    Appended, Budget, CatchUp, ChangeFeed, Claim, Cursor, Entry, Filter, GrainId, Head, HeadPage,
    Identity, Limits, Page, ReplicationLog, Result, Truncation,
};

/// Passes every call on.
pub(crate) struct CountedLog {
    inner: Arc<dyn ReplicationLog>,
    landed: AtomicU64,
}

impl CountedLog {
    pub(crate) fn new(inner: Arc<dyn ReplicationLog>) -> Self {
        Self {
            inner,
            landed: AtomicU64::new(0),
        }
    }

    /// Entries that calls reported as being in the log. One that had to be sent twice, because the
    /// answer was lost, counts once: only the answered call is seen.
    pub(crate) fn landed(&self) -> u64 {
        self.landed.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ReplicationLog for CountedLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        let answers = self.inner.append_batch(entries).await?;
        let landed: usize = answers.iter().map(|answer| answer.landed).sum();
        self.landed.fetch_add(landed as u64, Ordering::Relaxed);
        Ok(answers)
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        self.inner.claim(claims).await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        self.inner.heads(grains).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        self.inner.list_heads(filter, after, limit).await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        self.inner.read_from(grain, after, budget).await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        self.inner.truncate(grain, before).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn identity(&self) -> Result<Identity> {
        self.inner.identity().await
    }

    fn confirms(&self) -> bool {
        self.inner.confirms()
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        self.inner.catch_up(wants, budget).await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.inner.feed()
    }
}
