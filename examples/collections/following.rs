//! [`Following`]: a database that follows another's.

use std::sync::Arc;
use std::time::Duration;

use gleaner::{Cursor, FollowError, Follower, GrainId, Health, ReplicaStore, ReplicationLog};
use tokio::time::Instant;

use crate::engine::{Engine, Found, SearchError};
use crate::nearest::{Hit, Query};
use crate::operation::{Operation, WriteError};

/// How long a database goes unasked-for at most; hints of the log make it shorter.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A database of vector collections elsewhere than at its owner: follows the owner's log into an
/// [`Engine`], is searched there, and takes no writes.
pub(crate) struct Following {
    engine: Engine,
    grain: GrainId,
    follower: Follower,
    leader: String,
}

/// How a database stands to its owner's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Standing {
    /// It holds every write that was acknowledged longer ago than this; none until that was proved
    /// once.
    pub(crate) age: Option<Duration>,
    pub(crate) health: Health,
}

impl Following {
    /// Begins to follow. `leader` is where a write is sent to by its refusal.
    pub(crate) async fn start(
        log: Arc<dyn ReplicationLog>,
        engine: Engine,
        grain: GrainId,
        leader: impl Into<String>,
    ) -> Result<Self, FollowError> {
        let store: Arc<dyn ReplicaStore> = Arc::new(engine.clone());
        let follower = Follower::builder(log, store)
            .poll_interval(POLL_INTERVAL)
            .spawn();
        follower.follow(grain.clone()).await?;
        Ok(Self {
            engine,
            grain,
            follower,
            leader: leader.into(),
        })
    }

    /// The points nearest to a query's vector, nearest first, and how old that is; served from the
    /// engine, whatever has become of the leader.
    pub(crate) async fn search(
        &self,
        query: Query,
    ) -> Result<(Found<Vec<Hit>>, Standing), SearchError> {
        let asked = Instant::now();
        let Standing { age, health } = self.standing();
        let found = self.engine.search(&self.grain, query).await?;
        // What was held when the age was told is held still; the age has grown meanwhile.
        let age = age.map(|age| age.saturating_add(asked.elapsed()));
        Ok((found, Standing { age, health }))
    }

    /// How many points a collection has.
    pub(crate) async fn count(&self, collection: &str) -> Result<Found<u64>, SearchError> {
        self.engine.count(&self.grain, collection.to_owned()).await
    }

    /// Refuses: there is one writer, and it is elsewhere.
    ///
    /// # Errors
    /// [`WriteError::ReadOnly`], always.
    pub(crate) fn write(&self, _: Vec<Operation>) -> Result<Cursor, WriteError> {
        Err(WriteError::ReadOnly {
            leader: self.leader.clone(),
        })
    }

    /// How it stands at this moment.
    pub(crate) fn standing(&self) -> Standing {
        let worst = self.follower.worst(1).into_iter().next();
        let (age, health) = worst.map_or((None, Health::Bootstrapping), |(_, age, health)| {
            (age, health)
        });
        Standing { age, health }
    }

    /// Waits until a write has come here; where the database stands then.
    ///
    /// # Cancel safety
    /// Waits only.
    pub(crate) async fn reached(&self, wanted: Cursor) -> gleaner::Result<Cursor> {
        // Before the first look, so that nothing falls between a look and the wait for it.
        let mut watch = self.follower.watch(&self.grain);
        loop {
            let cursor = self.cursor().await?;
            if cursor.holds(wanted) {
                return Ok(cursor);
            }
            if !watch.changed().await {
                return Err(gleaner::Error::permanent(
                    "collections",
                    "the follower has ended",
                ));
            }
        }
    }

    async fn cursor(&self) -> gleaner::Result<Cursor> {
        let marks = self
            .engine
            .cursor(std::slice::from_ref(&self.grain))
            .await?;
        Ok(marks.first().map_or(Cursor::ZERO, |mark| mark.cursor))
    }

    /// Ends; what is being applied is applied.
    pub(crate) async fn close(self) {
        self.follower.shutdown().await;
    }
}
