//! [`Sessions`]: connections that were looked at before they are used, pooled; and [`Session`], on which
//! statements are prepared once.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult, Timeouts,
};
use gleaner_core::{Error, ErrorKind, Kind, Result};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row, Statement};
use tracing::warn;

use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::schema::{LOG, Layout};

/// The oldest server that this crate was written for.
const OLDEST: i32 = 130_000;

/// How the planner is held to the one plan that each statement was written for: rows are found by index,
/// one after the other, however small or unknown to the planner a table is at that moment. Plans are
/// made once a session.
const PLANS: &str = "SET search_path = pg_catalog; SET jit = off; \
    SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
    SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET default_transaction_isolation = 'read committed'";

/// Ours are idle for as long as this process takes to judge some entries. One that is stopped meanwhile
/// would hold up all others who append.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
    SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Sets `synchronous_commit`, for a session or a transaction, so that what the server's files come to say
/// later reaches it no more. A stronger setting than `on`, or one about standbys, is the operator's choice
/// and stays.
const SYNCED: &str = "SELECT set_config('synchronous_commit', \
    CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' \
    ELSE current_setting('synchronous_commit') END, {local})";

/// The same within a statement that is its own transaction: true, and set right by then if it was off.
const IS_SYNCED: &str = "(SELECT CASE current_setting('synchronous_commit') WHEN 'off' \
    THEN set_config('synchronous_commit', 'on', true) = 'on' ELSE true END)";

/// What a server says of itself before it is trusted.
const FACTS: &str = "SELECT current_setting('server_version_num')::int4, pg_is_in_recovery(), \
    current_setting('fsync'), current_setting('full_page_writes'), \
    current_setting('synchronous_commit'), current_setting('default_transaction_read_only'), \
    current_setting('default_transaction_isolation')";

/// A statement, with the types of its parameters: so that it can be sent unprepared too.
#[derive(Debug)]
pub(crate) struct Sql {
    pub(crate) text: String,
    pub(crate) types: &'static [Type],
}

impl Sql {
    /// Puts the schema in the place of `{s}`, and of other names in braces what they stand for:
    /// `{version}` the version of the log's tables now, none on a standby, `{newest}` the one that this crate knows,
    /// `{may_write}` whether the two are the same, and the commit not an asynchronous one, `{join_its_grain}`
    /// the row `g` of the grain that a row `i` names: looked up one by one, in the order of `i`, whatever the
    /// planner believes.
    pub(crate) fn new(schema: &str, text: &str, types: &'static [Type]) -> Self {
        let text = text
            .replace("{delta}", &Kind::Delta.code().to_string())
            .replace("{tombstone}", &Kind::Tombstone.code().to_string())
            .replace(
                "{may_write}",
                &format!("{{version}} = {{newest}} AND {IS_SYNCED}"),
            )
            .replace(
                "{version}",
                "(SELECT version FROM {s}.layout WHERE name = 'log' AND NOT pg_is_in_recovery())",
            )
            .replace("{newest}", &LOG.version().to_string())
            .replace(
                "{join_its_grain}",
                "JOIN LATERAL (SELECT g.* FROM {s}.grain g \
                 WHERE g.grain_type = i.grain_type AND g.grain_key = i.grain_key OFFSET 0) g",
            )
            .replace("{s}", schema);
        Self { text, types }
    }
}

pub(crate) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// One connection.
///
/// # Concurrency
/// Several statements may be on their way at once: the server carries them out in the order in which
/// they were first polled. One whose future was dropped is carried out all the same, so a session with
/// an answer outstanding, or in the middle of a transaction, is not handed to anybody else: it is
/// closed, and the server rolls back.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    /// By the place of the statement in memory; none behind a pooler.
    prepared: Option<Mutex<HashMap<usize, Statement>>>,
    /// How a transaction begins.
    begin: String,
    /// Answers that are still to come, and transactions that are open.
    outstanding: AtomicU32,
}

