//! Rows of the replica store as the words of the contracts, and back.

use gleaner_core::{
    Digest, Error, Filter, Generation, GrainId, LogId, Mark, Names, Replica, ReplicaPage, Schema,
    Stamp, UnixMillis,
};
use rusqlite::{Connection, OptionalExtension, Row, Rows, params};

use crate::error::{BACKEND, Fault};
use crate::rows::{bits, count, cursor, read_grain, read_grain_in, stored};

/// Columns that [`read_row`] reads.
const ROW: &str =
    "id, epoch, sequence, digest, generation, log, schema, written_at, state IS NOT NULL";

/// The bytes of states after which a page of a listing takes no further one.
const PAGE_BYTES: usize = 64 << 20;

/// A replica's row, its state left where it is.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaRow {
    pub(crate) id: i64,
    pub(crate) mark: Mark,
    stamp: Stamp,
}

impl ReplicaRow {
    /// Whether a replica in memory is this row's.
    pub(crate) fn is(&self, replica: &Replica) -> bool {
        replica.cursor() == self.stamp.cursor
            && replica.digest() == self.stamp.digest
            && replica.generation() == self.stamp.generation
            && *replica.log() == self.stamp.log
    }

    /// For rules that do not look at the state.
    pub(crate) fn without_state(&self) -> Replica {
        Replica::new(self.stamp.clone(), None)
    }

    /// The replica, its state read from the file.
    pub(crate) fn load(&self, conn: &Connection) -> Result<Replica, Fault> {
        if !self.mark.present {
            return Ok(self.without_state());
        }
        let mut select = conn.prepare_cached("SELECT state FROM replica WHERE id = ?1")?;
        let replica = select.query_row([self.id], |row| {
            let state = row.get_ref(0)?.as_blob_or_null()?;
            Ok(Replica::new(self.stamp.clone(), state))
        })?;
        Ok(replica)
    }
}

/// The bound log and the generation of grains that the store does not have.
pub(crate) fn read_meta(conn: &Connection) -> Result<(Option<LogId>, Generation), Fault> {
    let mut select = conn.prepare_cached("SELECT log, generation FROM meta WHERE id = 1")?;
    let found = select
        .query_row((), |row| {
            let log: Option<Vec<u8>> = row.get(0)?;
            Ok((log.map(LogId::new), Generation::new(count(row, 1)?)))
        })
        .optional()?;
    found.ok_or_else(|| Error::permanent(BACKEND, "the store's meta row is missing").into())
}

pub(crate) fn write_meta(
    conn: &Connection,
    log: Option<&LogId>,
    generation: Generation,
) -> Result<(), Fault> {
    conn.prepare_cached("UPDATE meta SET log = ?1, generation = ?2 WHERE id = 1")?
        .execute(params![log.map(LogId::as_bytes), stored(generation.get())])?;
    Ok(())
}

/// A grain's row. `bound` is shared by all rows of that log, so that a million replicas do not hold
/// a million copies of its name.
pub(crate) fn find(
    conn: &Connection,
    grain: &GrainId,
    bound: Option<&LogId>,
) -> Result<Option<ReplicaRow>, Fault> {
    let mut select = conn.prepare_cached(&format!(
        "SELECT {ROW} FROM replica WHERE grain_type = ?1 AND grain_key = ?2"
    ))?;
    let mut rows = select.query(params![
        grain.grain_type().as_bytes(),
        grain.grain_key().as_bytes()
    ])?;
    match rows.next()? {
        Some(row) => Ok(Some(read_row(row, 0, bound)?)),
        None => Ok(None),
    }
}

fn read_row(row: &Row<'_>, at: usize, bound: Option<&LogId>) -> Result<ReplicaRow, Fault> {
    let name = row
        .get_ref(at + 5)?
        .as_blob()
        .map_err(rusqlite::Error::from)?;
    let log = match bound {
        Some(bound) if bound.as_bytes() == name => bound.clone(),
        _ => LogId::new(name),
    };
    let stamp = Stamp {
        cursor: cursor(row, at + 1)?,
        digest: Digest::new(bits(row, at + 3)?),
        generation: Generation::new(count(row, at + 4)?),
        log,
        schema: Schema::new(row.get(at + 6)?),
        written_at: UnixMillis::new(row.get(at + 7)?),
    };
    let mark = Mark {
        cursor: stamp.cursor,
        digest: stamp.digest,
        generation: stamp.generation,
        log: Some(stamp.log.clone()),
        present: row.get(at + 8)?,
    };
    Ok(ReplicaRow {
        id: row.get(at)?,
        mark,
        stamp,
    })
}

