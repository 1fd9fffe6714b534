//! [`Engine`]: a vector collection engine in an `SQLite` file that is a replica store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use gleaner::{
    Advance, Binding, Cursor, Error, Expected, Filter, GrainId, Limits, LogId, Mark, Outcome,
    Rebase, Replica, ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};
use parking_lot::Mutex;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::Semaphore;

use crate::apply::Session;
use crate::nearest::{Hit, Query};
use crate::operation::Refused;
use crate::payload::{Bincoded, Payloads};
use crate::rows::{self, DatabaseRow, Meta};
use crate::schema::{BACKEND, Fault, create, damaged, open_for_reading};
use crate::tables::{NotDone, Tables};

/// How many reads go on at once; the processors are few.
const READERS: usize = 4;
/// How many databases outside its filter a page of a listing passes over.
const SCAN: usize = 1000;
/// The bytes of states after which a page of a listing takes no further one.
const PAGE_BYTES: usize = 64 << 20;

/// Databases of vector collections, one a grain, as replicas of what their owners publish.
///
/// It applies operations itself: an upsert changes a row. Operations, cursor, digest and generation
/// are written in one transaction with `synchronous=FULL`, so that after a kill or a power loss a
/// database is before or after an entry, and what was answered is there (S1, S5). Searches and reads
/// are transactions of their own on other connections: each sees a database and its cursor of one
/// moment, while the next entries are being written (S4). Replicas are not resident; the state that
/// [`get`](ReplicaStore::get) gives is written from the tables, byte for byte what the owner's
/// `FullState` of that cursor says.
///
/// A clone is another handle.
///
/// # Concurrency
/// The writer's lock is held for a transaction, by a thread that may block; a call that is dropped
/// goes on to its end there. Other processes on the same file are kept apart by `SQLite`'s locks.
#[derive(Clone)]
pub(crate) struct Engine(Arc<Inner>);

struct Inner {
    path: PathBuf,
    payloads: Box<dyn Payloads>,
    max_state: usize,
    writer: Mutex<Connection>,
    idle: Mutex<Vec<Connection>>,
    reading: Semaphore,
}

/// What was found, and in which state of the database.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found<T> {
    pub(crate) what: T,
    pub(crate) cursor: Cursor,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Nothing has come from the owner yet, or the database has ended.
    #[error("there is no database yet")]
    NoDatabase,
    #[error(transparent)]
    Store(#[from] Error),
}

impl Engine {
    /// Opens the file at a path, and makes one if there is none.
    ///
    /// # Errors
    /// `Permanent` for a file of another program.
    pub(crate) async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Box::new(Bincoded), Limits::DEFAULT_MAX_PAYLOAD).await
    }

    /// [`Self::open`] with payloads and a bound on states of one's own.
    pub(crate) async fn open_with(
        path: impl AsRef<Path>,
        payloads: Box<dyn Payloads>,
        max_state: usize,
    ) -> Result<Self> {
        let path = path.as_ref().to_owned();
        blocking(move || {
            let writer = create(&path)?;
            Ok(Self(Arc::new(Inner {
                path,
                payloads,
                max_state,
                writer: Mutex::new(writer),
                idle: Mutex::default(),
                reading: Semaphore::new(READERS),
            })))
        })
        .await
    }

    /// The points of a database that are nearest to a query's vector, nearest first. A scan over the
    /// collection; it holds up no entry.
    pub(crate) async fn search(
        &self,
        grain: &GrainId,
        query: Query,
    ) -> Result<Found<Vec<Hit>>, SearchError> {
        self.look(grain, move |tables| tables.search(&query)).await
    }

    /// How many points a collection has.
    pub(crate) async fn count(
        &self,
        grain: &GrainId,
        collection: String,
    ) -> Result<Found<u64>, SearchError> {
        self.look(grain, move |tables| tables.count(&collection))
            .await
    }

    async fn look<T: Send + 'static>(
        &self,
        grain: &GrainId,
        look: impl FnOnce(&Tables<'_>) -> Result<T, NotDone> + Send + 'static,
    ) -> Result<Found<T>, SearchError> {
        let grain = grain.clone();
        self.read(move |conn, _| {
            let Some(row) = rows::find(conn, &grain)?.filter(|row| row.size.is_some()) else {
                return Ok(Err(SearchError::NoDatabase));
            };
            let tables = Tables {
                conn,
                database: row.id,
            };
            match look(&tables) {
                Ok(what) => Ok(Ok(Found {
                    what,
                    cursor: row.stamp.cursor,
                })),
                Err(NotDone::Refused(why)) => Ok(Err(why.into())),
                Err(NotDone::Failed(fault)) => Err(fault),
            }
        })
        .await?
    }

    /// One writing transaction: all of it or, after an error, nothing.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let mut conn = inner.writer.lock();
            // With the lock of the file from the start, so that what is read stays true.
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut session = Session {
                conn: &transaction,
                meta: Meta::read(&transaction)?,
                payloads: &*inner.payloads,
                max_state: inner.max_state,
            };
            let done = work(&mut session)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    /// Reads from one snapshot of the file.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &dyn Payloads) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        // It is never closed.
        let _permit = self.0.reading.acquire().await.map_err(ended)?;
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let idle = inner.idle.lock().pop();
            let mut conn = match idle {
                Some(conn) => conn,
                None => open_for_reading(&inner.path)?,
            };
            let transaction = conn.transaction()?;
            let read = work(&transaction, &*inner.payloads)?;
            transaction.finish()?;
            inner.idle.lock().push(conn);
            Ok(read)
        })
        .await
    }
}

