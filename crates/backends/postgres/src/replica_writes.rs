//! What is written to a replica store: moves of replicas by compare-and-set, and what is done alone.

use std::collections::HashSet;

use futures::future::{OptionFuture, join4, join5};
use gleaner_core::{Expected, GrainId, LogId, Outcome, Replica};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::columns::{GrainNames, Lot};
use crate::error::Fault;
use crate::place::Place;
use crate::replica_rows::Meta;
use crate::rows::{self, compared, stored};
use crate::schema::STORE;
use crate::session::{Params, Session, Sql};

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct ReplicaWrites {
    /// Writes beside others, but not beside who binds or removes.
    share: String,
    /// Keeps all other writers out.
    alone: String,
    update: Sql,
    insert: Sql,
    bind: Sql,
    remove: Sql,
}

/// A replica that is to take a row's place.
#[derive(Debug)]
pub(crate) struct Move<'a> {
    pub(crate) grain: &'a GrainId,
    /// The row that was read; none if there was none.
    pub(crate) was: Option<Expected>,
    pub(crate) replica: Replica,
    /// What is answered once it has.
    pub(crate) outcome: Outcome,
}

/// Whether the tables are of this crate's version: another process may have taken them to a newer one.
const KNOWN: &str = "(SELECT version FROM {s}.layout WHERE name = 'replica store') = {n}";

impl ReplicaWrites {
    pub(crate) fn new(schema: &str) -> Self {
        let known = KNOWN.replace("{n}", &STORE.version().to_string());
        let sql = |text: &str, types| Sql::new(schema, &text.replace("{known}", &known), types);
        Self {
            share: format!("LOCK TABLE {schema}.store IN ROW SHARE MODE"),
            alone: format!("LOCK TABLE {schema}.store IN EXCLUSIVE MODE"),
            // Within a generation a cursor only rises, and a generation does not come again: the two tell
            // whether a row is still the one that was read.
            update: sql(
                "UPDATE {s}.replica r SET epoch = i.epoch, sequence = i.sequence, \
                 digest = i.digest, generation = i.generation, log = $1, schema = i.schema, \
                 written_at = i.written_at, state = i.state \
                 FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
                 AS i (grain_type, grain_key, was_generation, was_epoch, was_sequence, epoch, \
                 sequence, digest, generation, schema, written_at, state) \
                 WHERE r.grain_type = i.grain_type AND r.grain_key = i.grain_key \
                 AND r.generation = i.was_generation AND r.epoch = i.was_epoch \
                 AND r.sequence = i.was_sequence \
                 AND EXISTS (SELECT FROM {s}.store s WHERE s.log = $1) AND {known} \
                 RETURNING r.grain_type, r.grain_key",
                &[
                    Type::BYTEA,
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::BYTEA_ARRAY,
                ],
            ),
            insert: sql(
                "INSERT INTO {s}.replica (grain_type, grain_key, slice, epoch, sequence, digest, \
                 generation, log, schema, written_at, state) \
                 SELECT i.grain_type, i.grain_key, i.slice, i.epoch, i.sequence, i.digest, \
                 i.generation, $1, i.schema, i.written_at, i.state \
                 FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
                 AS i (grain_type, grain_key, slice, epoch, sequence, digest, generation, schema, \
                 written_at, state) \
                 WHERE EXISTS (SELECT FROM {s}.store s WHERE s.log = $1 AND s.generation = $2) \
                 AND {known} \
                 ON CONFLICT (grain_type, grain_key) DO NOTHING RETURNING grain_type, grain_key",
                &[
                    Type::BYTEA,
                    Type::INT8,
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::BYTEA_ARRAY,
                ],
            ),
            bind: sql(
                "UPDATE {s}.store SET log = $1 WHERE (log IS NULL OR log = $2) AND {known} \
                 RETURNING 1",
                &[Type::BYTEA, Type::BYTEA],
            ),
            remove: sql(
                "WITH gone AS (\
                   DELETE FROM {s}.replica r USING unnest($1, $2) AS i (grain_type, grain_key) \
                   WHERE r.grain_type = i.grain_type AND r.grain_key = i.grain_key \
                   AND ($3::int8 IS NULL \
                   OR (r.generation = $3 AND r.epoch = $4 AND r.sequence = $5)) \
                   AND {known} RETURNING r.generation\
                 ), counted AS MATERIALIZED (\
                   SELECT count(*) AS removed, max(generation) AS generation FROM gone\
                 ), raised AS (\
                   UPDATE {s}.store s SET generation = \
                   greatest(s.generation, least(c.generation, 9223372036854775806) + 1) \
                   FROM counted c WHERE c.removed > 0\
                 ) SELECT removed, \
                 (SELECT version FROM {s}.layout WHERE name = 'replica store') FROM counted",
                &[
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT8,
                    Type::INT8,
                    Type::INT8,
                ],
            ),
        }
    }

    /// Prepares what [`Self::carry_out`] has on its way at once.
    pub(crate) async fn prepare(&self, session: &Session) -> Result<(), Fault> {
        session.prepare([&self.update, &self.insert]).await
    }

