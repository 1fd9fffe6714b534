//! [`Together`]: one log opened three times, as by three processes, each call through the next of them.
//! The third is opened as behind a pooler.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{
    Appended, Budget, CatchUp, ChangeFeed, Changes, Claim, Cursor, Entry, Filter, GrainId, Head,
    HeadPage, Identity, Limits, Page, Position, ReplicationLog, Result, Truncation,
};
use gleaner_postgres::{PostgresLog, PostgresLogConfig};

pub(crate) struct Together {
    logs: [PostgresLog; 3],
    next: AtomicUsize,
}

impl Together {
    pub(crate) async fn open(config: PostgresLogConfig) -> Self {
        // At the same moment: they make the tables together.
        let (first, second, third) = tokio::join!(
            config.clone().open(),
            config.clone().open(),
            config.pooler(true).open()
        );
        Self {
            logs: [first.unwrap(), second.unwrap(), third.unwrap()],
            next: AtomicUsize::new(0),
        }
    }

    fn log(&self) -> &PostgresLog {
        &self.logs[self.next.fetch_add(1, Ordering::Relaxed) % 3]
    }
}

#[async_trait]
impl ReplicationLog for Together {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        self.log().append_batch(entries).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        self.log().claim(claims).await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        self.log().heads(grains).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        self.log().list_heads(filter, after, limit).await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        self.log().read_from(grain, after, budget).await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        self.log().truncate(grain, before).await
    }

    fn limits(&self) -> Limits {
        self.log().limits()
    }

    async fn identity(&self) -> Result<Identity> {
        self.log().identity().await
    }

    fn confirms(&self) -> bool {
        self.log().confirms()
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        self.log().catch_up(wants, budget).await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}

#[async_trait]
impl ChangeFeed for Together {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        self.log().feed().unwrap().start(filter).await
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        self.log()
            .feed()
            .unwrap()
            .changes(since, filter, limit)
            .await
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        self.log().feed().unwrap().wait(since, at_most).await;
    }
}
