//! Rows of the log as the words of the contracts, and back.

use bytes::Bytes;
use gleaner_core::{
    Cursor, Digest, Draft, Entry, Epoch, Error, Fence, GrainId, Head, Identity, Kind, LogId,
    Schema, Source, UnixMillis, Writer,
};
use tokio_postgres::Row;
use tokio_postgres::error::Severity;
use tokio_postgres::types::FromSql;

use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::schema::{LOG, Layout};

/// Columns that [`read_head`] reads.
macro_rules! head_columns {
    () => {
        "g.head_epoch, g.head_sequence, g.head_digest, g.head_kind, g.base_epoch, g.base_sequence"
    };
}
/// Columns that [`read_entry`] reads.
macro_rules! entry_columns {
    () => {
        "e.epoch, e.sequence, e.writer, e.kind, e.prev, e.digest, e.written_at, e.source, \
         e.schema, e.payload"
    };
}
/// The column that [`read_identity`] reads: the version of the tables; the server's own name; the numbers of
/// table and database, which are others after a copy within the server and after a restore from a dump; the
/// timeline, as the name of a WAL segment begins with it, which grows with each promotion and each recovery
/// to a point in time; and the name drawn. All of the snapshot that it is read in; none on a standby.
macro_rules! identity_column {
    () => {
        "(SELECT int4send(l.version) || int8send(c.system_identifier) || \
         int8send(n.tableoid::int8) || int8send(d.oid::int8) || \
         decode(left(pg_walfile_name(pg_current_wal_lsn()), 8), 'hex') || n.drawn \
         FROM {s}.layout l, {s}.log n, pg_control_system() c, pg_database d \
         WHERE l.name = 'log' AND d.datname = current_database() AND NOT pg_is_in_recovery())"
    };
}
pub(crate) use {entry_columns, head_columns, identity_column};

/// How many columns a head takes.
pub(crate) const HEAD: usize = 6;
/// How many columns an entry takes.
pub(crate) const ENTRY: usize = 10;
/// The column of the payload among [`entry_columns`].
const PAYLOAD: usize = 9;