impl Session {
    /// Runs a statement and gives its rows.
    pub(crate) async fn rows(&self, sql: &Sql, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        self.outstanding.fetch_add(1, Relaxed);
        let rows = match self.statement(sql).await? {
            Some(statement) => self.client.query(&statement, params).await,
            None => {
                self.client
                    .query_typed(&sql.text, &typed(sql, params))
                    .await
            }
        };
        if let Err(error) = &rows
            && error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED)
            && let Some(prepared) = &self.prepared
        {
            // A table is not what it was when the statement was prepared.
            prepared.lock().clear();
        }
        self.outstanding.fetch_sub(1, Relaxed);
        Ok(rows?)
    }

    /// Runs a statement that is not worth preparing.
    pub(crate) async fn once(&self, sql: &Sql, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        self.outstanding.fetch_add(1, Relaxed);
        let rows = self
            .client
            .query_typed(&sql.text, &typed(sql, params))
            .await;
        self.outstanding.fetch_sub(1, Relaxed);
        Ok(rows?)
    }

    /// The prepared statement, prepared now if it was not; none behind a pooler.
    async fn statement(&self, sql: &Sql) -> Result<Option<Statement>, Fault> {
        let Some(prepared) = &self.prepared else {
            return Ok(None);
        };
        let key = std::ptr::from_ref(sql).addr();
        let known = prepared.lock().get(&key).cloned();
        if known.is_some() {
            return Ok(known);
        }
        self.outstanding.fetch_add(1, Relaxed);
        let statement = self.client.prepare_typed(&sql.text, sql.types).await?;
        self.outstanding.fetch_sub(1, Relaxed);
        prepared.lock().insert(key, statement.clone());
        Ok(Some(statement))
    }

    /// Prepares statements, so that several can be on their way at once.
    pub(crate) async fn prepare<'a>(
        &self,
        statements: impl IntoIterator<Item = &'a Sql> + Send,
    ) -> Result<(), Fault> {
        // Collected, so that the iterator need not live across an await.
        let statements: Vec<&Sql> = statements.into_iter().collect();
        for sql in statements {
            self.statement(sql).await?;
        }
        Ok(())
    }

    /// Begins a transaction. Until [`Self::commit`] has succeeded, the session is of use to nobody
    /// else.
    pub(crate) async fn begin(&self) -> Result<(), Fault> {
        self.outstanding.fetch_add(1, Relaxed);
        Ok(self.client.batch_execute(&self.begin).await?)
    }

    /// Ends it.
    pub(crate) async fn commit(&self) -> Result<(), Fault> {
        self.client.batch_execute("COMMIT").await?;
        self.outstanding.fetch_sub(1, Relaxed);
        Ok(())
    }

    /// Runs statements without parameters, separated by semicolons.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), Fault> {
        self.outstanding.fetch_add(1, Relaxed);
        self.client.batch_execute(sql).await?;
        self.outstanding.fetch_sub(1, Relaxed);
        Ok(())
    }
}

fn typed<'a>(sql: &Sql, params: Params<'a>) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    params
        .iter()
        .copied()
        .zip(sql.types.iter().cloned())
        .collect()
}

/// Opens connections, for the pool.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    place: Arc<Place>,
    /// Where connections live, whoever asks for one: with whoever opened the log.
    runtime: Handle,
    /// How long an answer is waited for.
    patience: Duration,
}

impl Dialer {
    async fn dial(&self) -> Result<Session, Fault> {
        let (client, wire) = self.place.dial(self.patience).await?;
        tokio::spawn(wire);
        // Of 32 bits there, and zero is none at all.
        let millis = self
            .patience
            .as_millis()
            .clamp(1, i32::MAX.unsigned_abs().into());
        let bounded = format!("statement_timeout = {millis}");
        let synced = |local| SYNCED.replace("{local}", local);
        // Behind a pooler, what a session would be told once is told to each transaction, on the same way.
        let begin = if self.place.pooler {
            format!("{BEGIN}; SET LOCAL {bounded}; {}", synced("true"))
        } else {
            BEGIN.to_owned()
        };
        let session = Session {
            client,
            prepared: (!self.place.pooler).then(Mutex::default),
            begin,
            outstanding: AtomicU32::new(0),
        };
        self.look(&session).await?;
        if !self.place.pooler {
            let set = format!("{PLANS}; SET {bounded}; {}", synced("false"));
            session.batch(&set).await?;
        }
        Ok(session)
    }

    /// Refuses a server on which nothing would be safe, or nothing would ever succeed.
    async fn look(&self, session: &Session) -> Result<(), Fault> {
        let name = &self.place.name;
        let permanent = |why: String| Fault::Refused(Error::permanent(BACKEND, why));
        let rows = session.client.query_typed(FACTS, &[]).await?;
        let Some(row) = rows.first() else {
            return Err(permanent(format!("{name} says nothing of itself")));
        };
        let (version, standby): (i32, bool) = (row.try_get(0)?, row.try_get(1)?);
        if version < OLDEST {
            return Err(permanent(format!(
                "{name} runs version {version}; the oldest served is {OLDEST}"
            )));
        }
        if standby {
            // It may be promoted, or the name may come to lead to another.
            let why = format!("{name} is a standby, not the primary");
            return Err(Error::transient(BACKEND, why).into());
        }
        for (at, setting) in [(2, "fsync"), (3, "full_page_writes")] {
            if row.try_get::<_, &str>(at)? == "off" {
                return Err(permanent(format!(
                    "{name} runs with {setting} = off: what is acknowledged would not be safe"
                )));
            }
        }
        if row.try_get::<_, &str>(5)? == "on" {
            return Err(permanent(format!(
                "{name} has default_transaction_read_only = on for this role or database: nothing can be written"
            )));
        }
        if !self.place.pooler {
            return Ok(());
        }
        let (commit, isolation): (&str, &str) = (row.try_get(4)?, row.try_get(6)?);
        let unfit = [
            ("synchronous_commit", commit, commit == "off"),
            (
                "default_transaction_isolation",
                isolation,
                !isolation.starts_with("read "),
            ),
        ];
        match unfit.iter().find(|(.., is_unfit)| *is_unfit) {
            Some((setting, value, _)) => Err(permanent(format!(
                "{name} runs with {setting} = {value}, which cannot be set through a pooler: \
                 set it for the role or the database"
            ))),
            None => Ok(()),
        }
    }
}

