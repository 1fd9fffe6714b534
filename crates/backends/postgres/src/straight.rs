//! [`Straight`]: an entry each for any number of grains, in one statement that is its own transaction.

use gleaner_core::{Appended, Head};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::append::{Moves, Single};
use crate::columns::{EntryColumns, GrainNames, Lot, Places};
use crate::error::Fault;
use crate::rows;
use crate::session::{Session, Sql};

/// The statement, for one schema.
///
/// It counts places for all entries before it knows which it will write: places that stay empty harm
/// nobody. The statement sees what was there when it began, and may have waited for its shards since; so
/// the server looks again at a row that another process has moved meanwhile, and writes what still fits
/// fence and head as they are now. What did not fit when the statement began, and a grain that another process
/// has just made, it does not see: those take the long way.
#[derive(Debug)]
pub(crate) struct Straight {
    append: Sql,
}

impl Straight {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            append: Sql::new(
                schema,
                "WITH taken AS MATERIALIZED (\
                   SELECT s.id FROM {s}.shard s WHERE s.id = ANY ($1) ORDER BY s.id FOR UPDATE\
                 ), counted AS (\
                   UPDATE {s}.shard s SET pos = s.pos + c.number \
                   FROM taken t JOIN unnest($1, $2) AS c (id, number) ON c.id = t.id \
                   WHERE s.id = t.id RETURNING s.id, s.pos - c.number AS pos\
                 ), places AS MATERIALIZED (\
                   SELECT array_agg(c.pos ORDER BY c.id) AS below FROM counted c\
                 ), moved AS (\
                   UPDATE {s}.grain g SET pos = (SELECT below FROM places)[i.slot] + i.nth, head_epoch = i.epoch, \
                   head_sequence = i.sequence, head_digest = i.digest, head_kind = i.kind, \
                   base_epoch = CASE i.kind WHEN {delta} THEN g.base_epoch ELSE i.epoch END, \
                   base_sequence = CASE i.kind WHEN {delta} THEN g.base_sequence ELSE i.sequence END \
                   FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
                   WITH ORDINALITY AS i (grain_type, grain_key, slot, nth, epoch, sequence, writer, \
                   kind, prev, digest, written_at, source, schema, payload, ord) \
                   WHERE g.grain_type = i.grain_type AND g.grain_key = i.grain_key \
                   AND g.fence_epoch = i.epoch AND g.fence_writer = i.writer \
                   AND CASE i.kind WHEN {delta} THEN g.head_epoch = i.epoch \
                   AND g.head_sequence = i.sequence - 1 AND g.head_digest = i.prev \
                   AND g.head_kind <> {tombstone} \
                   ELSE g.head_epoch IS NULL OR (g.head_epoch <= i.epoch \
                   AND i.sequence - g.head_sequence BETWEEN 1 AND 4294967296) END \
                   AND {may_write} \
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
        }
    }

    /// One statement. What it did not write is not among the answers.
    pub(crate) async fn append(
        &self,
        session: &Session,
        runs: &[Single<'_>],
    ) -> Result<Written, Fault> {
        let names = GrainNames::of(runs.iter().map(|(_, run, _)| run.grain));
        let mut places = Places::default();
        let mut columns = EntryColumns::default();
        let (mut lots, mut nth) = (Vec::new(), Vec::new());
        for (_, run, entry) in runs {
            let lot = Lot::of(run.grain);
            lots.push(lot);
            nth.push(places.take(lot.shard));
            columns.push(entry);
        }
        let slots: Vec<i16> = lots.iter().map(|lot| places.slot(lot.shard)).collect();
        let rows = session
            .rows(
                &self.append,
                &[
                    &places.shards,
                    &places.numbers,
                    &names.types,
                    &names.keys,
                    &slots,
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
        let mut written = Written::default();
        for row in &rows {
            let at = usize::try_from(rows::count(row, 0)?).unwrap_or_default();
            let Some((at, run, entry)) = at.checked_sub(1).and_then(|at| runs.get(at)) else {
                continue;
            };
            let appended = Appended {
                grain: run.grain.clone(),
                landed: 1,
                result: Ok(Head::of(entry, rows::cursor(row, 3)?)),
            };
            written.answers.push((*at, appended));
            written.moves.push((shard(row, 1)?, rows::count(row, 2)?));
        }
        Ok(written)
    }
}

/// What a statement has written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// By the places of the runs.
    pub(crate) answers: Vec<(usize, Appended)>,
    pub(crate) moves: Moves,
}

fn shard(row: &Row, at: usize) -> Result<usize, Fault> {
    let shard: i16 = row.try_get(at)?;
    Ok(usize::try_from(shard).unwrap_or(usize::MAX))
}
