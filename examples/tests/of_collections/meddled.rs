//! [`Meddled`]: a log to which another owner writes between a look at it and a claim.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gleaner::{
    Appended, Budget, Claim, Cursor, Entry, Filter, GrainId, Head, HeadPage, Identity, Limits,
    Page, ReplicationLog, Result, Truncation,
};

use crate::database::{Database, grain};
use crate::operation::Operation;

pub(crate) struct Meddled {
    pub(crate) inner: Arc<dyn ReplicationLog>,
    pub(crate) done: AtomicBool,
}

#[async_trait]
impl ReplicationLog for Meddled {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        self.inner.append_batch(entries).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        if !self.done.swap(true, Ordering::SeqCst) {
            let other = Database::open(Arc::clone(&self.inner), &grain("main").unwrap())
                .await
                .unwrap();
            let operation = Operation::CreateCollection {
                name: "theirs".to_owned(),
                dimensions: 2,
            };
            other.write(vec![operation]).await.unwrap();
            other.close().await.unwrap();
        }
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

    async fn identity(&self) -> Result<Identity> {
        self.inner.identity().await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    fn confirms(&self) -> bool {
        self.inner.confirms()
    }
}
