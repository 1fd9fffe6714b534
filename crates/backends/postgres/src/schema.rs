//! The tables of a log and of a replica store, and how they come to be: migrations with a version.

use gleaner_core::Error;
use tokio_postgres::types::Type;

use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::session::{Session, Sql};

/// How many feed shards a log has: a grain's is its slice divided by [`SLICES_A_SHARD`], so that
/// followers who share a population by slices read shards of their own.
///
/// Appends to one shard wait for each other's commit, so that the order of places is the order of
/// commits. With 32, sixteen writers rarely meet, and an idle page reads 32 rows.
pub(crate) const SHARDS: usize = 32;
/// 1,024 slices over 32 shards.
pub(crate) const SLICES_A_SHARD: i16 = 32;

/// One of the two kinds of tables.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Its row in the table `layout`, and what it is called.
    pub(crate) name: &'static str,
    /// What brings version `n` to `n + 1`; `{s}` is the schema.
    steps: &'static [&'static str],
}

/// The log. Names are bytes, so that their order is that of bytes and any character may be in them; so
/// is the source's. Numbers of 64 bits are stored as the `int8` of the same bits.
///
/// A grain's `pos` is the place of its newest entry in the feed of its shard; `shard.pos` is the last
/// place given out. Payloads are kept as they are: most are encoded already, and the server's own
/// compression would be paid for at each append.
pub(crate) const LOG: Layout = Layout {
    name: "log",
    steps: &["
        CREATE TABLE {s}.log (
            one bool PRIMARY KEY CHECK (one),
            drawn bytea NOT NULL
        );
        INSERT INTO {s}.log VALUES (true, uuid_send(gen_random_uuid()));
        CREATE TABLE {s}.shard (
            id int2 PRIMARY KEY,
            pos int8 NOT NULL
        ) WITH (fillfactor = 10);
        INSERT INTO {s}.shard SELECT id, 0 FROM generate_series(0, 31) id;
        CREATE TABLE {s}.grain (
            grain_type bytea NOT NULL,
            grain_key bytea NOT NULL,
            id int8 GENERATED ALWAYS AS IDENTITY,
            slice int2 NOT NULL,
            shard int2 NOT NULL,
            pos int8,
            head_epoch int8,
            head_sequence int8,
            head_digest int8,
            head_kind int2,
            base_epoch int8,
            base_sequence int8,
            fence_epoch int8,
            fence_writer int8,
            floor_epoch int8 NOT NULL DEFAULT 0,
            floor_sequence int8 NOT NULL DEFAULT 0,
            PRIMARY KEY (grain_type, grain_key)
        );
        CREATE UNIQUE INDEX grain_moved ON {s}.grain (shard, pos) WHERE pos IS NOT NULL;
        CREATE TABLE {s}.entry (
            grain int8 NOT NULL,
            epoch int8 NOT NULL,
            sequence int8 NOT NULL,
            writer int8 NOT NULL,
            kind int2 NOT NULL,
            prev int8,
            digest int8 NOT NULL,
            written_at int8 NOT NULL,
            source bytea NOT NULL,
            schema int8 NOT NULL,
            payload bytea NOT NULL,
            PRIMARY KEY (grain, epoch, sequence)
        );
        ALTER TABLE {s}.entry ALTER payload SET STORAGE EXTERNAL;
    "],
};

/// The replica store. A replica's name and numbers are stored as the log's are.
///
/// `store` is one row: the log that the store is bound to, and the generation of every grain that it does
/// not have. Who writes replicas holds that table's lock with others (`ROW SHARE`), who binds or removes
/// holds it alone (`EXCLUSIVE`): locks of tables are given in the order in which they were asked for, so
/// neither kind waits for ever.
pub(crate) const STORE: Layout = Layout {
    name: "replica store",
    steps: &["
        CREATE TABLE {s}.store (
            one bool PRIMARY KEY CHECK (one),
            log bytea,
            generation int8 NOT NULL
        );
        INSERT INTO {s}.store VALUES (true, NULL, 0);
        CREATE TABLE {s}.replica (
            grain_type bytea NOT NULL,
            grain_key bytea NOT NULL,
            slice int2 NOT NULL,
            epoch int8 NOT NULL,
            sequence int8 NOT NULL,
            digest int8 NOT NULL,
            generation int8 NOT NULL,
            log bytea NOT NULL,
            schema int8 NOT NULL,
            written_at int8 NOT NULL,
            state bytea,
            PRIMARY KEY (grain_type, grain_key)
        );
        ALTER TABLE {s}.replica ALTER state SET STORAGE EXTERNAL;
    "],
};

/// Keeps those who set up tables at the same moment apart: `gleaner` in ASCII.
const SETTING_UP: i64 = 0x0067_6c65_616e_6572;

impl Layout {
    /// The newest version that this crate reads and writes.
    pub(crate) const fn version(&self) -> i32 {
        // A handful.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "a handful of steps"
        )]
        {
            self.steps.len() as i32
        }
    }

    /// Makes sure that the tables are there, in this crate's version.
    ///
    /// # Errors
    /// `Permanent` for a newer version, or where there is nothing and nothing is to be created.
    pub(crate) async fn ensure(
        &self,
        session: &Session,
        place: &Place,
        create: bool,
    ) -> Result<(), Fault> {
        match self.found(session, place).await? {
            Some(version) if version >= self.version() => self.check(version, place),
            None if !create => Err(Error::permanent(
                BACKEND,
                format!("there is no {} in {}", self.name, place.name),
            )
            .into()),
            _ => self.migrate(session, place).await,
        }
    }

    /// Refuses a version that is not this crate's.
    pub(crate) fn check(&self, version: i32, place: &Place) -> Result<(), Fault> {
        let newest = self.version();
        if version == newest {
            return Ok(());
        }
        let message = format!(
            "the {} in {} is of version {version}, and this crate knows {newest}",
            self.name, place.name
        );
        Err(Error::permanent(BACKEND, message).into())
    }

    /// The version of the tables, if there are any.
    async fn found(&self, session: &Session, place: &Place) -> Result<Option<i32>, Fault> {
        let exists = Sql {
            text: "SELECT to_regclass($1) IS NOT NULL".to_owned(),
            types: &[Type::TEXT],
        };
        let table = format!("{}.layout", place.schema);
        let rows = session.once(&exists, &[&table]).await?;
        if !rows
            .first()
            .is_some_and(|row| row.try_get(0).unwrap_or(false))
        {
            return Ok(None);
        }
        let version = Sql {
            text: format!(
                "SELECT version FROM {}.layout WHERE name = $1",
                place.schema
            ),
            types: &[Type::TEXT],
        };
        let rows = session.once(&version, &[&self.name]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
    }

    /// Takes the tables step by step to this crate's version, all of it or nothing. Several processes
    /// may do so at once: they take turns, and the later ones find it done.
    async fn migrate(&self, session: &Session, place: &Place) -> Result<(), Fault> {
        let schema = &place.schema;
        session.begin().await?;
        session
            .batch(&format!("SELECT pg_advisory_xact_lock({SETTING_UP})"))
            .await?;
        let exists = Sql {
            text: "SELECT to_regnamespace($1) IS NOT NULL".to_owned(),
            types: &[Type::TEXT],
        };
        let rows = session.once(&exists, &[schema]).await?;
        // Looked at first: who may not create schemas may still use one that is there.
        if !rows
            .first()
            .is_some_and(|row| row.try_get(0).unwrap_or(false))
        {
            session.batch(&format!("CREATE SCHEMA {schema}")).await?;
        }
        session
            .batch(&format!(
                "CREATE TABLE IF NOT EXISTS {schema}.layout \
                 (name text PRIMARY KEY, version int4 NOT NULL)"
            ))
            .await?;
        let found = self.found(session, place).await?.unwrap_or(0);
        if found > self.version() {
            return self.check(found, place);
        }
        let behind = usize::try_from(found).unwrap_or_default();
        for step in self.steps.iter().skip(behind) {
            session.batch(&step.replace("{s}", schema)).await?;
        }
        session
            .batch(&format!(
                "INSERT INTO {schema}.layout VALUES ('{}', {}) \
                 ON CONFLICT (name) DO UPDATE SET version = excluded.version",
                self.name,
                self.version()
            ))
            .await?;
        session.commit().await
    }
}