/// Puts a replica in the place of a row, or into a new one.
pub(crate) fn write(
    conn: &Connection,
    grain: &GrainId,
    id: Option<i64>,
    replica: &Replica,
) -> Result<(), Fault> {
    let stamp = replica.stamp();
    let (log, state) = (stamp.log.as_bytes(), replica.state());
    let (epoch, sequence) = (
        stored(stamp.cursor.epoch.get()),
        stored(stamp.cursor.sequence.get()),
    );
    let (digest, generation) = (stored(stamp.digest.get()), stored(stamp.generation.get()));
    let (schema, written_at) = (stamp.schema.get(), stamp.written_at.get());
    match id {
        Some(id) => conn
            .prepare_cached(
                "UPDATE replica SET epoch = ?2, sequence = ?3, digest = ?4, generation = ?5, \
                 log = ?6, schema = ?7, written_at = ?8, state = ?9 WHERE id = ?1",
            )?
            .execute(params![
                id, epoch, sequence, digest, generation, log, schema, written_at, state
            ])?,
        None => conn
            .prepare_cached(
                "INSERT INTO replica (grain_type, grain_key, epoch, sequence, digest, generation, \
                 log, schema, written_at, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                grain.grain_type().as_bytes(),
                grain.grain_key().as_bytes(),
                epoch,
                sequence,
                digest,
                generation,
                log,
                schema,
                written_at,
                state
            ])?,
    };
    Ok(())
}

pub(crate) fn delete(conn: &Connection, id: i64) -> Result<(), Fault> {
    conn.prepare_cached("DELETE FROM replica WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// A page of replicas in a filter, in order, strictly after one.
///
/// Names are walked in their index and rows are fetched one by one, so that no state is read of what
/// is passed over.
pub(crate) fn list(
    conn: &Connection,
    filter: &Filter,
    after: Option<&GrainId>,
    limit: usize,
) -> Result<ReplicaPage, Fault> {
    let (bound, _) = read_meta(conn)?;
    let gather = |names| gather(conn, names, filter, bound.as_ref(), limit.max(1));
    match Names::of(filter, after) {
        Names::None => Ok(ReplicaPage::default()),
        Names::All(name, key) => {
            let mut select = conn.prepare_cached(
                "SELECT grain_type, grain_key, id FROM replica \
                 WHERE (grain_type, grain_key) > (?1, ?2) ORDER BY grain_type, grain_key",
            )?;
            gather(select.query([name, key])?)
        }
        Names::OfType(name, from, below) => {
            let mut select = conn.prepare_cached(
                "SELECT grain_type, grain_key, id FROM replica WHERE grain_type = ?1 \
                 AND grain_key >= ?2 AND grain_key < ?3 ORDER BY grain_key",
            )?;
            gather(select.query([name, from, below])?)
        }
    }
}

fn gather(
    conn: &Connection,
    mut names: Rows<'_>,
    filter: &Filter,
    bound: Option<&LogId>,
    limit: usize,
) -> Result<ReplicaPage, Fault> {
    let mut fetch =
        conn.prepare_cached(&format!("SELECT {ROW}, state FROM replica WHERE id = ?1"))?;
    let mut page = ReplicaPage::default();
    let (mut bytes, mut passed) = (0, 0);
    while let Some(name) = names.next()? {
        let Some(grain) = read_grain_in(name, 0, filter)? else {
            passed += 1;
            if passed == Names::SCAN {
                page.next = Some(read_grain(name, 0)?);
                break;
            }
            continue;
        };
        if page.replicas.len() == limit || bytes > PAGE_BYTES {
            page.next = page.replicas.last().map(|(grain, _)| grain.clone());
            break;
        }
        let mut rows = fetch.query([name.get::<_, i64>(2)?])?;
        // Of the same snapshot: it is there.
        let Some(row) = rows.next()? else { continue };
        let stamp = read_row(row, 0, bound)?.stamp;
        let state = row
            .get_ref(9)?
            .as_blob_or_null()
            .map_err(rusqlite::Error::from)?;
        bytes += state.map_or(0, <[u8]>::len);
        page.replicas.push((grain, Replica::new(stamp, state)));
    }
    Ok(page)
}