impl Manager for Dialer {
    type Type = Arc<Session>;
    type Error = Error;

    async fn create(&self) -> Result<Arc<Session>> {
        // A server that is stopped still has its connections accepted, by the kernel. What is given up
        // ends, socket and all, since it is given up where it lives; the bound out here is for a runtime
        // that nobody drives any more.
        let dialer = self.clone();
        let dialled = self.runtime.spawn(async move {
            timeout(dialer.patience, dialer.dial())
                .await
                .unwrap_or(Err(Fault::Silent))
        });
        within(self.patience, async {
            dialled.await.unwrap_or(Err(Fault::Silent))
        })
        .await
        .map(Arc::new)
        .map_err(|fault| fault.before("connect", &self.place.name))
    }

    async fn recycle(&self, session: &mut Arc<Session>, _: &Metrics) -> RecycleResult<Error> {
        if session.client.is_closed() || session.outstanding.load(Relaxed) > 0 {
            return Err(RecycleError::message("spoilt"));
        }
        Ok(())
    }
}

/// A session of one's own. Given back when it is dropped, or closed if it is of no more use: what it holds
/// locked is free as soon as the server has done, or given up, what it was asked last. Not before: the
/// connection takes its leave when the last answer has come, or is found dead.
pub(crate) struct Lease {
    session: Arc<Session>,
    /// None once it is dropped.
    object: Option<Object<Dialer>>,
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take()
            && self.session.outstanding.load(Relaxed) > 0
        {
            drop(Object::take(object));
        }
    }
}

/// The connections of one log or store.
///
/// The first call that reaches the server makes sure that the tables are there; so a server that is not
/// up yet when a log is opened is waited for like one that went away.
pub(crate) struct Sessions {
    pub(crate) place: Arc<Place>,
    pool: Pool<Dialer>,
    layout: &'static Layout,
    create: bool,
    patience: Duration,
    ready: OnceCell<()>,
}

impl Sessions {
    pub(crate) fn new(
        place: Arc<Place>,
        layout: &'static Layout,
        create: bool,
        connections: usize,
        patience: Duration,
    ) -> Result<Self> {
        let dialer = Dialer {
            place: Arc::clone(&place),
            runtime: Handle::current(),
            patience,
        };
        let timeouts = Timeouts {
            wait: Some(patience),
            create: None,
            recycle: None,
        };
        let pool = Pool::builder(dialer)
            .max_size(connections)
            .timeouts(timeouts)
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| Error::invalid(BACKEND, error.to_string()))?;
        Ok(Self {
            place,
            pool,
            layout,
            create,
            patience,
            ready: OnceCell::new(),
        })
    }

    /// Looks at the server for the first time. One that cannot be reached now is no error: it is looked at
    /// when it is first asked.
    ///
    /// # Errors
    /// `Permanent` for a server or tables that do not serve.
    pub(crate) async fn look(&self) -> Result<()> {
        match self.get().await {
            Err(error) if error.kind() == ErrorKind::Transient => {
                warn!(%error, "opened without the server");
                Ok(())
            }
            looked => looked.map(drop),
        }
    }

    /// A session of one's own until it is dropped.
    ///
    /// # Errors
    /// `Transient` if there is none to be had now, `Permanent` for a server or tables that do not serve.
    pub(crate) async fn get(&self) -> Result<Lease> {
        let session = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            other => {
                let message = format!("no connection to {} is free: {other}", self.place.name);
                Error::transient(BACKEND, message)
            }
        })?;
        let session = Lease {
            session: Arc::clone(&session),
            object: Some(session),
        };
        let ready = self.ready.get_or_try_init(|| async {
            let migrated = self.layout.ensure(&session, &self.place, self.create);
            within(self.patience, migrated)
                .await
                .map_err(|fault| fault.before("set up the tables", &self.place.name))
        });
        ready.await?;
        Ok(session)
    }

    /// Waits for an answer of a session, but not for ever.
    pub(crate) async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, Fault>> + Send,
    ) -> Result<T, Fault> {
        within(self.patience, answer).await
    }

    /// As [`Self::within`], for work that says by itself what went wrong.
    pub(crate) async fn patiently<T>(&self, work: impl Future<Output = T> + Send) -> Option<T> {
        within(self.patience, async { Ok(work.await) }).await.ok()
    }

    /// One statement that only reads.
    ///
    /// # Errors
    /// As of [`Self::get`] and of the statement.
    pub(crate) async fn read(&self, sql: &Sql, params: Params<'_>) -> Result<Vec<Row>> {
        let session = self.get().await?;
        self.within(session.rows(sql, params))
            .await
            .map_err(|fault| fault.before("read", &self.place.name))
    }
}

/// The server ends a statement that takes longer by itself; a server that says nothing at all is given
/// a little more than that.
async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, Fault>> + Send,
) -> Result<T, Fault> {
    let at_most = patience.saturating_add(patience / 8);
    timeout(at_most, answer).await.unwrap_or(Err(Fault::Silent))
}
