//! [`PostgresReplicaStore`]: the store's methods, each handed to a session.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gleaner_core::{
    Advance, Binding, Error, Expected, Filter, Fold, GrainId, LogId, Mark, Outcome, Rebase,
    Replica, ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};

use crate::apply::Applies;
use crate::config::PostgresStoreConfig;
use crate::error::BACKEND;
use crate::replica_reads::ReplicaReads;
use crate::schema::STORE;
use crate::session::Sessions;
use crate::turn::Task;

/// The largest state that can be allowed: far below the 1 GiB of a value, since a turn of an apply and
/// a page of a listing hold several.
const LARGEST_STATE: usize = 128 << 20;
/// How often a binding is tried anew that somebody else's came between.
const BINDS: usize = 8;
/// How many replicas one transaction removes at most: other writers wait for it.
const REMOVED_AT_ONCE: usize = 4096;

/// A replica store in a PostgreSQL database, which any number of processes may share.
///
/// A clone is another handle to the same store. What it writes is done by tasks of the runtime that it is
/// used on: a call that is dropped is carried out all the same.
///
/// Replicas are not resident: their rows are shared with other processes, which may move them at any
/// moment, and what was read a moment ago would be shown as if it were the replica. So `peek` and
/// `handle` answer none, and a read is a round trip.
///
/// # Concurrency
/// Nothing is held in memory, and the server decides between calls as between processes. A row is written
/// iff it still is the one that was judged, generation and cursor; who loses reads it again. Writers of
/// replicas share a lock that who binds the store or removes replicas takes alone, so that a replica that
/// was removed is not brought back by whoever did not see it (S8), and nothing is applied to a store that
/// was bound anew (S9). Readers wait for nobody.
#[derive(Clone)]
pub struct PostgresReplicaStore {
    inner: Arc<Inner>,
}

struct Inner {
    sessions: Sessions,
    reads: ReplicaReads,
    applies: Applies,
}

impl fmt::Debug for PostgresReplicaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresReplicaStore")
            .field("place", &self.inner.sessions.place.name)
            .finish_non_exhaustive()
    }
}

impl PostgresReplicaStore {
    /// Opens the store at a URL with the defaults; makes its tables if there are none. Without a fold, a
    /// Delta stops its run.
    ///
    /// A server that cannot be reached now is no error: each call tries again, and says so.
    ///
    /// # Errors
    /// As [`PostgresLog::open`](crate::PostgresLog::open).
    pub async fn open(url: &str, fold: Option<Arc<dyn Fold>>) -> Result<Self> {
        let config = Self::builder(url)?;
        match fold {
            Some(fold) => config.fold(fold).open().await,
            None => config.open().await,
        }
    }

    /// Begins to open the store at a URL, with settings of one's own.
    ///
    /// # Errors
    /// `Invalid`; nothing of the URL that may be a secret is repeated.
    pub fn builder(url: &str) -> Result<PostgresStoreConfig> {
        PostgresStoreConfig::new(url)
    }

    pub(crate) async fn open_with(config: PostgresStoreConfig) -> Result<Self> {
        if config.max_state > LARGEST_STATE {
            let message = format!("states of more than {LARGEST_STATE} bytes cannot be held");
            return Err(Error::invalid(BACKEND, message));
        }
        let sessions = config.server.sessions(&STORE)?;
        sessions.look().await?;
        let schema = &sessions.place.schema;
        Ok(Self {
            inner: Arc::new(Inner {
                reads: ReplicaReads::new(schema),
                applies: Applies::new(schema, config.fold, config.max_state),
                sessions,
            }),
        })
    }

    /// Has something written that goes on when the caller does not wait for it.
    async fn write<T, W>(&self, work: impl FnOnce(Arc<Inner>) -> W) -> Result<T>
    where
        W: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let ended = |error| Error::unknown(BACKEND, "the writing task has ended").caused_by(error);
        tokio::spawn(work(Arc::clone(&self.inner)))
            .await
            .map_err(ended)?
    }
}

impl Inner {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        let place = &self.sessions.place;
        for _ in 0..BINDS {
            match self.reads.bound(&self.sessions).await? {
                Some(bound) if bound == *log => return Ok(Binding::Bound),
                Some(other) if replacing != Some(&other) => {
                    return Ok(Binding::Foreign { log: other });
                }
                _ => {}
            }
            let session = self.sessions.get().await?;
            let writes = self.applies.writes();
            let bound = self
                .sessions
                .within(writes.bind(&session, log, replacing))
                .await
                .map_err(|fault| fault.in_doubt("bind", &place.name))?;
            if bound {
                return Ok(Binding::Bound);
            }
        }
        let message = "the store is bound faster than it can be looked at";
        Err(Error::transient(BACKEND, message))
    }

    async fn remove(&self, grains: &[GrainId], expected: Option<Expected>) -> Result<u64> {
        let place = &self.sessions.place;
        let mut removed = 0_u64;
        for grains in grains.chunks(REMOVED_AT_ONCE) {
            let session = self.sessions.get().await?;
            let writes = self.applies.writes();
            let gone = self
                .sessions
                .within(writes.remove(&session, place, grains, expected))
                .await
                .map_err(|fault| fault.in_doubt("remove", &place.name))?;
            removed = removed.saturating_add(gone);
        }
        Ok(removed)
    }
}

#[async_trait]
impl ReplicaStore for PostgresReplicaStore {
    /// As the trait says; two round trips where the binding changes.
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        let (log, replacing) = (log.clone(), replacing.cloned());
        self.write(|inner| async move { inner.bind(&log, replacing.as_ref()).await })
            .await
    }

    /// As the trait says. A row that is damaged stops its own run with
    /// [`StopReason::Fold`](gleaner_core::StopReason::Fold), whatever the entries: there is no state to
    /// go on from.
    ///
    /// # Cost
    /// Two round trips, one to read and one to write in a transaction, for each 1,024 grains or 8 MiB;
    /// again for those grains that another process moves at the same time.
    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let log = log.clone();
        self.write(|inner| async move {
            let tasks: Vec<Task> = runs.into_iter().map(Task::Apply).collect();
            inner.applies.settle(&inner.sessions, &log, &tasks).await
        })
        .await
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let log = log.clone();
        self.write(|inner| async move {
            let tasks = [Task::Rebase(rebase)];
            let outcomes = inner.applies.settle(&inner.sessions, &log, &tasks).await?;
            let unanswered = || Error::unknown(BACKEND, "a rebase was not answered");
            outcomes.into_iter().next().ok_or_else(unanswered)
        })
        .await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        let grains = [grain.clone()];
        self.write(|inner| async move { Ok(inner.remove(&grains, Some(expected)).await? > 0) })
            .await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        let grains = grains.to_vec();
        self.write(|inner| async move { inner.remove(&grains, None).await })
            .await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        self.inner.reads.get(&self.inner.sessions, grain).await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        self.inner.reads.marks(&self.inner.sessions, grains).await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        self.inner
            .reads
            .list(&self.inner.sessions, filter, after, limit)
            .await
    }

    /// Never: rows are shared with other processes.
    fn is_resident(&self) -> bool {
        false
    }

    fn peek(&self, _: &GrainId) -> Option<Replica> {
        None
    }

    fn handle(&self, _: &GrainId) -> Option<ReplicaHandle> {
        None
    }
}
