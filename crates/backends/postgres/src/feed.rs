//! The log's change feed: one row a grain, in 32 shards, each ordered by a counter that is given out
//! under a lock held until the commit is visible, so that the order of places is the order of commits.

use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{ChangeFeed, Changes, Error, Filter, Identity, Moved, Names, Position, Result};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::columns::{clamped, slice_bits};
use crate::error::{BACKEND, Fault};
use crate::hints::Ends;
use crate::log::PostgresLog;
use crate::place::Place;
use crate::read::decoded;
use crate::rows::{self, HEAD, head_columns, identity_column};
use crate::schema::{SHARDS, SLICES_A_SHARD};
use crate::session::{Sessions, Sql};

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct Feed {
    start: Sql,
    named: Sql,
    looked: Sql,
}

/// Where the columns of a page lie.
const SHARD: usize = 1;
const END: usize = SHARD + 1;
const POS: usize = END + 1;
const NAME: usize = POS + 1;
const LAST: usize = NAME + 2 + HEAD;

/// Every shard, and what its part of the page is. One that has not moved is looked up in the table of
/// counters alone.
macro_rules! shards {
    () => {
        "(SELECT s.id, s.pos, c.after, s.pos > c.after AND c.asked AS has_moved, \
         greatest(1, count(*) FILTER (WHERE s.pos > c.after AND c.asked) OVER ()) AS moved \
         FROM unnest($1, $2) WITH ORDINALITY AS c (after, asked, ord) \
         JOIN {s}.shard s ON s.id = c.ord - 1) s"
    };
}

/// The rows that lie behind a shard's place, as far as is looked, and whether they are in the filter.
macro_rules! moved {
    ($also:literal) => {
        concat!(
            "SELECT g.pos, g.grain_type, g.grain_key, ",
            head_columns!(),
            $also,
            ", ($5::bytea IS NULL OR g.grain_type = $5) AND ($6::bytea IS NULL \
             OR substring(g.grain_key FROM 1 FOR octet_length($6)) = $6) \
             AND ($7::bytea IS NULL OR get_bit($7, g.slice) = 1) AS is_named \
             FROM {s}.grain g WHERE s.has_moved AND g.shard = s.id AND g.pos > s.after \
             ORDER BY g.pos LIMIT greatest(1, $4 / s.moved)"
        )
    };
}

/// The names alone.
const NAMED: &str = concat!(
    "SELECT CASE WHEN s.id = 0 THEN ",
    identity_column!(),
    " END, s.id, s.pos, g.* FROM ",
    shards!(),
    " LEFT JOIN LATERAL (SELECT g.pos, g.grain_type, g.grain_key, ",
    head_columns!(),
    " FROM (",
    moved!(""),
    ") g WHERE g.is_named ORDER BY g.pos LIMIT greatest(1, $3 / s.moved)) g ON true"
);

/// And the last row that was looked at, if more may lie behind it, without its name if it is not in the
/// filter.
const LOOKED: &str = concat!(
    "SELECT CASE WHEN s.id = 0 THEN ",
    identity_column!(),
    " END, s.id, s.pos, g.* FROM ",
    shards!(),
    " LEFT JOIN LATERAL (SELECT g.pos, CASE WHEN g.is_named THEN g.grain_type END, \
     CASE WHEN g.is_named THEN g.grain_key END, ",
    head_columns!(),
    ", g.nth = greatest(1, $4 / s.moved) FROM (",
    moved!(", row_number() OVER (ORDER BY g.pos) AS nth"),
    ") g WHERE g.is_named OR g.nth = greatest(1, $4 / s.moved) \
     ORDER BY g.pos LIMIT greatest(1, $3 / s.moved)) g ON true"
);

const PAGE: &[Type] = &[
    Type::INT8_ARRAY,
    Type::BOOL_ARRAY,
    Type::INT8,
    Type::INT8,
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
];

impl Feed {
    pub(crate) fn new(schema: &str) -> Self {
        let start = concat!(
            "SELECT CASE WHEN id = 0 THEN ",
            identity_column!(),
            " END, id, pos FROM {s}.shard ORDER BY id"
        );
        Self {
            start: Sql::new(schema, start, &[]),
            named: Sql::new(schema, NAMED, PAGE),
            looked: Sql::new(schema, LOOKED, PAGE),
        }
    }

    /// The feed's end.
    pub(crate) async fn start(&self, sessions: &Sessions) -> Result<(Identity, Ends)> {
        let rows = sessions.read(&self.start, &[]).await?;
        decoded(end(&rows, &sessions.place))
    }

