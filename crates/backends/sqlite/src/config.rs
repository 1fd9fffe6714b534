//! [`SqliteLogConfig`] and [`SqliteStoreConfig`]: what can be set, and why it is as it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gleaner_core::{Fold, Limits, Result};

use crate::log::SqliteLog;
use crate::store::SqliteReplicaStore;

/// How long other processes' locks are waited for. Far above what a busy file needs; a process that
/// hangs in the middle of a transaction is told of as an error in the end.
const BUSY: Duration = Duration::from_secs(30);
/// Connections for reading. Reads are short and the processors few.
const READERS: usize = 4;

/// How a log is opened.
///
/// ```
/// # async fn open() -> gleaner_core::Result<()> {
/// use gleaner_core::Limits;
/// use gleaner_sqlite::SqliteLog;
/// let log = SqliteLog::builder("grains.db")
///     .limits(Limits::default().with_max_payload(1 << 20))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteLogConfig {
    pub(crate) path: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) busy: Duration,
    pub(crate) readers: usize,
    pub(crate) create: bool,
}

impl SqliteLogConfig {
    /// A log at a path, with the defaults.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            limits: Limits::default(),
            busy: BUSY,
            readers: READERS,
            create: true,
        }
    }

    /// The largest payload and batch (L12). Default: core's.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long locks of other processes are waited for before an operation is `Transient`.
    /// Default: 30 s.
    pub fn busy_timeout(mut self, at_most: Duration) -> Self {
        self.busy = at_most;
        self
    }

    /// The most connections that read at once; 1 to 256. Default: 4.
    pub fn readers(mut self, at_most: usize) -> Self {
        self.readers = at_most;
        self
    }

    /// Whether a file that is not there is created. Default: true. A file that vanishes later is
    /// never created again.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Opens the log.
    ///
    /// # Errors
    /// As [`SqliteLog::open`].
    pub async fn open(self) -> Result<SqliteLog> {
        SqliteLog::open_with(self).await
    }
}

/// How a replica store is opened.
///
/// ```
/// # async fn open() -> gleaner_core::Result<()> {
/// use gleaner_sqlite::SqliteReplicaStore;
/// let store = SqliteReplicaStore::builder("replicas.db")
///     .max_state(1 << 20)
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct SqliteStoreConfig {
    pub(crate) path: PathBuf,
    pub(crate) fold: Option<Arc<dyn Fold>>,
    pub(crate) max_state: usize,
    pub(crate) resident: bool,
    pub(crate) busy: Duration,
    pub(crate) readers: usize,
    pub(crate) create: bool,
}

impl fmt::Debug for SqliteStoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStoreConfig")
            .field("path", &self.path)
            .field("fold", &self.fold.is_some())
            .field("max_state", &self.max_state)
            .field("resident", &self.resident)
            .field("busy", &self.busy)
            .field("readers", &self.readers)
            .field("create", &self.create)
            .finish()
    }
}

impl SqliteStoreConfig {
    /// A store at a path, with the defaults.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            fold: None,
            max_state: Limits::DEFAULT_MAX_PAYLOAD,
            resident: true,
            busy: BUSY,
            readers: READERS,
            create: true,
        }
    }

    /// How Deltas are folded. Default: they are not, and stop their runs.
    pub fn fold(mut self, fold: Arc<dyn Fold>) -> Self {
        self.fold = Some(fold);
        self
    }

    /// The largest state kept, in bytes; a larger one stops its run. Default: 16 MiB, the largest
    /// payload of a log with the default limits.
    pub fn max_state(mut self, bytes: usize) -> Self {
        self.max_state = bytes;
        self
    }

    /// Whether replicas are held in memory too once they were asked for or applied to, and read from
    /// there without waiting. Default: true.
    pub fn resident(mut self, resident: bool) -> Self {
        self.resident = resident;
        self
    }

    /// How long locks of other processes are waited for before an operation is `Transient`.
    /// Default: 30 s.
    pub fn busy_timeout(mut self, at_most: Duration) -> Self {
        self.busy = at_most;
        self
    }

    /// The most connections that read at once; 1 to 256. Default: 4.
    pub fn readers(mut self, at_most: usize) -> Self {
        self.readers = at_most;
        self
    }

    /// Whether a file that is not there is created. Default: true.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`SqliteReplicaStore::open`].
    pub async fn open(self) -> Result<SqliteReplicaStore> {
        SqliteReplicaStore::open_with(self).await
    }
}
