//! [`PatientLog`] and [`PatientStore`]: calls that are not answered in time are given up.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{
    Advance, Appended, Binding, Budget, CatchUp, ChangeFeed, Changes, Claim, Cursor, Entry, Error,
    Expected, Filter, GrainId, Head, HeadPage, Identity, Limits, LogId, Mark, Outcome, Page,
    Position, Pushed, Rebase, Replica, ReplicaHandle, ReplicaPage, ReplicaStore, ReplicationLog,
    Result, Truncation,
};
use tokio::time::timeout;

/// The result of a call, or `Unknown` when its time is up: every contract lets a call be dropped, and
/// says what may have happened then.
async fn within<T>(
    limit: Duration,
    what: &'static str,
    call: impl Future<Output = Result<T>>,
) -> Result<T> {
    #[cfg(gleaner_plant)]
    if gleaner_core::plant::Plant::LostAnswerWaitedForEver.is_planted() {
        return call.await;
    }
    timeout(limit, call)
        .await
        .unwrap_or_else(|_| Err(Error::unknown("follower", format!("{what} timed out"))))
}

/// A log whose every call ends: a lost answer must not leave a grain waiting for ever.
pub(crate) struct PatientLog {
    log: Arc<dyn ReplicationLog>,
    limit: Duration,
}

impl PatientLog {
    pub(crate) fn new(log: Arc<dyn ReplicationLog>, limit: Duration) -> Self {
        Self { log, limit }
    }

    fn the_feed(&self) -> Result<&dyn ChangeFeed> {
        self.log
            .feed()
            .ok_or_else(|| Error::transient("follower", "the log has no feed any more"))
    }
}

#[async_trait]
impl ReplicationLog for PatientLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        within(self.limit, "append", self.log.append_batch(entries)).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        within(self.limit, "claim", self.log.claim(claims)).await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        within(self.limit, "heads", self.log.heads(grains)).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        let call = self.log.list_heads(filter, after, limit);
        within(self.limit, "list_heads", call).await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        let call = self.log.read_from(grain, after, budget);
        within(self.limit, "read_from", call).await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        within(self.limit, "truncate", self.log.truncate(grain, before)).await
    }

    fn limits(&self) -> Limits {
        self.log.limits()
    }

    async fn identity(&self) -> Result<Identity> {
        within(self.limit, "identity", self.log.identity()).await
    }

    fn confirms(&self) -> bool {
        self.log.confirms()
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        within(self.limit, "catch_up", self.log.catch_up(wants, budget)).await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.log.feed().is_some().then_some(self)
    }
}

#[async_trait]
impl ChangeFeed for PatientLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        within(self.limit, "start", self.the_feed()?.start(filter)).await
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        let call = self.the_feed()?.changes(since, filter, limit);
        within(self.limit, "changes", call).await
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        let Some(feed) = self.log.feed() else {
            return tokio::time::sleep(at_most).await;
        };
        // Its own time is the limit. A wait that does not end by it is ended here.
        let _ = timeout(at_most, feed.wait(since, at_most)).await;
    }

    async fn pushed(&self, filter: &Filter) -> Pushed {
        // Not bounded in time: a log may have nothing to send for ever, and nothing waits for this.
        match self.log.feed() {
            Some(feed) => feed.pushed(filter).await,
            None => std::future::pending().await,
        }
    }
}

/// A store whose every call ends.
pub(crate) struct PatientStore {
    store: Arc<dyn ReplicaStore>,
    limit: Duration,
}

impl PatientStore {
    pub(crate) fn new(store: Arc<dyn ReplicaStore>, limit: Duration) -> Self {
        Self { store, limit }
    }
}

#[async_trait]
impl ReplicaStore for PatientStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        within(self.limit, "bind", self.store.bind(log, replacing)).await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        within(self.limit, "apply", self.store.apply(log, runs)).await
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        within(self.limit, "rebase", self.store.rebase(log, rebase)).await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        within(self.limit, "remove", self.store.remove(grain, expected)).await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        within(self.limit, "prune", self.store.prune(grains)).await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        within(self.limit, "get", self.store.get(grain)).await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        within(self.limit, "cursor", self.store.cursor(grains)).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        within(self.limit, "list", self.store.list(filter, after, limit)).await
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
