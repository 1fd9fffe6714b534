//! Appends. One takes one of two ways.
//!
//! The straight way is a single statement for any number of grains, each with one entry: it writes those
//! entries whose fence is the grain's own and whose number follows the head, which is what a publisher
//! that has claimed its grains sends. What it does not write, and runs of several entries, go the long
//! way: a transaction that locks, reads head and fence, and is judged by core's [`judge`]. The straight
//! way accepts a part of what the long way accepts and refuses nothing by itself: only the long way says
//! no.
//!
//! # Concurrency
//! Whoever moves a head or a fence first locks the counters of the feed shards of all its grains, in
//! ascending order, and holds them until its commit is visible. So no two of them wait for each other in
//! a ring, heads and fences stand still between the reading and the writing, and the order of places in a
//! shard is the order in which they become visible (F1, F2).

use futures::future::{join3, join4};
use gleaner_core::append::{Verdict, judge, landed};
use gleaner_core::{Appended, Cursor, Entry, Error, Fence, GrainId, Head, Kind, Limits, Result};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::columns::{EntryColumns, Lot, Places};
use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::read::GrainNames;
use crate::rows::{self, head_columns, stored};
use crate::schema::LOG;
use crate::session::{Session, Sql};

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct Appends {
    straight: Sql,
    lock: Sql,
    pub(crate) look: Sql,
    create: Sql,
    move_heads: Sql,
    insert: Sql,
    move_counters: Sql,
}

/// What is to be appended to one grain: at least one entry.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) grain: &'a GrainId,
    pub(crate) entries: Vec<&'a Entry>,
}

/// Where feed shards end now, for those who wait.
pub(crate) type Moves = Vec<(usize, u64)>;

/// What became of some runs.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// In the order of the runs. An error here is that of a whole call: the run's entries were not
    /// written, or may have been.
    pub(crate) answers: Vec<Result<Appended>>,
    pub(crate) moves: Moves,
    /// Whether an error may be the fault of one run alone.
    pub(crate) is_spoilt: bool,
}

