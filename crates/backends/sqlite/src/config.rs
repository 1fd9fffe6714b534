//! [`SqliteLogConfig`] and [`SqliteStoreConfig`]: what can be set, and why it is as it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gleaner_core::{Limits, Result};

use crate::log::SqliteLog;

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
