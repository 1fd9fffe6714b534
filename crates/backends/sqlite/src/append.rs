//! What is written to a log: appends, claims, truncations, inside the writer's transaction.
//!
//! The decisions are core's; head and fence are read in the same transaction, since other processes
//! write the same file.

use std::sync::Arc;

use gleaner_core::append::{by_grain, judge_claim, judge_run};
use gleaner_core::{
    Appended, Claim, Cursor, Entry, Fence, GrainId, Head, Identity, Kind, Limits, Truncation,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::bell::Bell;
use crate::error::{BACKEND, Fault};
use crate::file::FileId;
use crate::rows::{self, GrainRow, stored};
use crate::writer::Session;

/// What the log's writer knows during a transaction.
pub(crate) struct LogSession {
    limits: Limits,
    bell: Arc<Bell>,
    meta: Option<(Identity, u64)>,
    /// The feed's counter, with what this transaction has taken from it.
    pos: u64,
}

impl LogSession {
    pub(crate) const fn new(limits: Limits, bell: Arc<Bell>) -> Self {
        Self {
            limits,
            bell,
            meta: None,
            pos: 0,
        }
    }

    fn moved(&self) -> bool {
        self.meta.as_ref().is_some_and(|(_, pos)| *pos != self.pos)
    }
}

impl Session for LogSession {
    fn replaced(&mut self) {}

    fn begin(&mut self, conn: &Connection, file: FileId) -> Result<(), Fault> {
        let (identity, pos) = rows::read_meta(conn, file)?;
        self.pos = pos;
        self.meta = Some((identity, pos));
        Ok(())
    }

    fn finish(&mut self, conn: &Connection) -> Result<(), Fault> {
        if self.moved() {
            conn.prepare_cached("UPDATE meta SET pos = ?1 WHERE id = 1")?
                .execute([stored(self.pos)])?;
        }
        Ok(())
    }

    fn committed(&mut self) {
        if self.moved()
            && let Some((identity, _)) = self.meta.take()
        {
            self.bell.ring(identity, self.pos);
        }
    }
}

/// A batch: its grains in the order of their first entries, each on its own (L3).
pub(crate) fn append(
    session: &mut LogSession,
    conn: &Connection,
    entries: &[Entry],
) -> Result<Vec<Appended>, Fault> {
    if let [entry] = entries {
        return Ok(vec![append_grain(session, conn, entry.grain(), &[entry])?]);
    }
    by_grain(entries)
        .iter()
        .map(|(grain, run)| append_grain(session, conn, grain, run))
        .collect()
}

fn append_grain(
    session: &mut LogSession,
    conn: &Connection,
    grain: &GrainId,
    entries: &[&Entry],
) -> Result<Appended, Fault> {
    let found = rows::find(conn, grain)?;
    let mut head = found.and_then(|row| row.head);
    let mut fence = found.and_then(|row| row.fence);
    let mut writes = Vec::new();
    let appended = judge_run(
        grain,
        entries,
        &mut head,
        &mut fence,
        &session.limits,
        BACKEND,
        |entry| writes.push(entry),
    );
    if !writes.is_empty()
        && let Some(head) = head
    {
        let id = match found {
            Some(row) => row.id,
            None => insert_grain(conn, grain)?,
        };
        for entry in writes {
            session.pos += 1;
            insert_entry(conn, id, session.pos, entry)?;
        }
        update_head(conn, id, session.pos, &head, fence)?;
    }
    Ok(appended)
}

fn insert_grain(conn: &Connection, grain: &GrainId) -> Result<i64, Fault> {
    conn.prepare_cached("INSERT INTO grain (grain_type, grain_key) VALUES (?1, ?2)")?
        .execute(params![
            grain.grain_type().as_bytes(),
            grain.grain_key().as_bytes()
        ])?;
    Ok(conn.last_insert_rowid())
}

fn insert_entry(conn: &Connection, grain: i64, pos: u64, entry: &Entry) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO entry (pos, grain, epoch, sequence, writer, kind, prev, digest, written_at, \
         source, schema, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        stored(pos),
        grain,
        stored(entry.epoch().get()),
        stored(entry.sequence().get()),
        stored(entry.writer().get()),
        entry.kind().code(),
        entry.prev().map(|prev| stored(prev.get())),
        stored(entry.digest().get()),
        entry.written_at().get(),
        entry.source().as_str(),
        entry.schema().get(),
        &**entry.payload(),
    ])?;
    Ok(())
}

