//! [`Ours`]: our log, as a user opens it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gleaner::postgres::PostgresLog;
use gleaner::{
    Budget, Caught, ChangeFeed, Claim, Cursor, Entry, Filter, GrainId, Position, ReplicationLog,
};

use super::contender::{Contender, NAMES};
use crate::Outcome;
use crate::versus::TYPE;
use crate::versus::logs::append_all;

/// What a follower allows one read.
const BUDGET: Budget = Budget::new(4_096, 16 << 20);

pub(crate) struct Ours {
    pub(crate) log: Arc<PostgresLog>,
    filter: Filter,
}

impl Ours {
    pub(crate) async fn open(url: &str) -> Outcome<Self> {
        Ok(Self::of(PostgresLog::open(url).await?))
    }

    /// Without NOTIFY and LISTEN.
    pub(crate) async fn open_without_hints(url: &str) -> Outcome<Self> {
        Ok(Self::of(
            PostgresLog::builder(url)?.hints(false).open().await?,
        ))
    }

    fn of(log: PostgresLog) -> Self {
        Self {
            log: Arc::new(log),
            filter: Filter::grain_type(TYPE),
        }
    }

    fn feed(&self) -> Outcome<&dyn ChangeFeed> {
        Ok(self.log.feed().ok_or("the log has no feed")?)
    }
}

#[async_trait]
impl Contender for Ours {
    type Place = Position;

    async fn claim(&self, claims: &[Claim]) -> Outcome<()> {
        for claimed in self.log.claim(claims).await? {
            claimed?;
        }
        Ok(())
    }

    async fn append(&self, _task: usize, entry: Entry) -> Outcome<()> {
        self.log.append(entry).await?;
        Ok(())
    }

    async fn append_batch(&self, entries: &[Entry]) -> Outcome<()> {
        append_all(&*self.log, entries).await
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)]) -> Outcome<Vec<(Cursor, Bytes)>> {
        let caught = self.log.catch_up(wants, BUDGET).await?;
        let mut states = Vec::with_capacity(wants.len());
        for grain in caught.grains {
            let Caught::Run(run) = grain else {
                return Err("a grain was not read".into());
            };
            let newest = run.entries.last();
            states.extend(newest.map(|entry| (entry.cursor(), entry.payload().clone())));
        }
        Ok(states)
    }

    async fn end(&self) -> Outcome<Position> {
        Ok(self.feed()?.start(&self.filter).await?)
    }

    async fn page(
        &self,
        since: &mut Position,
        moved: &mut Vec<(GrainId, Cursor)>,
    ) -> Outcome<bool> {
        let page = self.feed()?.changes(since, &self.filter, NAMES).await?;
        let heads = page.moved.into_iter();
        moved.extend(heads.map(|moved| (moved.grain, moved.head.cursor)));
        *since = page.next;
        Ok(page.complete)
    }
}
