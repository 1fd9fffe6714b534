//! Claims and truncations.

use std::collections::{HashMap, HashSet};

use gleaner_core::append::judge_claim;
use gleaner_core::{Claim, Cursor, Error, GrainId, Head, Result, Truncation};
use tokio_postgres::types::Type;

use crate::append::Appends;
use crate::columns::{GrainNames, Lot};
use crate::error::{BACKEND, Fault};
use crate::long::Found;
use crate::place::Place;
use crate::rows::{self, compared, head_columns, stored};
use crate::session::{Params, Session, Sessions, Sql};

/// How many entries one statement removes: a long history goes in pieces, none of which takes long.
const PIECE: i64 = 10_000;
/// And after how many bytes of payloads it ends: a large one lies in rows of 2 KB, each of which is removed.
const PIECE_BYTES: i64 = 16 << 20;

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct Claims {
    claim: Sql,
    floor: Sql,
    clear: Sql,
}

impl Claims {
    pub(crate) fn new(schema: &str) -> Self {
        let sql = |text, types| Sql::new(schema, text, types);
        Self {
            // Shards are locked first, as for appends, whose doc says why.
            claim: sql(
                concat!(
                    "WITH taken AS MATERIALIZED (\
                       SELECT s.id FROM {s}.shard s WHERE s.id = ANY ($1) ORDER BY s.id FOR UPDATE\
                     ) INSERT INTO {s}.grain AS g \
                     (grain_type, grain_key, slice, shard, fence_epoch, fence_writer) \
                     SELECT i.* FROM unnest($2, $3, $4, $5, $6, $7) \
                     AS i (grain_type, grain_key, slice, shard, epoch, writer) \
                     JOIN taken t ON t.id = i.shard \
                     WHERE {may_write} \
                     ON CONFLICT (grain_type, grain_key) DO UPDATE \
                     SET fence_epoch = excluded.fence_epoch, fence_writer = excluded.fence_writer \
                     WHERE g.fence_epoch IS NULL OR g.fence_epoch < excluded.fence_epoch \
                     OR (g.fence_epoch = excluded.fence_epoch \
                     AND g.fence_writer = excluded.fence_writer) \
                     RETURNING g.grain_type, g.grain_key, ",
                    head_columns!()
                ),
                &[
                    Type::INT2_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT2_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                ],
            ),
            floor: sql(
                "WITH own AS MATERIALIZED (\
                   SELECT g.* FROM {s}.grain g WHERE g.grain_type = $1 AND g.grain_key = $2 \
                   AND {may_write}\
                 ), base AS MATERIALIZED (\
                   SELECT o.id, e.epoch, e.sequence FROM own o CROSS JOIN LATERAL (\
                     SELECT e.epoch, e.sequence FROM {s}.entry e WHERE e.grain = o.id \
                     AND (e.epoch, e.sequence) <= (\
                     CASE WHEN (o.base_epoch, o.base_sequence) <= ($3, $4) \
                     THEN o.base_epoch ELSE $3 END, \
                     CASE WHEN (o.base_epoch, o.base_sequence) <= ($3, $4) \
                     THEN o.base_sequence ELSE $4 END) AND e.kind <> {delta} \
                     ORDER BY e.epoch DESC, e.sequence DESC LIMIT 1) e \
                   WHERE EXISTS (SELECT FROM {s}.entry b WHERE b.grain = o.id \
                   AND (b.epoch, b.sequence) < (e.epoch, e.sequence))\
                 ), floored AS (\
                   UPDATE {s}.grain g SET floor_epoch = b.epoch, floor_sequence = b.sequence \
                   FROM base b WHERE g.grain_type = $1 AND g.grain_key = $2 \
                   AND (g.floor_epoch, g.floor_sequence) < (b.epoch, b.sequence) \
                   RETURNING g.floor_epoch, g.floor_sequence\
                 ) SELECT {version}, o.id, coalesce(f.floor_epoch, o.floor_epoch), \
                 coalesce(f.floor_sequence, o.floor_sequence) \
                 FROM (VALUES (1)) one LEFT JOIN own o ON true LEFT JOIN floored f ON true",
                &[Type::BYTEA, Type::BYTEA, Type::INT8, Type::INT8],
            ),
            clear: sql(
                // A payload's length is known without it.
                "WITH below AS MATERIALIZED (\
                   SELECT e.ctid AS tid, sum(e.bytes) \
                   OVER (ORDER BY e.epoch, e.sequence ROWS UNBOUNDED PRECEDING) \
                   - e.bytes AS bytes_before \
                   FROM (SELECT e.ctid, e.epoch, e.sequence, octet_length(e.payload) AS bytes \
                   FROM {s}.entry e \
                   WHERE e.grain = $1 AND (e.epoch, e.sequence) < ($2, $3) \
                   ORDER BY e.epoch, e.sequence LIMIT $4) e\
                 ), gone AS (\
                   DELETE FROM {s}.entry e WHERE e.ctid = ANY (ARRAY(\
                   SELECT b.tid FROM below b WHERE b.bytes_before < $5)) RETURNING 1\
                 ) SELECT (SELECT count(*) FROM gone), count(*) FROM below",
                &[Type::INT8, Type::INT8, Type::INT8, Type::INT8, Type::INT8],
            ),
        }
    }

