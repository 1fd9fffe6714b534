//! Rows of the log as the words of the contracts, and back.

use bytes::Bytes;
use gleaner_core::{
    Cursor, Digest, Draft, Entry, Epoch, Error, Fence, Filter, GrainId, Head, Identity, Kind,
    LogId, Schema, Source, UnixMillis, Writer,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{BACKEND, Fault};
use crate::file::FileId;

/// Columns that [`read_head`] reads, from their first on.
macro_rules! head_columns {
    () => {
        "head_epoch, head_sequence, head_digest, head_kind, base_epoch, base_sequence"
    };
}
/// Columns that [`read_entry`] reads.
macro_rules! entry_columns {
    () => {
        "epoch, sequence, writer, kind, prev, digest, written_at, source, schema, payload"
    };
}
pub(crate) use {entry_columns, head_columns};

/// The column of the payload among [`entry_columns`].
const PAYLOAD: usize = 9;

/// A grain's row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrainRow {
    pub(crate) id: i64,
    pub(crate) head: Option<Head>,
    pub(crate) fence: Option<Fence>,
    pub(crate) floor: Cursor,
    /// Where the newest entry lies; meaningless without a head.
    pub(crate) pos: i64,
}

/// A number that is never negative and always below 2^63.
pub(crate) fn count(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let stored: i64 = row.get(at)?;
    u64::try_from(stored).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(at, stored))
}

/// Any 64 bits.
pub(crate) fn bits(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get(at).map(i64::cast_unsigned)
}

pub(crate) fn cursor(row: &Row<'_>, at: usize) -> rusqlite::Result<Cursor> {
    Ok(Cursor::new(count(row, at)?, count(row, at + 1)?))
}

fn kind(row: &Row<'_>, at: usize) -> Result<Kind, Fault> {
    let code: u8 = row.get(at)?;
    Kind::from_code(code).map_err(|unknown| Error::permanent(BACKEND, unknown.to_string()).into())
}

/// A number as it is stored. Cursors were checked to be below 2^53.
pub(crate) const fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// The head in the columns [`head_columns`] that begin at `at`; none for a grain that was only claimed.
pub(crate) fn read_head(row: &Row<'_>, at: usize) -> Result<Option<Head>, Fault> {
    if row.get::<_, Option<i64>>(at)?.is_none() {
        return Ok(None);
    }
    Ok(Some(Head {
        cursor: cursor(row, at)?,
        digest: Digest::new(bits(row, at + 2)?),
        kind: kind(row, at + 3)?,
        base: cursor(row, at + 4)?,
    }))
}

/// One part of a name.
fn part<'a>(row: &'a Row<'_>, at: usize) -> rusqlite::Result<&'a str> {
    let bytes = row.get_ref(at)?.as_blob().map_err(rusqlite::Error::from)?;
    std::str::from_utf8(bytes).map_err(|error| rusqlite::Error::Utf8Error(at, error))
}

/// The name in two columns.
pub(crate) fn read_grain(row: &Row<'_>, at: usize) -> Result<GrainId, Fault> {
    GrainId::new(part(row, at)?, part(row, at + 1)?).map_err(|invalid| {
        Error::permanent(BACKEND, format!("a stored name is damaged: {invalid}")).into()
    })
}

/// The name in two columns, if the filter includes it. A name of another type is not looked at
/// further, damaged or not, and nothing is made of one that is passed over.
pub(crate) fn read_grain_in(
    row: &Row<'_>,
    at: usize,
    filter: &Filter,
) -> Result<Option<GrainId>, Fault> {
    let of_another = |name: &str| -> rusqlite::Result<bool> {
        Ok(row.get_ref(at)?.as_blob().ok() != Some(name.as_bytes()))
    };
    if filter.only_type().map(of_another).transpose()? == Some(true) {
        return Ok(None);
    }
    if filter.includes_name(part(row, at)?, part(row, at + 1)?) {
        read_grain(row, at).map(Some)
    } else {
        Ok(None)
    }
}

/// The row of a grain, if it was ever claimed or written.
pub(crate) fn find(conn: &Connection, grain: &GrainId) -> Result<Option<GrainRow>, Fault> {
    let mut select = conn.prepare_cached(concat!(
        "SELECT id, floor_epoch, floor_sequence, pos, fence_epoch, fence_writer, ",
        head_columns!(),
        " FROM grain WHERE grain_type = ?1 AND grain_key = ?2"
    ))?;
    let mut rows = select.query(params![
        grain.grain_type().as_bytes(),
        grain.grain_key().as_bytes()
    ])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let fence = match row.get::<_, Option<i64>>(4)? {
        None => None,
        Some(_) => Some(Fence {
            epoch: Epoch::new(count(row, 4)?),
            writer: Writer::new(bits(row, 5)?),
        }),
    };
    Ok(Some(GrainRow {
        id: row.get(0)?,
        floor: cursor(row, 1)?,
        pos: row.get::<_, Option<i64>>(3)?.unwrap_or_default(),
        fence,
        head: read_head(row, 6)?,
    }))
}

/// How large the payload in a row of [`entry_columns`] is; nothing is copied.
pub(crate) fn payload_len(row: &Row<'_>) -> rusqlite::Result<usize> {
    Ok(row.get_ref(PAYLOAD)?.as_blob().map_or(0, <[u8]>::len))
}

/// The entry in a row of [`entry_columns`].
///
/// # Errors
/// `Permanent`, naming grain and cursor, if it is damaged or of a kind that this version does not
/// know: its digest is computed again.
pub(crate) fn read_entry(grain: &GrainId, row: &Row<'_>) -> Result<Entry, Fault> {
    let at = cursor(row, 0)?;
    let damaged = |why: String| Fault::from(Error::permanent(BACKEND, why).at(grain, at));
    let kind = Kind::from_code(row.get(3)?).map_err(|unknown| damaged(unknown.to_string()))?;
    let prev: Option<i64> = row.get(4)?;
    let draft = Draft {
        grain: grain.clone(),
        cursor: at,
        writer: Writer::new(bits(row, 2)?),
        kind,
        prev: prev.map(|prev| Digest::new(prev.cast_unsigned())),
        written_at: UnixMillis::new(row.get(6)?),
        source: Source::new(row.get::<_, String>(7)?),
        schema: Schema::new(row.get(8)?),
        payload: Bytes::copy_from_slice(
            row.get_ref(PAYLOAD)?
                .as_blob()
                .map_err(rusqlite::Error::from)?,
        ),
    };
    draft
        .seal_as(Digest::new(bits(row, 5)?))
        .map_err(|mismatch| damaged(mismatch.to_string()))
}

/// Identity and the feed's counter: what `meta` holds. The history takes in which file it is, so
/// that a copy put into the file's place is another history.
pub(crate) fn read_meta(conn: &Connection, file: FileId) -> Result<(Identity, u64), Fault> {
    let mut select = conn.prepare_cached("SELECT log, history, pos FROM meta WHERE id = 1")?;
    let found = select
        .query_row((), |row| {
            let mut history: Vec<u8> = row.get(1)?;
            history.extend(file.to_bytes());
            let log = LogId::new(row.get::<_, Vec<u8>>(0)?);
            Ok((Identity::new(log, history), count(row, 2)?))
        })
        .optional()?;
    found.ok_or_else(|| Error::permanent(BACKEND, "the log's meta row is missing").into())
}
