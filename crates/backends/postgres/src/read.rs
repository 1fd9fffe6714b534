//! What is read from a log, each with one statement and so within one snapshot.

use gleaner_core::{
    Budget, Cursor, Error, ErrorKind, Filter, GrainId, Head, HeadPage, Identity, Names, Page,
    Result,
};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::columns::{GrainNames, clamped, slice_bits};
use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::rows::{
    self, ENTRY, HEAD, compared, entry_columns, head_columns, identity_column, read_entry,
};
use crate::session::{Params, Sessions, Sql};

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct Reads {
    identity: Sql,
    heads: Sql,
    list: Sql,
    list_of_type: Sql,
    read_from: Sql,
    catch_up: Sql,
}

/// Cuts rows by bytes: a row is kept while those before it have not used up the budget, so that the one
/// that crosses it comes too and is left out by the reader, who knows what is owed in any case. Large
/// payloads lie beside their rows and are not fetched for a row that is cut.
macro_rules! bytes_before {
    ($order:literal) => {
        concat!(
            "sum(octet_length(e.payload)) OVER (ORDER BY ",
            $order,
            " ROWS UNBOUNDED PRECEDING) - octet_length(e.payload)"
        )
    };
}

/// Which rows of a listing are in the filter: by prefix, where that is not the range's to say, and by
/// slice, a bit each.
macro_rules! in_filter {
    ($prefix:literal, $slices:literal) => {
        concat!(
            "(",
            $prefix,
            "::bytea IS NULL OR substring(g.grain_key FROM 1 FOR octet_length(",
            $prefix,
            ")) = ",
            $prefix,
            ") AND (",
            $slices,
            "::bytea IS NULL OR get_bit(",
            $slices,
            ", g.slice) = 1)"
        )
    };
}
pub(crate) use in_filter;

const IDENTITY_NOW: &str = concat!("SELECT ", identity_column!());

/// A row for each grain, there or not: where there is none, the version alone tells it from a grain that this
/// server has not heard of yet.
const HEADS: &str = concat!(
    "SELECT i.ord, ",
    head_columns!(),
    ", {version} FROM unnest($1, $2) WITH ORDINALITY AS i (grain_type, grain_key, ord) \
     LEFT {join_its_grain} ON true"
);

/// A page of a listing: a range of names is walked in its index, up to `$6` heads in the filter or `$5` grains
/// outside it. Of those only the last is sent, where the page ends with it. The identity comes with the first row,
/// and one row comes in any case.
macro_rules! listing {
    ($range:literal, $prefix:literal) => {
        concat!(
            "SELECT CASE WHEN g.is_first IS NOT FALSE THEN ",
            identity_column!(),
            " END, g.grain_type, g.grain_key, ",
            head_columns!(),
            ", g.is_listed, g.has_next FROM (SELECT) one LEFT JOIN (\
               SELECT g.*, g.listed = g.is_listed::int4 AS is_first, \
               (g.listed = $6 OR NOT g.is_listed) AND g.goes_on IS NOT NULL AS has_next FROM (\
                 SELECT g.*, count(*) FILTER (WHERE g.is_listed) OVER w AS listed, \
                 count(*) FILTER (WHERE NOT g.is_listed) OVER w AS passed, \
                 lead(true) OVER w AS goes_on FROM (\
                   SELECT g.grain_type, g.grain_key, ",
            head_columns!(),
            ", g.head_epoch IS NOT NULL AND ",
            in_filter!($prefix, "$4"),
            " AS is_listed FROM {s}.grain g WHERE ",
            $range,
            " ORDER BY g.grain_type, g.grain_key LIMIT $5 + $6\
                 ) g WINDOW w AS (ORDER BY g.grain_type, g.grain_key ROWS UNBOUNDED PRECEDING)\
               ) g WHERE CASE WHEN g.is_listed THEN g.passed < $5 ELSE g.passed = $5 END \
               ORDER BY g.grain_type, g.grain_key LIMIT $6\
             ) g ON true"
        )
    };
}

const LIST: &str = listing!("(g.grain_type, g.grain_key) > ($1, $2)", "$3");

