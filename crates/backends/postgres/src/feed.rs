//! The log's change feed: one row a grain, in 32 shards, each ordered by a counter that is given out
//! under a lock held until the commit is visible, so that the order of places is the order of commits.

use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{ChangeFeed, Changes, Error, Filter, Identity, Moved, Names, Position, Result};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::columns::{clamped, slice_bits};
use crate::error::{BACKEND, Fault};
use crate::log::PostgresLog;
use crate::place::Place;
use crate::rows::{self, HEAD, IDENTITY, head_columns, identity_columns};
use crate::schema::{SHARDS, SLICES_A_SHARD};
use crate::session::{Sessions, Sql};

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct Feed {
    start: Sql,
    changes: Sql,
}

/// Where the columns of a page lie.
const SHARD: usize = IDENTITY;
const END: usize = SHARD + 1;
const POS: usize = END + 1;
const NAME: usize = POS + 1;
const HEAD_AT: usize = NAME + 2;
const SHARE: usize = HEAD_AT + HEAD;
const LAST: usize = SHARE + 1;

impl Feed {
    pub(crate) fn new(schema: &str) -> Self {
        let sql = |text, types| Sql::new(schema, text, types);
        Self {
            start: sql(
                concat!(
                    "SELECT ",
                    identity_columns!(),
                    ", id, pos FROM {s}.shard ORDER BY id"
                ),
                &[],
            ),
            // A shard that has not moved is looked up in the table of counters alone. Of grains that are
            // passed over, the place of the last is sent, if so many were; the identity with the first
            // shard.
            changes: sql(
                concat!(
                    "SELECT i.*, s.id, s.pos, g.pos, \
                     CASE WHEN g.named THEN g.grain_type END, \
                     CASE WHEN g.named THEN g.grain_key END, ",
                    head_columns!(),
                    ", greatest(1, $2 / s.moved), g.nth = greatest(1, $3 / s.moved) FROM (\
                     SELECT s.id, s.pos, c.after, \
                     greatest(1, count(*) FILTER (WHERE s.pos > c.after AND c.asked) OVER ()) \
                     AS moved, s.pos > c.after AND c.asked AS has_moved \
                     FROM unnest($1, $7) WITH ORDINALITY AS c (after, asked, ord) \
                     JOIN {s}.shard s ON s.id = c.ord - 1) s \
                     LEFT JOIN LATERAL (SELECT * FROM (SELECT g.*, \
                     row_number() OVER (ORDER BY g.pos) AS nth, ($4::bytea IS NULL OR g.grain_type = $4) AND ($5::bytea IS NULL \
                     OR substring(g.grain_key FROM 1 FOR octet_length($5)) = $5) \
                     AND ($6::bytea IS NULL OR get_bit($6, g.slice) = 1) AS named \
                     FROM {s}.grain g WHERE s.has_moved AND g.shard = s.id AND g.pos > s.after \
                     ORDER BY g.pos LIMIT greatest(1, $3 / s.moved)) g \
                     WHERE g.named OR g.nth = greatest(1, $3 / s.moved) \
                     ORDER BY g.pos LIMIT greatest(1, $2 / s.moved)) g ON true \
                     LEFT JOIN (SELECT ",
                    identity_columns!(),
                    ") i ON s.id = 0 ORDER BY s.id, g.pos"
                ),
                &[
                    Type::INT8_ARRAY,
                    Type::INT8,
                    Type::INT8,
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::BOOL_ARRAY,
                ],
            ),
        }
    }

    /// The feed's end.
    pub(crate) async fn start(&self, sessions: &Sessions) -> Result<(Identity, [u64; SHARDS])> {
        let rows = sessions.read(&self.start, &[]).await?;
        end(&rows, &sessions.place).map_err(|fault| fault.before("read", &sessions.place.name))
    }

    /// A page of what has moved since.
    pub(crate) async fn changes(
        &self,
        sessions: &Sessions,
        since: &Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Changes, [u64; SHARDS])> {
        let limit = limit.max(1);
        let after = asked_after(since)?;
        let everything = *filter == Filter::all();
        let scan = if everything {
            limit
        } else {
            limit.saturating_add(Names::SCAN)
        };
        let rows = sessions
            .read(
                &self.changes,
                &[
                    &after.map(u64::cast_signed).as_slice(),
                    &clamped(limit),
                    &clamped(scan),
                    &filter.only_type().map(str::as_bytes),
                    &filter.only_prefix().map(str::as_bytes),
                    &slice_bits(filter),
                    &shards_of(filter).as_slice(),
                ],
            )
            .await?;
        page(&rows, &sessions.place, since, filter)
            .map_err(|fault| fault.before("read", &sessions.place.name))
    }
}

/// Which shards hold grains of the filter.
pub(crate) fn shards_of(filter: &Filter) -> [bool; SHARDS] {
    let Some(slices) = filter.only_slices() else {
        return [true; SHARDS];
    };
    let mut asked = [false; SHARDS];
    for slice in slices.iter() {
        let shard = usize::from(slice) / usize::from(SLICES_A_SHARD.unsigned_abs());
        if let Some(asked) = asked.get_mut(shard) {
            *asked = true;
        }
    }
    asked
}