fn update_head(
    conn: &Connection,
    id: i64,
    pos: u64,
    head: &Head,
    fence: Option<Fence>,
) -> Result<(), Fault> {
    conn.prepare_cached(
        "UPDATE grain SET pos = ?2, head_epoch = ?3, head_sequence = ?4, head_digest = ?5, \
         head_kind = ?6, base_epoch = ?7, base_sequence = ?8, fence_epoch = ?9, \
         fence_writer = ?10 WHERE id = ?1",
    )?
    .execute(params![
        id,
        stored(pos),
        stored(head.cursor.epoch.get()),
        stored(head.cursor.sequence.get()),
        stored(head.digest.get()),
        head.kind.code(),
        stored(head.base.epoch.get()),
        stored(head.base.sequence.get()),
        fence.map(|fence| stored(fence.epoch.get())),
        fence.map(|fence| stored(fence.writer.get())),
    ])?;
    Ok(())
}

/// Claims, each on its own (L4); the feed does not move.
pub(crate) fn claim(
    conn: &Connection,
    claims: &[Claim],
) -> Result<Vec<gleaner_core::Result<Option<Head>>>, Fault> {
    claims
        .iter()
        .map(|claim| {
            let found = rows::find(conn, &claim.grain)?;
            let held = found.and_then(|row| row.fence);
            let fence = match judge_claim(held.as_ref(), claim, BACKEND) {
                Ok(fence) => fence,
                Err(refused) => return Ok(Err(refused)),
            };
            if held != Some(fence) {
                let id = match found {
                    Some(row) => row.id,
                    None => insert_grain(conn, &claim.grain)?,
                };
                conn.prepare_cached(
                    "UPDATE grain SET fence_epoch = ?2, fence_writer = ?3 WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    stored(fence.epoch.get()),
                    stored(fence.writer.get())
                ])?;
            }
            Ok(Ok(found.and_then(|row| row.head)))
        })
        .collect()
}

/// Removes what lies below the newest base at or below `before` (L7).
pub(crate) fn truncate(
    conn: &Connection,
    grain: &GrainId,
    before: Cursor,
) -> Result<Truncation, Fault> {
    let Some(row) = rows::find(conn, grain)? else {
        return Ok(Truncation {
            removed: 0,
            floor: Cursor::ZERO,
        });
    };
    let unchanged = Truncation {
        removed: 0,
        floor: row.floor,
    };
    let Some(base) = newest_base(conn, &row, before)? else {
        return Ok(unchanged);
    };
    let (epoch, sequence) = (stored(base.epoch.get()), stored(base.sequence.get()));
    let removed = conn
        .prepare_cached("DELETE FROM entry WHERE grain = ?1 AND (epoch, sequence) < (?2, ?3)")?
        .execute([row.id, epoch, sequence])?;
    if removed == 0 {
        return Ok(unchanged);
    }
    conn.prepare_cached("UPDATE grain SET floor_epoch = ?2, floor_sequence = ?3 WHERE id = ?1")?
        .execute([row.id, epoch, sequence])?;
    Ok(Truncation {
        removed: removed as u64,
        floor: base,
    })
}

/// The newest base of a grain at or below a cursor: mostly the head's own.
fn newest_base(conn: &Connection, row: &GrainRow, before: Cursor) -> Result<Option<Cursor>, Fault> {
    if let Some(head) = row.head
        && head.base <= before
    {
        return Ok(Some(head.base));
    }
    // A cursor may hold numbers that no entry carries; clamped, it compares alike.
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut select = conn.prepare_cached(
        "SELECT epoch, sequence FROM entry WHERE grain = ?1 AND (epoch, sequence) <= (?2, ?3) \
         AND kind IN (?4, ?5) ORDER BY epoch DESC, sequence DESC LIMIT 1",
    )?;
    let base = select
        .query_row(
            params![
                row.id,
                clamp(before.epoch.get()),
                clamp(before.sequence.get()),
                Kind::FullState.code(),
                Kind::Tombstone.code()
            ],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
        )
        .optional()?;
    Ok(base.map(|(epoch, sequence)| Cursor::new(epoch.cast_unsigned(), sequence.cast_unsigned())))
}