/// Does what blocks, on a thread that may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await.map_err(ended)?;
    done.map_err(Fault::into_error)
}

/// The runtime is going down, or the work panicked: its transaction is rolled back.
fn ended(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::transient(BACKEND, "the work came to no end").caused_by(error)
}

/// A replica with its state, as its owner's `FullState` says it.
fn load(conn: &Connection, payloads: &dyn Payloads, row: DatabaseRow) -> Result<Replica, Fault> {
    if row.size.is_none() {
        return Ok(Replica::new(row.stamp, None));
    }
    let tables = Tables {
        conn,
        database: row.id,
    };
    let state = payloads.write(&tables.whole()?).map_err(damaged)?;
    Ok(Replica::sharing(row.stamp, Some(state)))
}

#[async_trait]
impl ReplicaStore for Engine {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        let (log, replacing) = (log.clone(), replacing.cloned());
        self.write(move |session| session.bind(&log, replacing.as_ref()))
            .await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let log = log.clone();
        self.write(move |session| runs.iter().map(|run| session.apply(&log, run)).collect())
            .await
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let log = log.clone();
        self.write(move |session| session.rebase(&log, &rebase))
            .await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        let grain = grain.clone();
        self.write(move |session| session.remove(&grain, Some(expected)))
            .await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        let grains = grains.to_vec();
        self.write(move |session| {
            let mut removed = 0;
            for grain in &grains {
                removed += u64::from(session.remove(grain, None)?);
            }
            Ok(removed)
        })
        .await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        let grain = grain.clone();
        self.read(move |conn, payloads| {
            let row = rows::find(conn, &grain)?;
            row.map(|row| load(conn, payloads, row)).transpose()
        })
        .await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        let grains = grains.to_vec();
        self.read(move |conn, _| {
            let meta = Meta::read(conn)?;
            grains
                .iter()
                .map(|grain| Ok(rows::mark(rows::find(conn, grain)?.as_ref(), &meta)))
                .collect()
        })
        .await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.read(move |conn, payloads| {
            let mut page = ReplicaPage::default();
            let (mut bytes, mut passed) = (0, 0);
            rows::walk(conn, after.as_ref(), |grain, row| {
                if !filter.includes(&grain) {
                    passed += 1;
                    if passed == SCAN {
                        page.next = Some(grain);
                    }
                    return Ok(passed < SCAN);
                }
                if page.replicas.len() == limit.max(1) || bytes > PAGE_BYTES {
                    page.next = page.replicas.last().map(|(last, _)| last.clone());
                    return Ok(false);
                }
                bytes += row.size.unwrap_or(0);
                page.replicas.push((grain, load(conn, payloads, row)?));
                Ok(true)
            })?;
            Ok(page)
        })
        .await
    }

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