/// A number as it is stored. Cursors were checked to be below 2^53.
pub(crate) const fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// A part of a cursor that is only compared with: it may be a number that no entry carries.
pub(crate) fn compared(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Fault> {
    Ok(row.try_get(at)?)
}

/// A number that is never negative.
pub(crate) fn count(row: &Row, at: usize) -> Result<u64, Fault> {
    let stored: i64 = get(row, at)?;
    u64::try_from(stored).map_err(|_| damaged(format!("{stored} is no count")))
}

/// Any 64 bits.
pub(crate) fn bits(row: &Row, at: usize) -> Result<u64, Fault> {
    get::<i64>(row, at).map(i64::cast_unsigned)
}

pub(crate) fn cursor(row: &Row, at: usize) -> Result<Cursor, Fault> {
    Ok(Cursor::new(count(row, at)?, count(row, at + 1)?))
}

/// Whether a column holds nothing: what was joined to it is not there.
pub(crate) fn is_null(row: &Row, at: usize) -> Result<bool, Fault> {
    Ok(get::<Option<i64>>(row, at)?.is_none())
}

fn damaged(why: impl Into<String>) -> Fault {
    Error::permanent(BACKEND, why).into()
}

/// What is said of rows that came and cannot be understood: they will be the same next time.
pub(crate) fn unreadable(fault: Fault) -> Error {
    match fault {
        Fault::Refused(error) => error,
        Fault::Server(error) => {
            Error::permanent(BACKEND, "a column holds what cannot be").caused_by(error)
        }
        Fault::Silent => Error::transient(BACKEND, "no answer in time"),
    }
}

/// Whether the server itself says that rows are damaged: it cannot read them (class XX), or cannot reckon
/// with what they hold (22). Others may be whole.
pub(crate) fn is_damage(fault: &Fault) -> bool {
    let Fault::Server(error) = fault else {
        return false;
    };
    error.as_db_error().is_some_and(|db| {
        db.parsed_severity() == Some(Severity::Error)
            && matches!(db.code().code().get(..2), Some("XX" | "22"))
    })
}

fn kind(row: &Row, at: usize) -> Result<Kind, Fault> {
    let code: i16 = get(row, at)?;
    let code = u8::try_from(code).map_err(|_| damaged(format!("{code} is no kind")))?;
    Kind::from_code(code).map_err(|unknown| damaged(unknown.to_string()))
}

/// The head in the columns [`head_columns`] that begin at `at`; none for a grain without entries.
pub(crate) fn read_head(row: &Row, at: usize) -> Result<Option<Head>, Fault> {
    if is_null(row, at)? {
        return Ok(None);
    }
    Ok(Some(Head {
        cursor: cursor(row, at)?,
        digest: Digest::new(bits(row, at + 2)?),
        kind: kind(row, at + 3)?,
        base: cursor(row, at + 4)?,
    }))
}

/// As [`read_head`], of a grain that an error names.
pub(crate) fn read_head_of(row: &Row, at: usize, grain: &GrainId) -> Result<Option<Head>, Fault> {
    read_head(row, at).map_err(|fault| Fault::Refused(unreadable(fault).of(grain)))
}

/// A grain in two columns, and its head in those behind them.
pub(crate) fn read_named(row: &Row, at: usize) -> Result<(GrainId, Option<Head>), Fault> {
    let grain = read_grain(row, at)?;
    let head = read_head_of(row, at + 2, &grain)?;
    Ok((grain, head))
}

/// The fence in two columns, if there is one.
pub(crate) fn read_fence(row: &Row, at: usize) -> Result<Option<Fence>, Fault> {
    if is_null(row, at)? {
        return Ok(None);
    }
    Ok(Some(Fence {
        epoch: Epoch::new(count(row, at)?),
        writer: Writer::new(bits(row, at + 1)?),
    }))
}

/// The name in two columns.
pub(crate) fn read_grain(row: &Row, at: usize) -> Result<GrainId, Fault> {
    let part = |at| {
        std::str::from_utf8(get(row, at)?)
            .map_err(|_| damaged("a stored name is damaged: no UTF-8"))
    };
    GrainId::new(part(at)?, part(at + 1)?)
        .map_err(|invalid| damaged(format!("a stored name is damaged: {invalid}")))
}

/// How large the payload in the columns [`entry_columns`] that begin at `at` is.
pub(crate) fn payload_len(row: &Row, at: usize) -> Result<usize, Fault> {
    Ok(get::<&[u8]>(row, at + PAYLOAD)?.len())
}

/// The entry in the columns [`entry_columns`] that begin at `at`.
///
/// # Errors
/// `Permanent`, naming grain and cursor, if it is damaged or of a kind that this version does not
/// know: its digest is computed again.
pub(crate) fn read_entry(grain: &GrainId, row: &Row, at: usize) -> Result<Entry, Fault> {
    let cursor = cursor(row, at)?;
    let here = |fault| match fault {
        Fault::Refused(error) => Fault::Refused(error.at(grain, cursor)),
        other => other,
    };
    let source = std::str::from_utf8(get(row, at + 7)?)
        .map_err(|_| here(damaged("the source is no UTF-8")))?;
    let schema = u32::try_from(get::<i64>(row, at + 8)?)
        .map_err(|_| here(damaged("the schema is no number of 32 bits")))?;
    let draft = Draft {
        grain: grain.clone(),
        cursor,
        writer: Writer::new(bits(row, at + 2)?),
        kind: kind(row, at + 3).map_err(here)?,
        prev: get::<Option<i64>>(row, at + 4)?.map(|prev| Digest::new(prev.cast_unsigned())),
        written_at: UnixMillis::new(get(row, at + 6)?),
        source: Source::new(source),
        schema: Schema::new(schema),
        payload: Bytes::copy_from_slice(get(row, at + PAYLOAD)?),
    };
    draft
        .seal_as(Digest::new(bits(row, at + 5)?))
        .map_err(|mismatch| here(damaged(mismatch.to_string())))
}

/// Refuses a version of the log's tables that is not this crate's.
pub(crate) fn check_version(row: &Row, at: usize, place: &Place) -> Result<(), Fault> {
    check_version_of(&LOG, row, at, place)
}

/// Refuses a version of either kind of tables that is not this crate's.
pub(crate) fn check_version_of(
    layout: &Layout,
    row: &Row,
    at: usize,
    place: &Place,
) -> Result<(), Fault> {
    match get(row, at)? {
        Some(version) => layout.check(version, place),
        None => Err(no_primary(layout, place)),
    }
}

/// What a pooler leads to may have changed since the session was looked at.
fn no_primary(layout: &Layout, place: &Place) -> Fault {
    let why = format!(
        "{} is a standby, not the primary, or has lost its {}",
        place.name, layout.name
    );
    Error::transient(BACKEND, why).into()
}

/// The identity in the column [`identity_column`]; refuses a version of the tables that is not this crate's.
pub(crate) fn read_identity(row: &Row, at: usize, place: &Place) -> Result<Identity, Fault> {
    let column: Option<&[u8]> = get(row, at)?;
    let column = column.ok_or_else(|| no_primary(&LOG, place))?;
    let cut = || damaged(format!("{} tells half an identity", place.name));
    let (version, column) = column.split_first_chunk().ok_or_else(cut)?;
    LOG.check(i32::from_be_bytes(*version), place)?;
    let (server, column) = column.split_first_chunk::<8>().ok_or_else(cut)?;
    // Table, database, timeline.
    let (history, drawn) = column.split_first_chunk::<20>().ok_or_else(cut)?;
    let name = [server.as_slice(), drawn].concat();
    Ok(Identity::new(LogId::new(name), history.to_vec()))
}
