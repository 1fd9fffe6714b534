//! [`Long`]: a transaction that locks, reads, has core judge, and writes.

use futures::future::{join3, join4};
use gleaner_core::{Appended, Fence, Head, Limits, Result};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::append::{Moves, Run};
use crate::columns::{EntryColumns, GrainNames, HeadColumns, Lot};
use crate::error::Fault;
use crate::judged::Judged;
use crate::place::Place;
use crate::rows::{self, head_columns};
use crate::session::{Session, Sql};

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct Long {
    lock: Sql,
    /// Heads and fences: a row for each grain asked for, whether it is there or not.
    pub(crate) look: Sql,
    create: Sql,
    move_heads: Sql,
    insert: Sql,
    move_counters: Sql,
}

impl Long {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            lock: Sql::new(
                schema,
                "SELECT s.id, s.pos, {version} \
                 FROM {s}.shard s WHERE s.id = ANY ($1) ORDER BY s.id FOR UPDATE",
                &[Type::INT2_ARRAY],
            ),
            look: Sql::new(
                schema,
                concat!(
                    "SELECT i.ord, {version}, g.id, g.fence_epoch, g.fence_writer, ",
                    head_columns!(),
                    " FROM unnest($1, $2) WITH ORDINALITY AS i (grain_type, grain_key, ord) \
                     LEFT {join_its_grain} ON true"
                ),
                &[Type::BYTEA_ARRAY, Type::BYTEA_ARRAY],
            ),
            create: Sql::new(
                schema,
                "INSERT INTO {s}.grain (grain_type, grain_key, slice, shard) \
                 SELECT * FROM unnest($1, $2, $3, $4)",
                &[
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT2_ARRAY,
                ],
            ),
            move_heads: Sql::new(
                schema,
                // The rows are there: this is the way to them that leaves the planner no other.
                "INSERT INTO {s}.grain (grain_type, grain_key, slice, shard, pos, head_epoch, \
                 head_sequence, head_digest, head_kind, base_epoch, base_sequence, fence_epoch, \
                 fence_writer) \
                 SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) \
                 ON CONFLICT (grain_type, grain_key) DO UPDATE SET pos = excluded.pos, \
                 head_epoch = excluded.head_epoch, head_sequence = excluded.head_sequence, \
                 head_digest = excluded.head_digest, head_kind = excluded.head_kind, \
                 base_epoch = excluded.base_epoch, base_sequence = excluded.base_sequence, \
                 fence_epoch = excluded.fence_epoch, fence_writer = excluded.fence_writer",
                &[
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                ],
            ),
            insert: Sql::new(
                schema,
                "INSERT INTO {s}.entry \
                 SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                &[
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT8_ARRAY,
                    Type::BYTEA_ARRAY,
                ],
            ),
            move_counters: Sql::new(
                schema,
                "UPDATE {s}.shard s SET pos = i.pos FROM unnest($1, $2) AS i (id, pos) \
                 WHERE s.id = i.id",
                &[Type::INT2_ARRAY, Type::INT8_ARRAY],
            ),
        }
    }

    /// A transaction in which heads and fences stand still, and core judges.
    pub(crate) async fn append(
        &self,
        session: &Session,
        place: &Place,
        limits: &Limits,
        runs: &[(usize, &Run<'_>)],
    ) -> Result<(Vec<Result<Appended>>, Moves), Stopped> {
        let statements = [
            &self.lock,
            &self.look,
            &self.create,
            &self.move_heads,
            &self.insert,
            &self.move_counters,
        ];
        session.prepare(statements).await?;
        let names = GrainNames::of(runs.iter().map(|(_, run)| run.grain));
        let lots: Vec<Lot> = runs.iter().map(|(_, run)| Lot::of(run.grain)).collect();
        let mut shards: Vec<i16> = lots.iter().map(|lot| lot.shard).collect();
        shards.sort_unstable();
        shards.dedup();
        let (begun, counters, found) = join3(
            session.begin(),
            session.rows(&self.lock, &[&shards]),
            session.rows(&self.look, &[&names.types, &names.keys]),
        )
        .await;
        begun?;
        let mut counters = Counters::read(&counters?, place)?;
        let mut found = Found::read(&found?, runs.len(), place)?;
        let (answers, judged): (Vec<_>, Vec<_>) = runs
            .iter()
            .zip(&found)
            .map(|((_, run), found)| Judged::of(run, found.as_ref(), limits))
            .map(|(answer, judged)| (Ok(answer), judged))
            .unzip();
        if judged.iter().all(|judged| judged.writes.is_empty()) {
            // Committed, not rolled back: a retry is answered as durable, and what it found may be waiting
            // for a standby still. Row locks make this a commit that waits behind it.
            session.commit().await?;
            return Ok((answers, Moves::new()));
        }
        self.give_rows(session, place, &names, &lots, &judged, &mut found)
            .await?;
        let mut heads = HeadColumns::default();
        let (mut ids, mut columns) = (Vec::new(), EntryColumns::default());
        for ((((_, run), lot), judged), found) in runs.iter().zip(&lots).zip(&judged).zip(&found) {
            let (Some(head), Some(found)) = (judged.head, found) else {
                continue;
            };
            if judged.writes.is_empty() {
                continue;
            }
            heads.push(
                run.grain,
                *lot,
                counters.take(lot.shard),
                &head,
                judged.fence,
            );
            for entry in &judged.writes {
                ids.push(found.id);
                columns.push(entry);
            }
        }
        let (moved, inserted, counted, committed) = join4(
            session.rows(&self.move_heads, &heads.params()),
            session.rows(
                &self.insert,
                &[
                    &ids,
                    &columns.epochs,
                    &columns.sequences,
                    &columns.writers,
                    &columns.kinds,
                    &columns.prevs,
                    &columns.digests,
                    &columns.written_at,
                    &columns.sources,
                    &columns.schemas,
                    &columns.payloads,
                ],
            ),
            session.rows(&self.move_counters, &[&counters.shards, &counters.places]),
            session.commit(),
        )
        .await;
        // From here on the commit is on its way.
        let doubt = |fault| Stopped {
            fault,
            is_in_doubt: true,
        };
        moved.map_err(doubt)?;
        inserted.map_err(doubt)?;
        counted.map_err(doubt)?;
        committed.map_err(doubt)?;
        Ok((answers, counters.moves()))
    }

    /// Makes rows for grains that have none and are to be written.
    async fn give_rows(
        &self,
        session: &Session,
        place: &Place,
        names: &GrainNames<'_>,
        lots: &[Lot],
        judged: &[Judged<'_>],
        found: &mut Vec<Option<Found>>,
    ) -> Result<(), Fault> {
        let mut created = GrainNames {
            types: Vec::new(),
            keys: Vec::new(),
        };
        let (mut slices, mut shards) = (Vec::new(), Vec::new());
        let rows = names.types.iter().zip(&names.keys).zip(lots);
        for (((name, lot), judged), found) in rows.zip(judged).zip(found.iter()) {
            if found.is_none() && !judged.writes.is_empty() {
                created.types.push(name.0);
                created.keys.push(name.1);
                slices.push(lot.slice);
                shards.push(lot.shard);
            }
        }
        if created.types.is_empty() {
            return Ok(());
        }
        session
            .rows(
                &self.create,
                &[&created.types, &created.keys, &slices, &shards],
            )
            .await?;
        let rows = session
            .rows(&self.look, &[&names.types, &names.keys])
            .await?;
        *found = Found::read(&rows, names.types.len(), place)?;
        Ok(())
    }
}

/// Why the long way ended early. Before the commit was sent, nothing has happened.
pub(crate) struct Stopped {
    pub(crate) fault: Fault,
    pub(crate) is_in_doubt: bool,
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            is_in_doubt: false,
        }
    }
}

