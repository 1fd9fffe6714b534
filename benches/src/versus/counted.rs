//! [`Counted`]: what goes through a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use gleaner::{
    Appended, Budget, CatchUp, Caught, ChangeFeed, Changes, Claim, Cursor, Entry, Error, Filter,
    GrainId, Head, HeadPage, Identity, Limits, Page, Position, Pushed, ReplicationLog, Result,
    Truncation,
};

/// Counts every call of a log and of its feed, waits included, and the payload bytes that reads bring
/// back.
pub(crate) struct Counted {
    log: Arc<dyn ReplicationLog>,
    calls: AtomicU64,
    bytes: AtomicU64,
}

impl Counted {
    pub(crate) fn new(log: Arc<dyn ReplicationLog>) -> Arc<Self> {
        Arc::new(Self {
            log,
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub(crate) fn payload_bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn call(&self) -> &dyn ReplicationLog {
        self.calls.fetch_add(1, Relaxed);
        &*self.log
    }

    fn feed_call(&self) -> Result<&dyn ChangeFeed> {
        let feed = self.call().feed();
        feed.ok_or_else(|| Error::permanent("counted", "the log has lost its feed"))
    }

    fn brought(&self, entries: &[Entry]) {
        let bytes: usize = entries.iter().map(|entry| entry.payload().len()).sum();
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

#[async_trait]
impl ReplicationLog for Counted {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        self.call().append_batch(entries).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        self.call().claim(claims).await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        self.call().heads(grains).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        self.call().list_heads(filter, after, limit).await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        let page = self.call().read_from(grain, after, budget).await?;
        self.brought(&page.entries);
        Ok(page)
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        self.call().truncate(grain, before).await
    }

    fn limits(&self) -> Limits {
        self.log.limits()
    }

    async fn identity(&self) -> Result<Identity> {
        self.call().identity().await
    }

    fn confirms(&self) -> bool {
        self.log.confirms()
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        let caught = self.call().catch_up(wants, budget).await?;
        for grain in &caught.grains {
            if let Caught::Run(run) = grain {
                self.brought(&run.entries);
            }
        }
        Ok(caught)
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.log.feed().map(|_| self as &dyn ChangeFeed)
    }
}

#[async_trait]
impl ChangeFeed for Counted {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        self.feed_call()?.start(filter).await
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        self.feed_call()?.changes(since, filter, limit).await
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        match self.feed_call() {
            Ok(feed) => feed.wait(since, at_most).await,
            Err(_) => tokio::time::sleep(at_most).await,
        }
    }

    async fn pushed(&self, filter: &Filter) -> Pushed {
        let Ok(feed) = self.feed_call() else {
            return std::future::pending().await;
        };
        let pushed = feed.pushed(filter).await;
        for run in &pushed.runs {
            self.brought(&run.entries);
        }
        pushed
    }
}
