//! What is read from a log, each with one statement and so within one snapshot.

use gleaner_core::{
    Budget, CatchUp, Cursor, Error, ErrorKind, Filter, GrainId, Head, HeadPage, Identity, Names,
    Page, Result,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::caught::caught;
use crate::columns::{GrainNames, clamped, slice_bits};
use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::rows::{
    self, HEAD, compared, entry_columns, head_columns, identity_column, read_entry, read_head,
};
use crate::session::{Sessions, Sql};

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

const HEADS: &str = concat!(
    "SELECT i.ord, ",
    head_columns!(),
    ", {version} FROM unnest($1, $2) WITH ORDINALITY AS i (grain_type, grain_key, ord) \
     {its_grain}"
);

const LIST: &str = concat!(
    "SELECT i.*, g.* FROM (SELECT ",
    identity_column!(),
    ") i LEFT JOIN (SELECT g.grain_type, g.grain_key, ",
    head_columns!(),
    ", g.head_epoch IS NOT NULL AND ",
    in_filter!("$3", "$4"),
    " FROM {s}.grain g WHERE (g.grain_type, g.grain_key) > ($1, $2) \
     ORDER BY g.grain_type, g.grain_key LIMIT $5) g ON true"
);

const LIST_OF_TYPE: &str = concat!(
    "SELECT i.*, g.* FROM (SELECT ",
    identity_column!(),
    ") i LEFT JOIN (SELECT g.grain_type, g.grain_key, ",
    head_columns!(),
    ", g.head_epoch IS NOT NULL AND ",
    in_filter!("NULL", "$4"),
    " FROM {s}.grain g \
     WHERE g.grain_type = $1 AND g.grain_key >= $2 AND g.grain_key < $3 \
     ORDER BY g.grain_type, g.grain_key LIMIT $5) g ON true"
);

const READ_FROM: &str = concat!(
    "SELECT g.floor_epoch, g.floor_sequence, {version}, e.* FROM {s}.grain g \
                     LEFT JOIN LATERAL (SELECT * FROM (SELECT ",
    entry_columns!(),
    ", count(*) OVER () AS found, ",
    bytes_before!("e.epoch, e.sequence"),
    " AS before FROM (SELECT * FROM {s}.entry e \
     WHERE e.grain = g.id AND (e.epoch, e.sequence) > ($3, $4) \
     AND (e.epoch, e.sequence) >= (g.floor_epoch, g.floor_sequence) \
     ORDER BY e.epoch, e.sequence LIMIT $5) e) e \
     WHERE e.before = 0 OR e.before < $6 \
     ORDER BY e.epoch, e.sequence) e ON true \
     WHERE g.grain_type = $1 AND g.grain_key = $2"
);

/// A row for each entry, or one without for a grain that needs none; the identity with the first.
///
/// How many entries lead to a head is known from the numbers: behind a base, and behind a cursor that is at
/// or above it, there are Deltas alone, whose numbers follow each other. So the budget is dealt out before
/// an entry is looked at, in the order asked for.
const CATCH_UP: &str = concat!(
    "SELECT * FROM (SELECT CASE WHEN g.ord = 1 THEN ",
    identity_column!(),
    " END, g.ord, ",
    head_columns!(),
    ", ",
    entry_columns!(),
    ", ",
    bytes_before!("g.ord"),
    " AS before FROM (\
       SELECT g.*, sum(g.number) OVER (ORDER BY g.ord ROWS UNBOUNDED PRECEDING)::int8 - g.number \
       AS ahead FROM (SELECT i.ord, g.id, ",
    head_columns!(),
    ", CASE WHEN b.is_above THEN g.base_epoch ELSE i.epoch END AS after_epoch, \
       CASE WHEN b.is_above THEN g.base_sequence - 1 ELSE i.sequence END AS after_sequence, \
       CASE WHEN b.is_above THEN g.head_sequence - g.base_sequence + 1 \
       WHEN (g.head_epoch, g.head_sequence) > (i.epoch, i.sequence) \
       THEN g.head_sequence - i.sequence ELSE 0 END AS number \
       FROM unnest($1, $2, $3, $4) WITH ORDINALITY \
       AS i (grain_type, grain_key, epoch, sequence, ord) \
       LEFT {join_its_grain} ON true \
       CROSS JOIN LATERAL (SELECT (g.base_epoch, g.base_sequence) > (i.epoch, i.sequence) \
       AS is_above) b) g) g \
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
            list: sql(
                LIST,
                &[
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::INT8,
                ],
            ),
            list_of_type: sql(
                LIST_OF_TYPE,
                &[
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::INT8,
                ],
            ),
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
        decoded(sessions, identity_of(&rows, &sessions.place))
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
            let (at, head) = decoded(sessions, place_and_head(row, &sessions.place))?;
            if let Some(place) = at.checked_sub(1).and_then(|at| heads.get_mut(at)) {
                *place = head;
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
        let limit = limit.max(1);
        let slices = slice_bits(filter);
        let prefix = filter.only_prefix().map(str::as_bytes);
        let scan = limit.saturating_add(Names::SCAN);
        let scanned = i64::try_from(scan).unwrap_or(i64::MAX);
        let rows = match Names::of(filter, after) {
            Names::None => {
                return Ok(HeadPage {
                    identity: self.identity(sessions).await?,
                    heads: Vec::new(),
                    next: None,
                });
            }
            Names::All(name, key) => {
                sessions
                    .read(&self.list, &[&name, &key, &prefix, &slices, &scanned])
                    .await?
            }
            Names::OfType(name, from, below) => {
                sessions
                    .read(
                        &self.list_of_type,
                        &[&name, &from, &below, &slices, &scanned],
                    )
                    .await?
            }
        };
        decoded(sessions, head_page(&rows, &sessions.place, limit, scan))
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
        // One more than asked for tells whether there are more.
        let limit = clamped(budget.entries()).saturating_add(1);
        let bytes = clamped(budget.bytes());
        let rows = sessions
            .read(
                &self.read_from,
                &[&name, &key, &epoch, &sequence, &limit, &bytes],
            )
            .await?;
        decoded(sessions, page(&rows, &sessions.place, grain, after, budget))
    }

    /// What brings replicas from their cursors to the heads.
    pub(crate) async fn catch_up(
        &self,
        sessions: &Sessions,
        wants: &[(GrainId, Cursor)],
        budget: Budget,
    ) -> Result<CatchUp> {
        if wants.is_empty() {
            return Ok(CatchUp {
                identity: self.identity(sessions).await?,
                grains: Vec::new(),
            });
        }
        let names = GrainNames::of(wants.iter().map(|(grain, _)| grain));
        let cursors = wants.iter().map(|(_, cursor)| cursor);
        let epochs: Vec<i64> = cursors.clone().map(|at| compared(at.epoch.get())).collect();
        let sequences: Vec<i64> = cursors.map(|at| compared(at.sequence.get())).collect();
        let entries = clamped(budget.entries());
        let bytes = clamped(budget.bytes());
        let rows = sessions
            .read(
                &self.catch_up,
                &[
                    &names.types,
                    &names.keys,
                    &epochs,
                    &sequences,
                    &entries,
                    &bytes,
                ],
            )
            .await?;
        decoded(sessions, caught(&rows, &sessions.place, wants, budget))
    }
}

/// A reader's fault, as an error: nothing was changed by it.
pub(crate) fn decoded<T>(sessions: &Sessions, read: Result<T, Fault>) -> Result<T> {
    read.map_err(|fault| fault.before("read", &sessions.place.name))
}

fn identity_of(rows: &[Row], place: &Place) -> Result<Identity, Fault> {
    let row = rows
        .first()
        .ok_or_else(|| Fault::from(Error::permanent(BACKEND, "the server gave no row")))?;
    rows::read_identity(row, 0, place)
}

fn place_and_head(row: &Row, place: &Place) -> Result<(usize, Option<Head>), Fault> {
    rows::check_version(row, 1 + HEAD, place)?;
    let at = usize::try_from(rows::count(row, 0)?).unwrap_or_default();
    Ok((at, read_head(row, 1)?))
}

fn head_page(rows: &[Row], place: &Place, limit: usize, scan: usize) -> Result<HeadPage, Fault> {
    const NAME: usize = 1;
    const AT: usize = NAME + 2;
    let mut page = HeadPage {
        identity: identity_of(rows, place)?,
        heads: Vec::new(),
        next: None,
    };
    let mut passed = 0;
    for (at, row) in rows.iter().enumerate() {
        let Some(is_listed) = row.try_get::<_, Option<bool>>(AT + HEAD)? else {
            // The one row of an empty listing.
            break;
        };
        if is_listed {
            let grain = rows::read_grain(row, NAME)?;
            if let Some(head) = read_head(row, AT)? {
                page.heads.push((grain.clone(), head));
            }
            if page.heads.len() == limit {
                let is_last = at + 1 == rows.len() && rows.len() < scan;
                page.next = (!is_last).then_some(grain);
                break;
            }
        } else {
            passed += 1;
        }
        let is_end = at + 1 == rows.len() && rows.len() == scan;
        if passed == Names::SCAN || is_end {
            page.next = Some(rows::read_grain(row, NAME)?);
            break;
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
    const AT: usize = 3;
    const FOUND: usize = AT + 10;
    let Some(first) = rows.first() else {
        return Ok(Page::default());
    };
    rows::check_version(first, 2, place)?;
    let floor = rows::cursor(first, 0)?;
    if after != Cursor::ZERO && after < floor {
        let kind = ErrorKind::Truncated { floor };
        let message = format!("the history below {floor} is gone");
        return Err(Error::new(kind, BACKEND, message).at(grain, after).into());
    }
    let mut page = Page::default();
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
