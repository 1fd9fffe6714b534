//! Rows of databases: where each replica stands.

use gleaner::{Generation, GrainId, LogId, Mark, Schema, Stamp, UnixMillis};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::schema::{Fault, damaged, place, stored};

/// What a store knows beside its replicas.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    /// The log that the store belongs to (S9).
    pub(crate) bound: Option<LogId>,
    /// Of every grain that the store does not have: above that of all it removed (S8).
    pub(crate) absent: Generation,
}

impl Meta {
    pub(crate) fn read(conn: &Connection) -> Result<Self, Fault> {
        let mut select = conn.prepare_cached("SELECT log, generation FROM meta WHERE id = 1")?;
        let meta = select.query_row((), |row| {
            let log: Option<Vec<u8>> = row.get(0)?;
            Ok(Self {
                bound: log.map(LogId::new),
                absent: Generation::new(crate::schema::number(row, 1)?),
            })
        });
        meta.optional()?.ok_or_else(|| damaged("no meta row"))
    }

    pub(crate) fn write(&self, conn: &Connection) -> Result<(), Fault> {
        conn.prepare_cached("UPDATE meta SET log = ?1, generation = ?2 WHERE id = 1")?
            .execute(params![
                self.bound.as_ref().map(LogId::as_bytes),
                stored(self.absent.get())
            ])?;
        Ok(())
    }
}

/// A database's row; its collections are elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct DatabaseRow {
    pub(crate) id: i64,
    pub(crate) stamp: Stamp,
    /// Of the database as a `FullState` says it; none after a Tombstone.
    pub(crate) size: Option<usize>,
}

impl DatabaseRow {
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            cursor: self.stamp.cursor,
            digest: self.stamp.digest,
            generation: self.stamp.generation,
            log: Some(self.stamp.log.clone()),
            present: self.size.is_some(),
        }
    }
}

const COLUMNS: &str =
    "id, epoch, sequence, digest, generation, log, schema, written_at, size, grain_type, grain_key";

fn read(row: &Row<'_>) -> rusqlite::Result<DatabaseRow> {
    let (cursor, digest, generation) = place(row, 1)?;
    let size: Option<i64> = row.get(8)?;
    let stamp = Stamp {
        cursor,
        digest,
        generation,
        log: LogId::new(row.get::<_, Vec<u8>>(5)?),
        schema: Schema::new(row.get(6)?),
        written_at: UnixMillis::new(row.get(7)?),
    };
    Ok(DatabaseRow {
        id: row.get(0)?,
        stamp,
        size: size
            .map(usize::try_from)
            .transpose()
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(8, size.unwrap_or_default()))?,
    })
}

/// A grain's row.
pub(crate) fn find(conn: &Connection, grain: &GrainId) -> Result<Option<DatabaseRow>, Fault> {
    let mut select = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM database WHERE grain_type = ?1 AND grain_key = ?2"
    ))?;
    let names = (grain.grain_type().as_bytes(), grain.grain_key().as_bytes());
    Ok(select.query_row(names, read).optional()?)
}

/// Where a grain's replica stands, or would.
pub(crate) fn mark(row: Option<&DatabaseRow>, meta: &Meta) -> Mark {
    row.map_or_else(|| Mark::absent(meta.absent), DatabaseRow::mark)
}

/// A row for a grain that has none; its number.
pub(crate) fn insert(conn: &Connection, grain: &GrainId, stamp: &Stamp) -> Result<i64, Fault> {
    conn.prepare_cached(
        "INSERT INTO database (grain_type, grain_key, epoch, sequence, digest, generation, log, \
         schema, written_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        grain.grain_type().as_bytes(),
        grain.grain_key().as_bytes(),
        stored(stamp.cursor.epoch.get()),
        stored(stamp.cursor.sequence.get()),
        stored(stamp.digest.get()),
        stored(stamp.generation.get()),
        stamp.log.as_bytes(),
        stamp.schema.get(),
        stamp.written_at.get(),
    ])?;
    Ok(conn.last_insert_rowid())
}

/// Moves a row.
pub(crate) fn update(conn: &Connection, row: &DatabaseRow) -> Result<(), Fault> {
    let stamp = &row.stamp;
    conn.prepare_cached(
        "UPDATE database SET epoch = ?2, sequence = ?3, digest = ?4, generation = ?5, log = ?6, \
         schema = ?7, written_at = ?8, size = ?9 WHERE id = ?1",
    )?
    .execute(params![
        row.id,
        stored(stamp.cursor.epoch.get()),
        stored(stamp.cursor.sequence.get()),
        stored(stamp.digest.get()),
        stored(stamp.generation.get()),
        stamp.log.as_bytes(),
        stamp.schema.get(),
        stamp.written_at.get(),
        row.size.map(|size| i64::try_from(size).unwrap_or(i64::MAX)),
    ])?;
    Ok(())
}

pub(crate) fn delete(conn: &Connection, id: i64) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM database WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Hands out rows in the order of type, then key, strictly after a grain, until told to stop.
pub(crate) fn walk(
    conn: &Connection,
    after: Option<&GrainId>,
    mut each: impl FnMut(GrainId, DatabaseRow) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let mut select = conn.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM database WHERE (grain_type, grain_key) > (?1, ?2) \
         ORDER BY grain_type, grain_key"
    ))?;
    // Both parts of an id are non-empty: all lie above nothing.
    let after = after.map_or((&b""[..], &b""[..]), |after| {
        (after.grain_type().as_bytes(), after.grain_key().as_bytes())
    });
    let mut rows = select.query(after)?;
    while let Some(row) = rows.next()? {
        let grain = GrainId::new(text(row, 9)?, text(row, 10)?).map_err(damaged)?;
        if !each(grain, read(row)?)? {
            break;
        }
    }
    Ok(())
}

/// A name, which is stored as its bytes.
pub(crate) fn text(row: &Row<'_>, at: usize) -> Result<String, Fault> {
    String::from_utf8(row.get(at)?).map_err(damaged)
}