const LIST_OF_TYPE: &str = listing!(
    "g.grain_type = $1 AND g.grain_key >= $2 AND g.grain_key < $3",
    "NULL"
);

/// The range in three (the third a prefix, or the end of the keys), slices, how many grains are passed over, how
/// many heads are wanted.
const LISTING: &[Type] = &[
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
    Type::BYTEA,
    Type::INT8,
    Type::INT8,
];

/// A row in any case, as of heads. The entry beyond the limit is counted, and not sent.
const READ_FROM: &str = concat!(
    "SELECT {version}, g.floor_epoch, g.floor_sequence, e.* FROM (SELECT) one \
     LEFT JOIN {s}.grain g ON g.grain_type = $1 AND g.grain_key = $2 \
     LEFT JOIN LATERAL (SELECT * FROM (SELECT ",
    entry_columns!(),
    ", count(*) OVER () AS found, ",
    bytes_before!("e.epoch, e.sequence"),
    " AS before FROM (SELECT * FROM {s}.entry e \
     WHERE e.grain = g.id AND (e.epoch, e.sequence) > ($3, $4) \
     AND (e.epoch, e.sequence) >= (g.floor_epoch, g.floor_sequence) \
     ORDER BY e.epoch, e.sequence LIMIT $5 + 1) e) e \
     WHERE e.before = 0 OR e.before < $6 \
     ORDER BY e.epoch, e.sequence LIMIT $5) e ON true"
);

/// A row for each entry, or one without for a grain that needs none; the identity with the first.
///
/// How many entries lead to a head is known from the numbers: behind a base, and behind a cursor that is at
/// or above it, there are Deltas alone, whose numbers follow each other. So the budget is dealt out before
/// an entry is looked at, in the order asked for; the last column says whether a grain got a part of it.
/// `OFFSET 0` keeps what is reckoned from being reckoned anew wherever it is used, some ten times a row.
const CATCH_UP: &str = concat!(
    "SELECT * FROM (SELECT CASE WHEN g.ord = 1 THEN ",
    identity_column!(),
    " END, g.ord, ",
    head_columns!(),
    ", ",
    entry_columns!(),
    ", ",
    bytes_before!("g.ord"),
    " AS before, g.ahead < $5 FROM (\
       SELECT g.*, sum(g.number) OVER (ORDER BY g.ord ROWS UNBOUNDED PRECEDING)::int8 - g.number \
       AS ahead FROM (SELECT i.ord, g.id, ",
    head_columns!(),
    ", CASE WHEN b.is_above THEN g.base_epoch ELSE i.epoch END AS after_epoch, \
       CASE WHEN b.is_above THEN g.base_sequence - 1 ELSE i.sequence END AS after_sequence, \
       greatest(0, CASE WHEN b.is_above THEN g.head_sequence - g.base_sequence + 1 \
       WHEN (g.head_epoch, g.head_sequence) > (i.epoch, i.sequence) \
       THEN g.head_sequence - i.sequence END) AS number \
       FROM unnest($1, $2, $3, $4) WITH ORDINALITY \
       AS i (grain_type, grain_key, epoch, sequence, ord) \
       LEFT {join_its_grain} ON true \
       CROSS JOIN LATERAL (SELECT (g.base_epoch, g.base_sequence) > (i.epoch, i.sequence) \
       AS is_above) b OFFSET 0) g OFFSET 0) g \
     LEFT JOIN LATERAL (SELECT ",
    entry_columns!(),
    " FROM {s}.entry e WHERE e.grain = g.id \
     AND (e.epoch, e.sequence) > (g.after_epoch, g.after_sequence) \
     ORDER BY e.epoch, e.sequence LIMIT greatest(0, least(g.number, $5 - g.ahead))) e \
     ON g.number > 0 AND g.ahead < $5) g \
     WHERE g.before IS NULL OR g.before = 0 OR g.before < $6 ORDER BY g.ord"
);