/// The counters that are asked for. What a position is worth is known only with the answer's identity;
/// one that is no place in a feed like this one is refused here.
fn asked_after(since: &Position) -> Result<[u64; SHARDS]> {
    // Its own identity and filter: this only takes out the numbers.
    let counters = since.counters(since.identity(), since.filter(), BACKEND)?;
    let counters: [u64; SHARDS] = counters.try_into().map_err(|_| beyond())?;
    if counters
        .iter()
        .any(|counter| i64::try_from(*counter).is_err())
    {
        return Err(beyond());
    }
    Ok(counters)
}

fn beyond() -> Error {
    Error::expired(BACKEND, "the position lies beyond the end")
}

fn end(rows: &[Row], place: &Place) -> Result<(Identity, [u64; SHARDS]), Fault> {
    let missing = || Fault::from(Error::permanent(BACKEND, "a feed shard is missing"));
    let first = rows.first().ok_or_else(missing)?;
    let identity = rows::read_identity(first, 0, place)?;
    let mut counters = [0; SHARDS];
    if rows.len() != SHARDS {
        return Err(missing());
    }
    for (counter, row) in counters.iter_mut().zip(rows) {
        *counter = rows::count(row, END)?;
    }
    Ok((identity, counters))
}

/// The page, and where each shard ends.
fn page(
    rows: &[Row],
    place: &Place,
    since: &Position,
    filter: &Filter,
) -> Result<(Changes, [u64; SHARDS]), Fault> {
    let missing = || Fault::from(Error::permanent(BACKEND, "a feed shard is missing"));
    let first = rows.first().ok_or_else(missing)?;
    let identity = rows::read_identity(first, 0, place)?;
    let after = since.counters(&identity, filter, BACKEND)?;
    let after: [u64; SHARDS] = after.try_into().map_err(|_| beyond())?;
    let asked = shards_of(filter);
    let (mut ends, mut next) = ([0; SHARDS], after);
    let (mut moved, mut complete, mut seen) = (Vec::new(), true, 0);
    for own in rows.chunk_by(|one, other| shard_of(one) == shard_of(other)) {
        let (Some(first), Some(shard)) = (own.first(), own.first().and_then(shard_of)) else {
            return Err(missing());
        };
        let (Some(after), Some(next), Some(end), Some(asked)) = (
            after.get(shard),
            next.get_mut(shard),
            ends.get_mut(shard),
            asked.get(shard),
        ) else {
            return Err(missing());
        };
        seen += 1;
        *end = rows::count(first, END)?;
        if *end < *after {
            return Err(beyond().into());
        }
        if *asked {
            *next = names(own, *end, &mut moved)?;
            complete &= *next == *end;
        }
    }
    if seen != SHARDS {
        return Err(missing());
    }
    let changes = Changes {
        moved,
        next: Position::new(identity, filter.clone(), next),
        complete,
        age: Duration::ZERO,
    };
    Ok((changes, ends))
}

fn shard_of(row: &Row) -> Option<usize> {
    let shard: i16 = row.try_get(SHARD).ok()?;
    usize::try_from(shard).ok()
}

/// Takes the names of one shard's rows; how far they reach. As many as were asked for reach as far as the
/// last of them; fewer reach as far as was looked, which is to the end unless a row says otherwise.
fn names(rows: &[Row], end: u64, moved: &mut Vec<Moved>) -> Result<u64, Fault> {
    let Some(first) = rows.first() else {
        return Ok(end);
    };
    if rows::is_null(first, POS)? {
        // Nothing lies behind the position, though the counter may have moved: a batch that was refused
        // takes places too.
        return Ok(end);
    }
    let mut reached = end;
    for row in rows {
        // A grain that is passed over has no name here.
        if row.try_get::<_, Option<&[u8]>>(NAME)?.is_some()
            && let Some(head) = rows::read_head(row, HEAD_AT)?
        {
            let grain = rows::read_grain(row, NAME)?;
            moved.push(Moved { grain, head });
        }
        if row.try_get(LAST)? {
            reached = rows::count(row, POS)?;
        }
    }
    if rows.len() as u64 == rows::count(first, SHARE)?
        && let Some(last) = rows.last()
    {
        reached = rows::count(last, POS)?;
    }
    Ok(reached)
}

#[async_trait]
impl ChangeFeed for PostgresLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        let known = self.bell().known();
        let (identity, ends) = self.feed_sql().start(self.sessions()).await?;
        self.bell().read(&known, &ends);
        Ok(Position::new(identity, filter.clone(), ends))
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        let known = self.bell().known();
        let (changes, ends) = self
            .feed_sql()
            .changes(self.sessions(), since, filter, limit)
            .await?;
        self.bell().read(&known, &ends);
        Ok(changes)
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        self.listen();
        let passed = self.bell().passed(since);
        drop(tokio::time::timeout(at_most, passed).await);
    }
}