/// The counters of the locked shards.
struct Counters {
    shards: Vec<i16>,
    places: Vec<i64>,
}

impl Counters {
    fn read(rows: &[Row], place: &Place) -> Result<Self, Fault> {
        let mut counters = Self {
            shards: Vec::with_capacity(rows.len()),
            places: Vec::with_capacity(rows.len()),
        };
        for row in rows {
            counters.shards.push(row.try_get(0)?);
            counters.places.push(row.try_get(1)?);
            rows::check_version(row, 2, place)?;
        }
        Ok(counters)
    }

    /// The next place in a shard.
    fn take(&mut self, shard: i16) -> i64 {
        let at = self.shards.iter().position(|other| *other == shard);
        at.and_then(|at| self.places.get_mut(at))
            .map_or(0, |place| {
                *place += 1;
                *place
            })
    }

    fn moves(&self) -> Moves {
        self.shards
            .iter()
            .zip(&self.places)
            .filter_map(|(shard, place)| {
                Some((usize::try_from(*shard).ok()?, place.cast_unsigned()))
            })
            .collect()
    }
}

/// A grain's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) id: i64,
    pub(crate) fence: Option<Fence>,
    pub(crate) head: Option<Head>,
}

impl Found {
    /// The rows of a look at `many` grains, in the order asked for; none for those that are not there.
    pub(crate) fn read(
        rows: &[Row],
        many: usize,
        place: &Place,
    ) -> Result<Vec<Option<Self>>, Fault> {
        let mut found = vec![None; many];
        for row in rows {
            rows::check_version(row, 1, place)?;
            if rows::is_null(row, 2)? {
                continue;
            }
            let at = usize::try_from(rows::count(row, 0)?).unwrap_or_default();
            if let Some(place) = at.checked_sub(1).and_then(|at| found.get_mut(at)) {
                *place = Some(Self {
                    id: row.try_get(2)?,
                    fence: rows::read_fence(row, 3)?,
                    head: rows::read_head(row, 5)?,
                });
            }
        }
        Ok(found)
    }
}