impl Reads {
    pub(crate) fn new(schema: &str) -> Self {
        let sql = |text, types| Sql::new(schema, text, types);
        Self {
            identity: sql(IDENTITY_NOW, &[]),
            heads: sql(HEADS, &[Type::BYTEA_ARRAY, Type::BYTEA_ARRAY]),
            list: sql(LIST, LISTING),
            list_of_type: sql(LIST_OF_TYPE, LISTING),
            read_from: sql(
                READ_FROM,
                &[
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::INT8,
                    Type::INT8,
                    Type::INT8,
                    Type::INT8,
                ],
            ),
            catch_up: sql(
                CATCH_UP,
                &[
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8,
                    Type::INT8,
                ],
            ),
        }
    }

    /// The log's identity, of this moment.
    pub(crate) async fn identity(&self, sessions: &Sessions) -> Result<Identity> {
        let rows = sessions.read(&self.identity, &[]).await?;
        decoded(identity_of(&rows, &sessions.place))
    }

    /// The heads of grains, in the order asked for.
    pub(crate) async fn heads(
        &self,
        sessions: &Sessions,
        grains: &[GrainId],
    ) -> Result<Vec<Option<Head>>> {
        let mut heads = vec![None; grains.len()];
        if grains.is_empty() {
            return Ok(heads);
        }
        let names = GrainNames::of(grains.iter());
        let rows = sessions
            .read(&self.heads, &[&names.types, &names.keys])
            .await?;
        for row in &rows {
            let at = decoded(asked_for(row, &sessions.place))?;
            if let (Some(grain), Some(place)) = (grains.get(at), heads.get_mut(at)) {
                *place = decoded(rows::read_head_of(row, 1, grain))?;
            }
        }
        Ok(heads)
    }

    /// A page of the heads in a filter: of what its type and prefix allow, by the index on names.
    pub(crate) async fn list_heads(
        &self,
        sessions: &Sessions,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        let (passed, wanted) = (clamped(Names::SCAN), clamped(limit.max(1)));
        let slices = slice_bits(filter);
        let prefix = filter.only_prefix().map(str::as_bytes);
        let rows = match Names::of(filter, after) {
            Names::None => {
                return Ok(HeadPage {
                    identity: self.identity(sessions).await?,
                    heads: Vec::new(),
                    next: None,
                });
            }
            Names::All(name, key) => {
                let params: [&(dyn ToSql + Sync); 6] =
                    [&name, &key, &prefix, &slices, &passed, &wanted];
                sessions.read(&self.list, &params).await?
            }
            Names::OfType(name, from, below) => {
                let params: [&(dyn ToSql + Sync); 6] =
                    [&name, &from, &below, &slices, &passed, &wanted];
                sessions.read(&self.list_of_type, &params).await?
            }
        };
        decoded(head_page(&rows, &sessions.place))
    }

    /// The entries of a grain strictly after a cursor.
    pub(crate) async fn read_from(
        &self,
        sessions: &Sessions,
        grain: &GrainId,
        after: Cursor,
        budget: Budget,
    ) -> Result<Page> {
        let (name, key) = (grain.grain_type().as_bytes(), grain.grain_key().as_bytes());
        let (epoch, sequence) = (compared(after.epoch.get()), compared(after.sequence.get()));
        let bytes = clamped(budget.bytes());
        let ask = async |entries: i64| {
            let params: [&(dyn ToSql + Sync); 6] =
                [&name, &key, &epoch, &sequence, &entries, &bytes];
            rows_of(sessions, &self.read_from, &params).await
        };
        let rows = match ask(clamped(budget.entries())).await {
            // What stands before an entry that the server cannot read may be whole.
            Err(fault) if rows::is_damage(&fault) => ask(1).await,
            rows => rows,
        };
        let place = &sessions.place;
        rows.map_err(|fault| fault.before("read", &place.name))
            .and_then(|rows| decoded(page(&rows, place, grain, after, budget)))
            .map_err(|error| error.of(grain))
    }

