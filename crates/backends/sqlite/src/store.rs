//! [`SqliteReplicaStore`]: the store's methods, each handed to the writer's thread, to a reader, or
//! answered from memory.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use gleaner_core::{
    Advance, Binding, Entry, Expected, Filter, Fold, GrainId, LogId, Mark, Outcome, Rebase,
    Replica, ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};

use crate::apply::StoreSession;
use crate::config::SqliteStoreConfig;
use crate::place::{Place, Role};
use crate::readers::Readers;
use crate::replica_rows as rows;
use crate::resident::{Known, Residents};
use crate::schema::STORE;
use crate::writer::Writer;

/// A replica store in an SQLite file.
///
/// A clone is another handle to the same store. It is meant for one process at a time: a second one
/// on the same file cannot tear anything, but the residents of the first learn of its writes only
/// when they are asked for their cursor or applied to.
///
/// # Concurrency
/// All writing goes through one thread, several applies to a transaction. Residents change after the
/// commit and before the answer, so what `peek` shows is in the file, and what was answered is shown.
#[derive(Clone)]
pub struct SqliteReplicaStore {
    inner: Arc<Inner>,
}

struct Inner {
    place: Arc<Place>,
    writer: Writer<StoreSession>,
    readers: Readers,
    residents: Option<Arc<Residents>>,
}

impl fmt::Debug for SqliteReplicaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReplicaStore")
            .field("path", &self.inner.place.path)
            .field("residents", &self.inner.residents)
            .finish_non_exhaustive()
    }
}

impl SqliteReplicaStore {
    /// Opens the store at a path with the defaults; creates it if there is none. Without a fold, a
    /// Delta stops its run.
    ///
    /// # Errors
    /// As [`SqliteLog::open`](crate::SqliteLog::open).
    pub async fn open(path: impl AsRef<Path>, fold: Option<Arc<dyn Fold>>) -> Result<Self> {
        let config = Self::builder(path);
        match fold {
            Some(fold) => config.fold(fold).open().await,
            None => config.open().await,
        }
    }

    /// Begins to open the store at a path, with settings of one's own.
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreConfig {
        SqliteStoreConfig::new(path)
    }

    pub(crate) async fn open_with(config: SqliteStoreConfig) -> Result<Self> {
        let place = Arc::new(Place::new(&config.path, &STORE, config.busy)?);
        let role = if config.create {
            Role::Create
        } else {
            Role::Write
        };
        let link = Arc::clone(&place).open(role).await?;
        let residents = config.resident.then(Arc::<Residents>::default);
        let session = StoreSession::new(config.fold, config.max_state, residents.clone());
        let inner = Inner {
            writer: Writer::spawn(Arc::clone(&place), link, session)?,
            readers: Readers::new(Arc::clone(&place), config.readers),
            residents,
            place,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The file, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.inner.place.path
    }
}

fn weight(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.payload().len()).sum()
}

#[async_trait]
impl ReplicaStore for SqliteReplicaStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        let (log, replacing) = (log.clone(), replacing.cloned());
        self.inner
            .writer
            .call(0, move |session, _| {
                Ok(session.bind(&log, replacing.as_ref()))
            })
            .await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let log = log.clone();
        let weight = runs.iter().map(|run| weight(&run.entries)).sum();
        self.inner
            .writer
            .call(weight, move |session, conn| {
                runs.iter()
                    .map(|run| session.apply(conn, &log, run))
                    .collect()
            })
            .await
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let log = log.clone();
        self.inner
            .writer
            .call(weight(&rebase.entries), move |session, conn| {
                session.rebase(conn, &log, &rebase)
            })
            .await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        let grain = grain.clone();
        self.inner
            .writer
            .call(0, move |session, conn| {
                session.remove(conn, &grain, Some(expected))
            })
            .await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        let grains = grains.to_vec();
        self.inner
            .writer
            .call(0, move |session, conn| {
                let mut removed = 0;
                for grain in &grains {
                    removed += u64::from(session.remove(conn, grain, None)?);
                }
                Ok(removed)
            })
            .await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        let Some(residents) = &self.inner.residents else {
            let grain = grain.clone();
            return self
                .inner
                .readers
                .read(move |conn, _| {
                    let (bound, _) = rows::read_meta(conn)?;
                    let row = rows::find(conn, &grain, bound.as_ref())?;
                    row.map(|row| row.load(conn)).transpose()
                })
                .await;
        };
        if let Known::Loaded(replica) = residents.known(grain) {
            return Ok(replica);
        }
        let grain = grain.clone();
        let look = {
            let grain = grain.clone();
            move |session: &mut StoreSession, conn: &_| session.look(conn, &grain)
        };
        self.inner.writer.call(0, look).await?;
        Ok(residents.peek(&grain))
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        let grains = grains.to_vec();
        if self.inner.residents.is_some() {
            // By the writer's thread, so that what becomes resident is never older than what is.
            return self
                .inner
                .writer
                .call(0, move |session, conn| {
                    grains
                        .iter()
                        .map(|grain| session.look(conn, grain))
                        .collect()
                })
                .await;
        }
        self.inner
            .readers
            .read(move |conn, _| {
                let (bound, absent) = rows::read_meta(conn)?;
                grains
                    .iter()
                    .map(|grain| {
                        let row = rows::find(conn, grain, bound.as_ref())?;
                        Ok(row.map_or_else(|| Mark::absent(absent), |row| row.mark))
                    })
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
        self.inner
            .readers
            .read(move |conn, _| rows::list(conn, &filter, after.as_ref(), limit))
            .await
    }

    fn is_resident(&self) -> bool {
        self.inner.residents.is_some()
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.inner.residents.as_ref()?.peek(grain)
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        let residents = self.inner.residents.as_ref()?;
        Some(residents.handle(grain))
    }
}
