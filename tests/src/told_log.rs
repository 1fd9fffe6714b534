//! [`ToldLog`]: a log that says which entries are read from it.

use std::sync::Arc;

use async_trait::async_trait;
use gleaner::{
    Appended, Budget, CatchUp, Caught, ChangeFeed, Claim, Cursor, Entry, Filter, GrainId, Head,
    HeadPage, Identity, Limits, Page, ReplicationLog, Result, Truncation,
};

use crate::report::{Report, say};

/// Passes every call on, and says each entry that an answer holds before it is given out.
pub struct ToldLog {
    inner: Arc<dyn ReplicationLog>,
}

impl ToldLog {
    /// Around a log.
    pub fn new(inner: Arc<dyn ReplicationLog>) -> Self {
        Self { inner }
    }
}

impl std::fmt::Debug for ToldLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ToldLog")
    }
}

fn tell(entries: &[Entry]) {
    for entry in entries {
        say(&Report::Read {
            key: entry.grain().grain_key().to_owned(),
            cursor: entry.cursor(),
        });
    }
}

#[async_trait]
impl ReplicationLog for ToldLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        self.inner.append_batch(entries).await
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
        let page = self.inner.read_from(grain, after, budget).await?;
        tell(&page.entries);
        Ok(page)
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
        let answer = self.inner.catch_up(wants, budget).await?;
        for caught in &answer.grains {
            if let Caught::Run(run) = caught {
                tell(&run.entries);
            }
        }
        Ok(answer)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.inner.feed()
    }
}