    /// The rows about what brings replicas from their cursors to the heads, in the order asked for.
    pub(crate) async fn ask(
        &self,
        sessions: &Sessions,
        wants: &[(GrainId, Cursor)],
        entries: usize,
        bytes: usize,
    ) -> Result<Vec<Row>, Fault> {
        let names = GrainNames::of(wants.iter().map(|(grain, _)| grain));
        let cursors = wants.iter().map(|(_, cursor)| cursor);
        let epochs: Vec<i64> = cursors.clone().map(|at| compared(at.epoch.get())).collect();
        let sequences: Vec<i64> = cursors.map(|at| compared(at.sequence.get())).collect();
        let (entries, bytes) = (clamped(entries), clamped(bytes));
        let params: [&(dyn ToSql + Sync); 6] = [
            &names.types,
            &names.keys,
            &epochs,
            &sequences,
            &entries,
            &bytes,
        ];
        rows_of(sessions, &self.catch_up, &params).await
    }
}

/// As [`Sessions::read`], with what the server itself says of a failure.
async fn rows_of(sessions: &Sessions, sql: &Sql, params: Params<'_>) -> Result<Vec<Row>, Fault> {
    let session = sessions.get().await?;
    sessions.within(session.rows(sql, params)).await
}

/// What rows say, or why they say nothing.
pub(crate) fn decoded<T>(read: Result<T, Fault>) -> Result<T> {
    read.map_err(rows::unreadable)
}

pub(crate) fn identity_of(rows: &[Row], place: &Place) -> Result<Identity, Fault> {
    rows::read_identity(first(rows)?, 0, place)
}

fn first(rows: &[Row]) -> Result<&Row, Fault> {
    let none = || Error::permanent(BACKEND, "the server gave no row").into();
    rows.first().ok_or_else(none)
}

/// The place of a head's grain among those asked for, counted from 0.
fn asked_for(row: &Row, place: &Place) -> Result<usize, Fault> {
    rows::check_version(row, 1 + HEAD, place)?;
    let at = usize::try_from(rows::count(row, 0)?).unwrap_or_default();
    Ok(at.saturating_sub(1))
}

fn head_page(rows: &[Row], place: &Place) -> Result<HeadPage, Fault> {
    const NAME: usize = 1;
    const AT: usize = NAME + 2;
    const LISTED: usize = AT + HEAD;
    const NEXT: usize = LISTED + 1;
    let mut page = HeadPage {
        identity: identity_of(rows, place)?,
        heads: Vec::new(),
        next: None,
    };
    for row in rows {
        let Some(is_listed) = row.try_get::<_, Option<bool>>(LISTED)? else {
            // The one row of an empty listing.
            break;
        };
        if is_listed {
            match rows::read_named(row, NAME) {
                Ok((grain, head)) => page.heads.extend(head.map(|head| (grain, head))),
                // A later page begins with it, and says so.
                Err(_) if !page.heads.is_empty() => {
                    page.next = page.heads.last().map(|(grain, _)| grain.clone());
                    break;
                }
                Err(fault) => return Err(fault),
            }
        }
        if row.try_get(NEXT)? {
            page.next = Some(rows::read_grain(row, NAME)?);
        }
    }
    Ok(page)
}

fn page(
    rows: &[Row],
    place: &Place,
    grain: &GrainId,
    after: Cursor,
    budget: Budget,
) -> Result<Page, Fault> {
    const FLOOR: usize = 1;
    const AT: usize = FLOOR + 2;
    const FOUND: usize = AT + ENTRY;
    let first = first(rows)?;
    rows::check_version(first, 0, place)?;
    let mut page = Page::default();
    if rows::is_null(first, FLOOR)? {
        // There is no such grain.
        return Ok(page);
    }
    let floor = rows::cursor(first, FLOOR)?;
    if after != Cursor::ZERO && after < floor {
        let kind = ErrorKind::Truncated { floor };
        let message = format!("the history below {floor} is gone");
        return Err(Error::new(kind, BACKEND, message).at(grain, after).into());
    }
    let mut left = budget;
    for row in rows {
        if rows::is_null(row, AT)? {
            break;
        }
        if !left.take(rows::payload_len(row, AT)?, page.entries.is_empty()) {
            break;
        }
        match read_entry(grain, row, AT) {
            Ok(entry) => page.entries.push(entry),
            // A later page begins with it, and says so.
            Err(_) if !page.entries.is_empty() => break,
            Err(fault) => return Err(fault),
        }
    }
    if !rows::is_null(first, AT)? {
        page.more = rows::count(first, FOUND)? > page.entries.len() as u64;
    }
    Ok(page)
}