    /// Moves replicas that were read as `meta` and their rows say, in one transaction; whether each has
    /// moved. One that has not was changed by somebody else meanwhile.
    ///
    /// # Concurrency
    /// Rows are written in the order of their names, first those that were there and then new ones, and
    /// whoever inserts waits for nobody but who has inserted the same name: so no two of these wait for
    /// each other in a ring. While it holds the lock no replica is removed and the store is not bound
    /// anew, and its statements see what was before.
    pub(crate) async fn carry_out(
        &self,
        session: &Session,
        log: &LogId,
        meta: &Meta,
        moves: &[Move<'_>],
    ) -> Result<Vec<bool>, Fault> {
        let mut order: Vec<&Move<'_>> = moves.iter().collect();
        order.sort_unstable_by_key(|one| one.grain);
        let (mut old, mut new) = (Rows::default(), Rows::default());
        let mut was = Was::default();
        for one in order {
            match one.was {
                Some(expected) => {
                    was.push(expected);
                    old.push(one);
                }
                None => new.push(one),
            }
        }
        let (log, absent) = (log.as_bytes(), stored(meta.absent.get()));
        let update: [&(dyn ToSql + Sync); 13] = [
            &log,
            &old.types,
            &old.keys,
            &was.generations,
            &was.epochs,
            &was.sequences,
            &old.epochs,
            &old.sequences,
            &old.digests,
            &old.generations,
            &old.schemas,
            &old.written_at,
            &old.states,
        ];
        let insert: [&(dyn ToSql + Sync); 12] = [
            &log,
            &absent,
            &new.types,
            &new.keys,
            &new.slices,
            &new.epochs,
            &new.sequences,
            &new.digests,
            &new.generations,
            &new.schemas,
            &new.written_at,
            &new.states,
        ];
        let (begun, locked, updated, inserted, committed) = join5(
            session.begin(),
            session.batch(&self.share),
            OptionFuture::from(
                (!old.types.is_empty()).then(|| session.rows(&self.update, &update)),
            ),
            OptionFuture::from(
                (!new.types.is_empty()).then(|| session.rows(&self.insert, &insert)),
            ),
            session.commit(),
        )
        .await;
        begun?;
        locked?;
        let (updated, inserted) = (updated.transpose()?, inserted.transpose()?);
        committed?;
        let mut written = HashSet::new();
        for row in updated.iter().chain(&inserted).flatten() {
            let name: (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            written.insert(name);
        }
        let has_moved = |one: &Move<'_>| {
            let (name, key) = (one.grain.grain_type(), one.grain.grain_key());
            written.contains(&(name.as_bytes(), key.as_bytes()))
        };
        Ok(moves.iter().map(has_moved).collect())
    }

    /// Binds the store if it is bound to none or to `replacing`; whether it did.
    pub(crate) async fn bind(
        &self,
        session: &Session,
        log: &LogId,
        replacing: Option<&LogId>,
    ) -> Result<bool, Fault> {
        let (log, replacing) = (log.as_bytes(), replacing.map(LogId::as_bytes));
        session.prepare([&self.bind]).await?;
        let rows = self
            .by_itself(session, &self.bind, &[&log, &replacing])
            .await?;
        Ok(!rows.is_empty())
    }

    /// Removes replicas, if each is the expected one or whichever they are; how many. The store's
    /// generation is raised above theirs.
    pub(crate) async fn remove(
        &self,
        session: &Session,
        place: &Place,
        grains: &[GrainId],
        expected: Option<Expected>,
    ) -> Result<u64, Fault> {
        let names = GrainNames::of(grains.iter());
        let generation = expected.map(|expected| compared(expected.generation.get()));
        let epoch = expected.map(|expected| compared(expected.cursor.epoch.get()));
        let sequence = expected.map(|expected| compared(expected.cursor.sequence.get()));
        session.prepare([&self.remove]).await?;
        let rows = self
            .by_itself(
                session,
                &self.remove,
                &[&names.types, &names.keys, &generation, &epoch, &sequence],
            )
            .await?;
        let Some(row) = rows.first() else {
            return Ok(0);
        };
        let version: Option<i32> = row.try_get(1)?;
        STORE.check(version.unwrap_or_default(), place)?;
        rows::count(row, 0)
    }
    /// A statement in a transaction of its own, with no other writer beside it.
    async fn by_itself(
        &self,
        session: &Session,
        sql: &Sql,
        params: Params<'_>,
    ) -> Result<Vec<Row>, Fault> {
        let (begun, locked, rows, committed) = join4(
            session.begin(),
            session.batch(&self.alone),
            session.rows(sql, params),
            session.commit(),
        )
        .await;
        begun?;
        locked?;
        let rows = rows?;
        committed?;
        Ok(rows)
    }
}

/// The columns of the rows that moves were read from.
#[derive(Default)]
struct Was {
    generations: Vec<i64>,
    epochs: Vec<i64>,
    sequences: Vec<i64>,
}

impl Was {
    fn push(&mut self, expected: Expected) {
        self.generations.push(stored(expected.generation.get()));
        self.epochs.push(stored(expected.cursor.epoch.get()));
        self.sequences.push(stored(expected.cursor.sequence.get()));
    }
}

/// The columns of the rows that they become.
#[derive(Default)]
struct Rows<'a> {
    types: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
    slices: Vec<i16>,
    epochs: Vec<i64>,
    sequences: Vec<i64>,
    digests: Vec<i64>,
    generations: Vec<i64>,
    schemas: Vec<i64>,
    written_at: Vec<i64>,
    states: Vec<Option<&'a [u8]>>,
}

impl<'a> Rows<'a> {
    fn push(&mut self, one: &'a Move<'a>) {
        let replica = &one.replica;
        self.types.push(one.grain.grain_type().as_bytes());
        self.keys.push(one.grain.grain_key().as_bytes());
        self.slices.push(Lot::of(one.grain).slice);
        self.epochs.push(stored(replica.cursor().epoch.get()));
        self.sequences.push(stored(replica.cursor().sequence.get()));
        self.digests.push(stored(replica.digest().get()));
        self.generations.push(stored(replica.generation().get()));
        self.schemas.push(i64::from(replica.schema().get()));
        self.written_at.push(replica.written_at().get());
        self.states.push(replica.state());
    }
}