    /// Claims grains, each on its own (L4); the feed does not move.
    ///
    /// A claim that the statement does not make has lost to the fence, which is then looked at. The
    /// same grain again waits for its own turn, so that claims count in the order asked for.
    pub(crate) async fn claim(
        &self,
        appends: &Appends,
        session: &Session,
        place: &Place,
        claims: &[Claim],
    ) -> Result<Vec<Result<Option<Head>>>, Fault> {
        let mut answers: Vec<Option<Result<Option<Head>>>> = claims
            .iter()
            .map(|claim| judge_claim(None, claim, BACKEND).err().map(Err))
            .collect();
        let mut is_first = true;
        loop {
            let turn = next_turn(claims, &answers);
            if turn.is_empty() {
                break;
            }
            let turned = self.turn(appends, session, place, &turn, &mut answers);
            match turned.await {
                Ok(()) => {}
                // Some may have been made by then.
                Err(fault)
                    if !is_first || answers.iter().any(|answer| matches!(answer, Some(Ok(_)))) =>
                {
                    let error = fault.in_doubt("claim", &place.name);
                    let message = "some of the claims were made, of others it is not known";
                    return Err(Error::unknown(BACKEND, message).caused_by(error).into());
                }
                Err(fault) => return Err(fault),
            }
            is_first = false;
        }
        let unanswered = || Err(Error::unknown(BACKEND, "a claim was not answered"));
        Ok(answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(unanswered))
            .collect())
    }

    async fn turn(
        &self,
        appends: &Appends,
        session: &Session,
        place: &Place,
        turn: &Turn<'_>,
        answers: &mut [Option<Result<Option<Head>>>],
    ) -> Result<(), Fault> {
        let names = GrainNames::of(turn.iter().map(|(_, claim)| &claim.grain));
        let lots = turn.iter().map(|(_, claim)| Lot::of(&claim.grain));
        let slices: Vec<i16> = lots.clone().map(|lot| lot.slice).collect();
        let shards: Vec<i16> = lots.map(|lot| lot.shard).collect();
        let mut locked = shards.clone();
        locked.sort_unstable();
        locked.dedup();
        let epochs: Vec<i64> = turn
            .iter()
            .map(|(_, claim)| stored(claim.epoch.get()))
            .collect();
        let writers: Vec<i64> = turn
            .iter()
            .map(|(_, claim)| stored(claim.writer.get()))
            .collect();
        let rows = session
            .rows(
                &self.claim,
                &[
                    &locked,
                    &names.types,
                    &names.keys,
                    &slices,
                    &shards,
                    &epochs,
                    &writers,
                ],
            )
            .await?;
        let asked: HashMap<(&[u8], &[u8]), usize> = names
            .types
            .iter()
            .copied()
            .zip(names.keys.iter().copied())
            .zip(turn.iter().map(|(at, _)| *at))
            .collect();
        for row in &rows {
            let name: (&[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            if let Some(answer) = asked.get(&name).and_then(|at| answers.get_mut(*at)) {
                *answer = Some(Ok(rows::read_head(row, 2)?));
            }
        }
        if rows.len() == turn.len() {
            return Ok(());
        }
        let rows = session
            .rows(&appends.long.look, &[&names.types, &names.keys])
            .await?;
        for ((at, claim), found) in turn.iter().zip(Found::read(&rows, turn.len(), place)?) {
            let fence = found.and_then(|found| found.fence);
            if let Some(answer @ None) = answers.get_mut(*at) {
                let fenced = judge_claim(fence.as_ref(), claim, BACKEND).err();
                // A fence only rises: what lost to it once has lost.
                let missing =
                    || Error::permanent(BACKEND, "a feed shard is missing").of(&claim.grain);
                *answer = Some(Err(fenced.unwrap_or_else(missing)));
            }
        }
        Ok(())
    }

    /// Removes what lies below the newest base at or below `before` (L7): the floor first, below which
    /// nothing is read any more, then the entries, piece by piece. What is left of them if this ends early
    /// goes with the next call.
    pub(crate) async fn truncate(
        &self,
        sessions: &Sessions,
        session: &Session,
        grain: &GrainId,
        before: Cursor,
    ) -> Result<Truncation, Fault> {
        let (name, key) = (grain.grain_type().as_bytes(), grain.grain_key().as_bytes());
        let (epoch, sequence) = (
            compared(before.epoch.get()),
            compared(before.sequence.get()),
        );
        let rows = sessions
            .within(session.rows(&self.floor, &[&name, &key, &epoch, &sequence]))
            .await?;
        let mut truncation = Truncation {
            removed: 0,
            floor: Cursor::ZERO,
        };
        let Some(row) = rows.first() else {
            return Ok(truncation);
        };
        rows::check_version(row, 0, &sessions.place)?;
        if rows::is_null(row, 1)? {
            return Ok(truncation);
        }
        let id: i64 = row.try_get(1)?;
        truncation.floor = rows::cursor(row, 2)?;
        let (epoch, sequence) = (
            stored(truncation.floor.epoch.get()),
            stored(truncation.floor.sequence.get()),
        );
        let piece: Params<'_> = &[&id, &epoch, &sequence, &PIECE, &PIECE_BYTES];
        loop {
            let rows = sessions.within(session.rows(&self.clear, piece)).await?;
            let Some(row) = rows.first() else {
                return Ok(truncation);
            };
            let (removed, looked_at) = (rows::count(row, 0)?, rows::count(row, 1)?);
            truncation.removed += removed;
            // Another truncation may have removed some of them; the next statement sees them no more.
            if removed == looked_at && looked_at < PIECE.unsigned_abs() {
                return Ok(truncation);
            }
        }
    }
}

/// Claims that go in one statement, and where they stand among all.
type Turn<'a> = Vec<(usize, &'a Claim)>;

/// The first unanswered claim of each grain.
fn next_turn<'a>(claims: &'a [Claim], answers: &[Option<Result<Option<Head>>>]) -> Turn<'a> {
    let mut taken = HashSet::new();
    claims
        .iter()
        .zip(answers)
        .enumerate()
        .filter(|(_, (claim, answer))| answer.is_none() && taken.insert(&claim.grain))
        .map(|(at, (claim, _))| (at, claim))
        .collect()
}
