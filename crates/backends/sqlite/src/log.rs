//! [`SqliteLog`]: the log's methods, each handed to the writer's thread or to a reader.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use gleaner_core::append::check_batch;
use gleaner_core::{
    Appended, Budget, CatchUp, ChangeFeed, Claim, Cursor, Entry, Error, Filter, GrainId, Head,
    HeadPage, Identity, Limits, Page, ReplicationLog, Result, Truncation,
};

use crate::append::{self, LogSession};
use crate::bell::{Bell, Watcher};
use crate::config::SqliteLogConfig;
use crate::error::BACKEND;
use crate::place::{Place, Role, pragma};
use crate::read;
use crate::readers::Readers;
use crate::rows;
use crate::schema::LOG;
use crate::writer::Writer;

/// The largest payload that can be allowed: what SQLite holds in a row, with room to spare.
const LARGEST_PAYLOAD: usize = 512 << 20;

/// A log in an SQLite file, which several processes may open at once.
///
/// A clone is another handle to the same log. The threads end when the last handle is dropped and
/// what was handed in is done.
///
/// # Concurrency
/// All writing of one `SqliteLog` goes through one thread, which puts whatever is waiting into one
/// transaction; those of several processes take turns by SQLite's lock. Reads run beside it, each
/// in a snapshot of its own.
#[derive(Clone)]
pub struct SqliteLog {
    inner: Arc<Inner>,
}

struct Inner {
    place: Arc<Place>,
    limits: Limits,
    writer: Writer<LogSession>,
    readers: Readers,
    bell: Arc<Bell>,
    watcher: Watcher,
}

impl fmt::Debug for SqliteLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLog")
            .field("path", &self.inner.place.path)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

impl SqliteLog {
    /// Opens the log at a path with the defaults; creates it if there is none.
    ///
    /// # Errors
    /// `Permanent` for a file that is not a log of gleaner's (it is left as it was), one of a newer
    /// schema, a read-only one, and a path where there can be none; `Transient` if others hold it
    /// locked for too long.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open().await
    }

    /// Begins to open the log at a path, with settings of one's own.
    pub fn builder(path: impl AsRef<Path>) -> SqliteLogConfig {
        SqliteLogConfig::new(path)
    }

    pub(crate) async fn open_with(config: SqliteLogConfig) -> Result<Self> {
        if config.limits.max_payload() > LARGEST_PAYLOAD {
            let message = format!("payloads of more than {LARGEST_PAYLOAD} bytes cannot be held");
            return Err(Error::invalid(BACKEND, message));
        }
        let place = Arc::new(Place::new(&config.path, &LOG, config.busy)?);
        let role = if config.create {
            Role::Create
        } else {
            Role::Write
        };
        let link = Arc::clone(&place).open(role).await?;
        let bell = Arc::new(Bell::new());
        let session = LogSession::new(config.limits, Arc::clone(&bell));
        let inner = Inner {
            limits: config.limits,
            writer: Writer::spawn(Arc::clone(&place), link, session)?,
            readers: Readers::new(Arc::clone(&place), config.readers),
            watcher: Watcher::new(Arc::clone(&place), Arc::clone(&bell)),
            bell,
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

    /// What SQLite answers to `PRAGMA synchronous` on the connection that writes: 2, which is FULL. Any
    /// other answer was refused when the file was opened; this asks again.
    ///
    /// # Errors
    /// As of an append.
    ///
    /// # Cancel safety
    /// Reads only.
    pub async fn synchronous(&self) -> Result<i32> {
        self.inner
            .writer
            .call(0, |_, conn| Ok(pragma(conn, "synchronous")?))
            .await
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.inner.readers
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.inner.bell
    }

    pub(crate) fn watcher(&self) -> &Watcher {
        &self.inner.watcher
    }
}

#[async_trait]
impl ReplicationLog for SqliteLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        check_batch(entries, &self.inner.limits, BACKEND)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let entries = entries.to_vec();
        let weight = entries.iter().map(|entry| entry.payload().len()).sum();
        self.inner
            .writer
            .call(weight, move |session, conn| {
                append::append(session, conn, &entries)
            })
            .await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let claims = claims.to_vec();
        self.inner
            .writer
            .call(0, move |_, conn| append::claim(conn, &claims))
            .await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let grains = grains.to_vec();
        self.inner
            .readers
            .read(move |conn, _| read::heads(conn, &grains))
            .await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.inner
            .readers
            .read(move |conn, file| read::list_heads(conn, file, &filter, after.as_ref(), limit))
            .await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        let grain = grain.clone();
        self.inner
            .readers
            .read(move |conn, _| read::read_from(conn, &grain, after, budget))
            .await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let grain = grain.clone();
        self.inner
            .writer
            .call(0, move |_, conn| append::truncate(conn, &grain, before))
            .await
    }

    fn limits(&self) -> Limits {
        self.inner.limits
    }

    async fn identity(&self) -> Result<Identity> {
        self.inner
            .readers
            .read(|conn, file| Ok(rows::read_meta(conn, file)?.0))
            .await
    }

    /// Always: every process reads the one file.
    fn confirms(&self) -> bool {
        true
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        let wants = wants.to_vec();
        self.inner
            .readers
            .read(move |conn, file| read::catch_up(conn, file, &wants, budget))
            .await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}