    /// A page of what has moved since.
    ///
    /// Names are asked for alone. That tells how far was looked if there are as many as were asked for, or
    /// if no more places lie behind than were looked at: mostly. Else it is asked again, and where the
    /// looking ended comes along: of a filter that few grains are in, by one who is far behind.
    pub(crate) async fn changes(
        &self,
        sessions: &Sessions,
        since: &Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Changes, Ends)> {
        let limit = clamped(limit.max(1));
        // Nothing is passed over if everything is in the filter.
        let scan = if *filter == Filter::all() {
            clamped(usize::MAX)
        } else {
            limit.saturating_add(clamped(Names::SCAN))
        };
        let asked = Asked {
            after: asked_after(since)?,
            shards: shards_of(filter),
            limit: limit.unsigned_abs(),
            scan: scan.unsigned_abs(),
        };
        let (after, slices) = (asked.after.map(u64::cast_signed), slice_bits(filter));
        let (after, shards) = (after.as_slice(), asked.shards.as_slice());
        let name = filter.only_type().map(str::as_bytes);
        let prefix = filter.only_prefix().map(str::as_bytes);
        let params: [&(dyn ToSql + Sync); 7] =
            [&after, &shards, &limit, &scan, &name, &prefix, &slices];
        for (sql, tells_all) in [(&self.named, false), (&self.looked, true)] {
            let rows = sessions.read(sql, &params).await?;
            let page = page(&rows, &sessions.place, since, filter, &asked, tells_all);
            if let Some(page) = decoded(page)? {
                return Ok(page);
            }
        }
        Err(Error::permanent(
            BACKEND,
            "a page does not say how far it reaches",
        ))
    }
}

/// What a page is asked for.
struct Asked {
    after: Ends,
    shards: [bool; SHARDS],
    limit: u64,
    scan: u64,
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
fn asked_after(since: &Position) -> Result<Ends> {
    // Its own identity and filter: this only takes out the numbers.
    let counters = since.counters(since.identity(), since.filter(), BACKEND)?;
    let counters: Ends = counters.try_into().map_err(|_| beyond())?;
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

fn end(rows: &[Row], place: &Place) -> Result<(Identity, Ends), Fault> {
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

/// The page, and where each shard ends; none if it does not say how far it reaches.
fn page(
    rows: &[Row],
    place: &Place,
    since: &Position,
    filter: &Filter,
    asked: &Asked,
    tells_all: bool,
) -> Result<Option<(Changes, Ends)>, Fault> {
    let missing = || Fault::from(Error::permanent(BACKEND, "a feed shard is missing"));
    let shards: Vec<&[Row]> = rows
        .chunk_by(|one, other| shard_of(one) == shard_of(other))
        .collect();
    let of_first = shards
        .iter()
        .filter_map(|own| own.first())
        .find(|row| shard_of(row) == Some(0));
    let identity = rows::read_identity(of_first.ok_or_else(missing)?, 0, place)?;
    since.counters(&identity, filter, BACKEND)?;
    let mut ends = [0; SHARDS];
    for own in &shards {
        let (Some(row), Some(shard)) = (own.first(), own.first().and_then(shard_of)) else {
            return Err(missing());
        };
        *ends.get_mut(shard).ok_or_else(missing)? = rows::count(row, END)?;
    }
    if shards.len() != SHARDS {
        return Err(missing());
    }
    if ends
        .iter()
        .zip(asked.after)
        .any(|(end, after)| *end < after)
    {
        return Err(beyond().into());
    }
    let moving = ends.iter().zip(asked.after).zip(asked.shards);
    let moving = moving.filter(|((end, after), asked)| *asked && **end > *after);
    let each = (moving.count() as u64).max(1);
    let (part, scan) = ((asked.limit / each).max(1), (asked.scan / each).max(1));
    let (mut next, mut moved, mut complete) = (asked.after, Vec::new(), true);
    for own in shards {
        let Some(shard) = own.first().and_then(shard_of) else {
            continue;
        };
        let (Some(next), Some(end), Some(true)) = (
            next.get_mut(shard),
            ends.get(shard),
            asked.shards.get(shard),
        ) else {
            continue;
        };
        let reached = names(own, tells_all, &mut moved)?;
        *next = match reached {
            Reached::Row(last) if last.is_told || last.rows == part => last.pos,
            // Places are numbers that are given out once: so few cannot hide more rows than were looked at.
            _ if tells_all || *end - *next <= scan => *end,
            _ => return Ok(None),
        };
        complete &= *next == *end;
    }
    let changes = Changes {
        moved,
        next: Position::new(identity, filter.clone(), next),
        complete,
        age: Duration::ZERO,
    };
    Ok(Some((changes, ends)))
}

fn shard_of(row: &Row) -> Option<usize> {
    let shard: i16 = row.try_get(SHARD).ok()?;
    usize::try_from(shard).ok()
}

/// How far the rows of a shard reach.
enum Reached {
    /// There is none.
    Nowhere,
    Row(Last),
}

/// The last row of a shard.
struct Last {
    pos: u64,
    /// How many there are.
    rows: u64,
    /// Whether it is said to be the last that was looked at, with more behind it perhaps.
    is_told: bool,
}

/// Takes the names of one shard's rows.
fn names(rows: &[Row], tells_all: bool, moved: &mut Vec<Moved>) -> Result<Reached, Fault> {
    let Some(last) = rows.last() else {
        return Ok(Reached::Nowhere);
    };
    if rows::is_null(last, POS)? {
        // The counter may have moved all the same: a batch that was refused takes places too.
        return Ok(Reached::Nowhere);
    }
    for row in rows {
        // A grain that is passed over has no name here.
        if row.try_get::<_, Option<&[u8]>>(NAME)?.is_some()
            && let (grain, Some(head)) = rows::read_named(row, NAME)?
        {
            moved.push(Moved { grain, head });
        }
    }
    Ok(Reached::Row(Last {
        pos: rows::count(last, POS)?,
        rows: rows.len() as u64,
        is_told: tells_all && last.try_get(LAST)?,
    }))
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
