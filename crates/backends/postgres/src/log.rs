//! [`PostgresLog`]: the log's methods, each handed to the writer or to a session.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gleaner_core::append::check_batch;
use gleaner_core::{
    Appended, Budget, CatchUp, ChangeFeed, Claim, Cursor, Entry, Error, Filter, GrainId, Head,
    HeadPage, Identity, Limits, Page, ReplicationLog, Result, Truncation,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::append::Appends;
use crate::claim::Claims;
use crate::config::PostgresLogConfig;
use crate::error::BACKEND;
use crate::feed::Feed;
use crate::hints::{Bell, Hints};
use crate::read::Reads;
use crate::schema::LOG;
use crate::session::Sessions;
use crate::writer::{Desk, Writer};

/// The largest payload that can be allowed: far below the 1 GiB of a value, since a batch and an answer
/// hold several.
const LARGEST_PAYLOAD: usize = 128 << 20;
/// The largest batch that can be allowed: it goes in one message, of which there is none above 1 GiB.
const LARGEST_BATCH: usize = 256 << 20;

/// A log in a PostgreSQL database, which any number of processes may open at once.
///
/// A clone is another handle to the same log. Its tasks end when the last handle is dropped and what was
/// handed in is done; they run on the runtime that it was opened on.
///
/// # Concurrency
/// Appends of one `PostgresLog` go through one task, which puts whatever is waiting into one statement.
/// Claims, truncations and reads go to the server side by side, each on a connection of the pool. The
/// server decides between processes.
#[derive(Clone)]
pub struct PostgresLog {
    inner: Arc<Inner>,
}

struct Inner {
    sessions: Arc<Sessions>,
    limits: Limits,
    writer: Writer,
    appends: Arc<Appends>,
    claims: Claims,
    reads: Reads,
    feed: Feed,
    bell: Arc<Bell>,
    hints: Option<Arc<Hints>>,
}

impl fmt::Debug for PostgresLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLog")
            .field("place", &self.inner.sessions.place.name)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

impl PostgresLog {
    /// Opens the log at a URL with the defaults; makes its tables if there are none.
    ///
    /// A server that cannot be reached now is no error: each call tries again, and says so.
    ///
    /// # Errors
    /// `Invalid` for the URL; `Permanent` for a server whose settings would lose what is acknowledged or
    /// let nothing be written, for tables of a newer version, and for a role that may not make or use them.
    pub async fn open(url: &str) -> Result<Self> {
        Self::builder(url)?.open().await
    }

    /// Begins to open the log at a URL, with settings of one's own.
    ///
    /// # Errors
    /// `Invalid`; nothing of the URL that may be a secret is repeated.
    pub fn builder(url: &str) -> Result<PostgresLogConfig> {
        PostgresLogConfig::new(url)
    }

    pub(crate) async fn open_with(config: PostgresLogConfig) -> Result<Self> {
        if config.limits.max_payload() > LARGEST_PAYLOAD {
            let message = format!("payloads of more than {LARGEST_PAYLOAD} bytes cannot be held");
            return Err(Error::invalid(BACKEND, message));
        }
        if config.limits.max_batch_bytes() > LARGEST_BATCH {
            let message = format!("batches of more than {LARGEST_BATCH} bytes cannot be sent");
            return Err(Error::invalid(BACKEND, message));
        }
        // Connections of the writer's own, the second for large groups: an append does not wait for reads to end.
        let writing = Arc::new(config.server.clone().connections(2).sessions(&LOG)?);
        let sessions = Arc::new(config.server.sessions(&LOG)?);
        sessions.look().await?;
        let place = Arc::clone(&sessions.place);
        let schema = &place.schema;
        let appends = Arc::new(Appends::new(schema));
        let bell = Arc::new(Bell::new());
        let hints = config
            .hints
            .then(|| Arc::new(Hints::new(Arc::clone(&place), Arc::clone(&bell))));
        let writer = Writer::spawn(Desk {
            sessions: writing,
            appends: Arc::clone(&appends),
            limits: config.limits,
            bell: Arc::clone(&bell),
            hints: hints.clone(),
            alone_until: Mutex::new(Instant::now()),
        });
        Ok(Self {
            inner: Arc::new(Inner {
                limits: config.limits,
                writer,
                appends,
                claims: Claims::new(schema),
                reads: Reads::new(schema),
                feed: Feed::new(schema),
                bell,
                hints,
                sessions,
            }),
        })
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.inner.sessions
    }

    pub(crate) fn feed_sql(&self) -> &Feed {
        &self.inner.feed
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.inner.bell
    }

    /// Has other processes' hints come in from now on.
    pub(crate) fn listen(&self) {
        if let Some(hints) = &self.inner.hints {
            hints.listen();
        }
    }
}

#[async_trait]
impl ReplicationLog for PostgresLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        check_batch(entries, &self.inner.limits, BACKEND)?;
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.inner.writer.append(entries.to_vec()).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let Inner {
            sessions,
            appends,
            claims: statements,
            ..
        } = &*self.inner;
        let session = sessions.get().await?;
        let place = &sessions.place;
        sessions
            .within(statements.claim(appends, &session, place, claims))
            .await
            .map_err(|fault| fault.in_doubt("claim", &place.name))
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        self.inner.reads.heads(self.sessions(), grains).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        self.inner
            .reads
            .list_heads(self.sessions(), filter, after, limit)
            .await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        self.inner
            .reads
            .read_from(self.sessions(), grain, after, budget)
            .await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let sessions = self.sessions();
        let session = sessions.get().await?;
        let place = &sessions.place;
        self.inner
            .claims
            .truncate(sessions, &session, grain, before)
            .await
            .map_err(|fault| fault.in_doubt("truncate", &place.name))
    }

    fn limits(&self) -> Limits {
        self.inner.limits
    }

    async fn identity(&self) -> Result<Identity> {
        self.inner.reads.identity(self.sessions()).await
    }

    /// Always: a standby is refused.
    fn confirms(&self) -> bool {
        true
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        self.inner
            .reads
            .catch_up(self.sessions(), wants, budget)
            .await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}
