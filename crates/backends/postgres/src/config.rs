//! [`PostgresLogConfig`] and [`PostgresStoreConfig`]: what can be set, and why it is as it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gleaner_core::{Fold, Limits, Result};

use crate::log::PostgresLog;
use crate::place::Place;
use crate::schema::Layout;
use crate::session::Sessions;
use crate::store::PostgresReplicaStore;

/// How long an answer is waited for. Far above what a busy server needs; one that hangs is told of as an
/// error in the end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections, for whichever calls are under way; more calls than that wait for each other. They are
/// short, and a server's connections dear: a page of the feed, a catch-up and a claim at once.
const CONNECTIONS: usize = 3;

/// What a log and a store set alike.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    place: Place,
    patience: Duration,
    connections: usize,
    create: bool,
}

impl Server {
    fn new(url: &str) -> Result<Self> {
        Ok(Self {
            place: Place::of(url)?,
            patience: PATIENCE,
            connections: CONNECTIONS,
            create: true,
        })
    }

    /// With this many connections instead.
    pub(crate) fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    pub(crate) fn sessions(self, layout: &'static Layout) -> Result<Sessions> {
        Sessions::new(
            Arc::new(self.place),
            layout,
            self.create,
            self.connections.clamp(1, 256),
            self.patience,
        )
    }
}

/// The setters of what a log and a store set alike.
macro_rules! server_setters {
    () => {
        /// The schema that the tables lie in; takes the place of the URL's. Default: `gleaner`. Each
        /// schema holds one log and one replica store.
        ///
        /// # Errors
        /// `Invalid` for a name that is empty, longer than 63 bytes or the server's own.
        pub fn schema(mut self, name: &str) -> Result<Self> {
            self.server.place.in_schema(name)?;
            Ok(self)
        }

        /// How long an answer of the server is waited for before the operation is `Transient`, or
        /// `Unknown` where it may have happened. Default: 30 s.
        pub fn timeout(mut self, at_most: Duration) -> Self {
            self.server.patience = at_most;
            self
        }

        /// The most connections that are held open; 1 to 256. Default: 3. A log has two more, for appends
        /// and for hints.
        pub fn connections(mut self, at_most: usize) -> Self {
            self.server.connections = at_most;
            self
        }

        /// Whether a pooler stands between that hands each transaction to another session, as `PgBouncer`
        /// does in transaction mode. Statements are then sent unprepared, nothing is set for a session,
        /// and no hint is listened for: polls find what has moved. Default: false, or what the URL says.
        pub fn pooler(mut self, pooler: bool) -> Self {
            self.server.place.pooler = pooler;
            self
        }

        /// Whether tables are made where there are none. Default: true.
        pub fn create(mut self, create: bool) -> Self {
            self.server.create = create;
            self
        }
    };
}

/// How a log is opened.
///
/// ```no_run
/// # async fn open() -> gleaner_core::Result<()> {
/// use gleaner_core::Limits;
/// use gleaner_postgres::PostgresLog;
/// let log = PostgresLog::builder("postgres://gleaner:secret@db.example/app")?
///     .limits(Limits::default().with_max_payload(1 << 20))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct PostgresLogConfig {
    pub(crate) server: Server,
    pub(crate) limits: Limits,
    pub(crate) hints: bool,
}

impl PostgresLogConfig {
    /// A log at a URL, with the defaults.
    ///
    /// # Errors
    /// `Invalid` for the URL.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self {
            server: Server::new(url)?,
            limits: Limits::default(),
            hints: true,
        })
    }

    server_setters!();

    /// The largest payload and batch (L12). Default: core's.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether other processes are told of what is appended here, and are listened to: NOTIFY and LISTEN
    /// on one more connection, which is opened when there is something to tell or somebody waits. Without,
    /// what others append is found by polls. Default: true.
    pub fn hints(mut self, hints: bool) -> Self {
        self.hints = hints;
        self
    }

    /// Opens the log.
    ///
    /// # Errors
    /// As [`PostgresLog::open`].
    pub async fn open(self) -> Result<PostgresLog> {
        PostgresLog::open_with(self).await
    }
}

/// How a replica store is opened.
///
/// ```no_run
/// # async fn open() -> gleaner_core::Result<()> {
/// use gleaner_postgres::PostgresReplicaStore;
/// let store = PostgresReplicaStore::builder("postgres://gleaner:secret@db.example/app")?
///     .max_state(1 << 20)
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct PostgresStoreConfig {
    pub(crate) server: Server,
    pub(crate) fold: Option<Arc<dyn Fold>>,
    pub(crate) max_state: usize,
}

impl fmt::Debug for PostgresStoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreConfig")
            .field("server", &self.server)
            .field("fold", &self.fold.is_some())
            .field("max_state", &self.max_state)
            .finish()
    }
}

impl PostgresStoreConfig {
    /// A store at a URL, with the defaults.
    ///
    /// # Errors
    /// `Invalid` for the URL.
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self {
            server: Server::new(url)?,
            fold: None,
            max_state: Limits::DEFAULT_MAX_PAYLOAD,
        })
    }

    server_setters!();

    /// How Deltas are folded. Default: they are not, and stop their runs.
    pub fn fold(mut self, fold: Arc<dyn Fold>) -> Self {
        self.fold = Some(fold);
        self
    }

    /// The largest state kept, in bytes; a larger one stops its run. Default: 16 MiB, the largest
    /// payload of a log with the default limits. At most 128 MiB.
    pub fn max_state(mut self, bytes: usize) -> Self {
        self.max_state = bytes;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`PostgresReplicaStore::open`].
    pub async fn open(self) -> Result<PostgresReplicaStore> {
        PostgresReplicaStore::open_with(self).await
    }
}