impl Appends {
    pub(crate) fn new(schema: &str) -> Self {
        let sql = |text: &str, types| Sql {
            text: text
                .replace("{s}", schema)
                .replace("{delta}", &Kind::Delta.code().to_string())
                .replace("{tombstone}", &Kind::Tombstone.code().to_string())
                .replace("{version}", &LOG.version().to_string()),
            types,
        };
        Self {
            straight: sql(
                "WITH taken AS MATERIALIZED (\
                   SELECT s.id FROM {s}.shard s WHERE s.id = ANY ($1) ORDER BY s.id FOR UPDATE\
                 ), counted AS (\
                   UPDATE {s}.shard s SET pos = s.pos + c.number \
                   FROM taken t JOIN unnest($1, $2) AS c (id, number) ON c.id = t.id \
                   WHERE s.id = t.id RETURNING s.id, s.pos - c.number AS pos\
                 ), moved AS (\
                   UPDATE {s}.grain g SET pos = c.pos + i.nth, head_epoch = i.epoch, \
                   head_sequence = i.sequence, head_digest = i.digest, head_kind = i.kind, \
                   base_epoch = CASE i.kind WHEN {delta} THEN g.base_epoch ELSE i.epoch END, \
                   base_sequence = CASE i.kind WHEN {delta} THEN g.base_sequence ELSE i.sequence END \
                   FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
                   WITH ORDINALITY AS i (grain_type, grain_key, shard, nth, epoch, sequence, writer, \
                   kind, prev, digest, written_at, source, schema, payload, ord) \
                   JOIN counted c ON c.id = i.shard \
                   WHERE g.grain_type = i.grain_type AND g.grain_key = i.grain_key \
                   AND g.fence_epoch = i.epoch AND g.fence_writer = i.writer \
                   AND CASE i.kind WHEN {delta} THEN g.head_epoch = i.epoch \
                   AND g.head_sequence = i.sequence - 1 AND g.head_digest = i.prev \
                   AND g.head_kind <> {tombstone} \
                   ELSE g.head_epoch IS NULL OR (g.head_epoch <= i.epoch \
                   AND i.sequence - g.head_sequence BETWEEN 1 AND 4294967296) END \
                   AND (SELECT version FROM {s}.layout WHERE name = 'log') = {version} \
                   RETURNING g.id, g.shard AS lies_in, g.pos, g.base_epoch, g.base_sequence, i.*\
                 ), written AS (\
                   INSERT INTO {s}.entry SELECT id, epoch, sequence, writer, kind, prev, digest, \
                   written_at, source, schema, payload FROM moved\
                 ) SELECT ord, lies_in, pos, base_epoch, base_sequence FROM moved",
                &[
                    Type::INT2_ARRAY,
                    Type::INT8_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT2_ARRAY,
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
            lock: sql(
                "SELECT s.id, s.pos, (SELECT version FROM {s}.layout WHERE name = 'log') \
                 FROM {s}.shard s WHERE s.id = ANY ($1) ORDER BY s.id FOR UPDATE",
                &[Type::INT2_ARRAY],
            ),
            look: sql(
                concat!(
                    "SELECT i.ord, g.id, g.fence_epoch, g.fence_writer, ",
                    head_columns!(),
                    " FROM unnest($1, $2) WITH ORDINALITY AS i (grain_type, grain_key, ord) \
                     JOIN {s}.grain g USING (grain_type, grain_key)"
                ),
                &[Type::BYTEA_ARRAY, Type::BYTEA_ARRAY],
            ),
            create: sql(
                "INSERT INTO {s}.grain (grain_type, grain_key, slice, shard) \
                 SELECT * FROM unnest($1, $2, $3, $4)",
                &[
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT2_ARRAY,
                ],
            ),
            move_heads: sql(
                "UPDATE {s}.grain g SET pos = i.pos, head_epoch = i.head_epoch, \
                 head_sequence = i.head_sequence, head_digest = i.head_digest, \
                 head_kind = i.head_kind, base_epoch = i.base_epoch, \
                 base_sequence = i.base_sequence, fence_epoch = i.fence_epoch, \
                 fence_writer = i.fence_writer \
                 FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS i (grain_type, \
                 grain_key, pos, head_epoch, head_sequence, head_digest, head_kind, base_epoch, \
                 base_sequence, fence_epoch, fence_writer) \
                 WHERE g.grain_type = i.grain_type AND g.grain_key = i.grain_key",
                &[
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
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
            insert: sql(
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
            move_counters: sql(
                "UPDATE {s}.shard s SET pos = i.pos FROM unnest($1, $2) AS i (id, pos) \
                 WHERE s.id = i.id",
                &[Type::INT2_ARRAY, Type::INT8_ARRAY],
            ),
        }
    }

    /// Appends runs of different grains.
    pub(crate) async fn append(
        &self,
        session: &Session,
        place: &Place,
        limits: &Limits,
        runs: &[Run<'_>],
    ) -> Done {
        let mut answers: Vec<Option<Result<Appended>>> = runs.iter().map(|_| None).collect();
        let mut done = Done::default();
        let straight: Vec<(usize, &Run<'_>, &Entry)> = runs
            .iter()
            .enumerate()
            .filter_map(|(at, run)| match run.entries.as_slice() {
                [entry] if entry.check(limits, BACKEND).is_ok() => Some((at, run, *entry)),
                _ => None,
            })
            .collect();
        if !straight.is_empty() {
            let written = self
                .straight(session, &straight, &mut answers, &mut done.moves)
                .await;
            if let Err(fault) = written {
                done.is_spoilt = fault.is_permanent();
                let error = fault.in_doubt("append", &place.name);
                for (at, ..) in &straight {
                    if let Some(answer) = answers.get_mut(*at) {
                        *answer = Some(Err(error.clone()));
                    }
                }
            }
        }
        let left: Vec<(usize, &Run<'_>)> = runs
            .iter()
            .zip(&answers)
            .enumerate()
            .filter(|(_, (_, answer))| answer.is_none())
            .map(|(at, (run, _))| (at, run))
            .collect();
        if !left.is_empty() {
            let written = self.long(session, place, limits, &left).await;
            let written = written.unwrap_or_else(|stopped| {
                done.is_spoilt |= stopped.fault.is_permanent();
                let error = if stopped.is_in_doubt {
                    stopped.fault.in_doubt("append", &place.name)
                } else {
                    stopped.fault.before("append", &place.name)
                };
                (
                    left.iter().map(|_| Err(error.clone())).collect(),
                    Moves::new(),
                )
            });
            done.moves.extend(written.1);
            for ((at, _), answered) in left.iter().zip(written.0) {
                if let Some(answer) = answers.get_mut(*at) {
                    *answer = Some(answered);
                }
            }
        }
        let unanswered = || Err(Error::unknown(BACKEND, "an append was not answered"));
        done.answers = answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(unanswered))
            .collect();
        done
    }

    /// One statement. What it wrote is answered; what it did not is left.
    async fn straight(
        &self,
        session: &Session,
        runs: &[(usize, &Run<'_>, &Entry)],
        answers: &mut [Option<Result<Appended>>],
        moves: &mut Moves,
    ) -> Result<(), Fault> {
        let names = GrainNames::of(runs.iter().map(|(_, run, _)| run.grain));
        let mut places = Places::default();
        let mut columns = EntryColumns::default();
        let (mut shards, mut nth) = (Vec::new(), Vec::new());
        for (_, run, entry) in runs {
            let lot = Lot::of(run.grain);
            shards.push(lot.shard);
            nth.push(places.take(lot.shard));
            columns.push(entry);
        }
        let rows = session
            .rows(
                &self.straight,
                &[
                    &places.shards,
                    &places.numbers,
                    &names.types,
                    &names.keys,
                    &shards,
                    &nth,
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
            )
            .await?;
        for row in &rows {
            let at = usize::try_from(rows::count(row, 0)?).unwrap_or_default();
            let Some((at, run, entry)) = at.checked_sub(1).and_then(|at| runs.get(at)) else {
                continue;
            };
            let base = rows::cursor(row, 3)?;
            if let Some(answer) = answers.get_mut(*at) {
                *answer = Some(Ok(Appended {
                    grain: run.grain.clone(),
                    landed: 1,
                    result: Ok(Head::of(entry, base)),
                }));
            }
            moves.push((shard(row, 1)?, rows::count(row, 2)?));
        }
        Ok(())
    }

    /// A transaction in which heads and fences stand still, and core judges.
    async fn long(
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
        let mut found = Found::read(&found?, runs.len())?;
        let judged: Vec<Judged<'_>> = runs
            .iter()
            .zip(&found)
            .map(|((_, run), found)| Judged::of(run, found.as_ref(), limits))
            .collect();
        let answers = runs
            .iter()
            .zip(&judged)
            .map(|((_, run), judged)| Ok(judged.answer(run)))
            .collect();
        if judged.iter().all(|judged| judged.writes.is_empty()) {
            session.commit().await?;
            return Ok((answers, Moves::new()));
        }
        self.give_rows(session, &names, &lots, &judged, &mut found)
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
            heads.push(run.grain, counters.take(lot.shard), &head, judged.fence);
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
        *found = Found::read(&rows, names.types.len())?;
        Ok(())
    }
}

/// Why the long way ended early. Before the commit was sent, nothing has happened.
struct Stopped {
    fault: Fault,
    is_in_doubt: bool,
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            is_in_doubt: false,
        }
    }
}

fn shard(row: &Row, at: usize) -> Result<usize, Fault> {
    let shard: i16 = row.try_get(at)?;
    Ok(usize::try_from(shard).unwrap_or(usize::MAX))
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
            let version: Option<i32> = row.try_get(2)?;
            LOG.check(version.unwrap_or_default(), place)?;
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
    /// The rows of a look at `many` grains, in the order asked for.
    pub(crate) fn read(rows: &[Row], many: usize) -> Result<Vec<Option<Self>>, Fault> {
        let mut found = vec![None; many];
        for row in rows {
            let at = usize::try_from(rows::count(row, 0)?).unwrap_or_default();
            if let Some(place) = at.checked_sub(1).and_then(|at| found.get_mut(at)) {
                *place = Some(Self {
                    id: row.try_get(1)?,
                    fence: rows::read_fence(row, 2)?,
                    head: rows::read_head(row, 4)?,
                });
            }
        }
        Ok(found)
    }
}

/// What core says of one grain's run.
struct Judged<'a> {
    landed: usize,
    refused: Option<Error>,
    /// As they are after the writes.
    head: Option<Head>,
    fence: Option<Fence>,
    writes: Vec<&'a Entry>,
}

impl<'a> Judged<'a> {
    fn of(run: &Run<'a>, found: Option<&Found>, limits: &Limits) -> Self {
        let mut judged = Self {
            landed: 0,
            refused: None,
            head: found.and_then(|found| found.head),
            fence: found.and_then(|found| found.fence),
            writes: Vec::new(),
        };
        judged.landed = landed(judged.head.as_ref(), &run.entries);
        // The entry that equals the head is judged once more: it may be fenced by now (L2).
        let resumes = judged.landed.saturating_sub(1);
        for (at, entry) in run.entries.iter().enumerate().skip(resumes) {
            let verdict = judge(
                judged.head.as_ref(),
                judged.fence.as_ref(),
                entry,
                limits,
                BACKEND,
            );
            match verdict {
                Ok(Verdict::Retry(_)) => {}
                Ok(Verdict::Write(head, fence)) => {
                    judged.writes.push(entry);
                    judged.head = Some(head);
                    judged.fence = fence;
                }
                Err(error) => {
                    judged.refused = Some(error);
                    break;
                }
            }
            judged.landed = judged.landed.max(at + 1);
        }
        judged
    }

    fn answer(&self, run: &Run<'_>) -> Appended {
        let result = match (&self.refused, self.head) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(head)) => Ok(head),
            (None, None) => {
                Err(Error::invalid(BACKEND, "no entry was given").at(run.grain, Cursor::ZERO))
            }
        };
        Appended {
            grain: run.grain.clone(),
            landed: self.landed,
            result,
        }
    }
}

/// The columns of new heads.
#[derive(Default)]
struct HeadColumns<'a> {
    types: Vec<&'a [u8]>,
    keys: Vec<&'a [u8]>,
    places: Vec<i64>,
    epochs: Vec<i64>,
    sequences: Vec<i64>,
    digests: Vec<i64>,
    kinds: Vec<i16>,
    base_epochs: Vec<i64>,
    base_sequences: Vec<i64>,
    fence_epochs: Vec<Option<i64>>,
    fence_writers: Vec<Option<i64>>,
}

impl<'a> HeadColumns<'a> {
    fn push(&mut self, grain: &'a GrainId, place: i64, head: &Head, fence: Option<Fence>) {
        self.types.push(grain.grain_type().as_bytes());
        self.keys.push(grain.grain_key().as_bytes());
        self.places.push(place);
        self.epochs.push(stored(head.cursor.epoch.get()));
        self.sequences.push(stored(head.cursor.sequence.get()));
        self.digests.push(stored(head.digest.get()));
        self.kinds.push(i16::from(head.kind.code()));
        self.base_epochs.push(stored(head.base.epoch.get()));
        self.base_sequences.push(stored(head.base.sequence.get()));
        self.fence_epochs
            .push(fence.map(|fence| stored(fence.epoch.get())));
        self.fence_writers
            .push(fence.map(|fence| stored(fence.writer.get())));
    }

    fn params(&self) -> [&(dyn tokio_postgres::types::ToSql + Sync); 11] {
        [
            &self.types,
            &self.keys,
            &self.places,
            &self.epochs,
            &self.sequences,
            &self.digests,
            &self.kinds,
            &self.base_epochs,
            &self.base_sequences,
            &self.fence_epochs,
            &self.fence_writers,
        ]
    }
}
