//! What is read from a log, each within one snapshot.

use gleaner_core::{
    Budget, CatchUp, Caught, Cursor, Entry, Error, ErrorKind, Filter, GrainId, Head, HeadPage,
    Names, Page, Run, run_after,
};
use rusqlite::{Connection, Rows};

use crate::error::{BACKEND, Fault};
use crate::file::FileId;
use crate::rows::{self, GrainRow, entry_columns, head_columns};

const LIST: &str = concat!(
    "SELECT grain_type, grain_key, ",
    head_columns!(),
    " FROM grain WHERE (grain_type, grain_key) > (?1, ?2) ORDER BY grain_type, grain_key"
);
const LIST_OF_TYPE: &str = concat!(
    "SELECT grain_type, grain_key, ",
    head_columns!(),
    " FROM grain WHERE grain_type = ?1 AND grain_key >= ?2 AND grain_key < ?3 ORDER BY grain_key"
);
const ENTRIES_AFTER: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entry WHERE grain = ?1 AND (epoch, sequence) > (?2, ?3) ORDER BY epoch, sequence"
);
const NEWEST_ENTRY: &str = concat!(
    "SELECT ",
    entry_columns!(),
    " FROM entry WHERE pos = ?1 AND grain = ?2"
);

/// The heads of grains, in the order asked for.
pub(crate) fn heads(conn: &Connection, grains: &[GrainId]) -> Result<Vec<Option<Head>>, Fault> {
    grains
        .iter()
        .map(|grain| Ok(rows::find(conn, grain)?.and_then(|row| row.head)))
        .collect()
}

/// A page of the heads in a filter: of what its type and prefix allow, by the index on names.
pub(crate) fn list_heads(
    conn: &Connection,
    file: FileId,
    filter: &Filter,
    after: Option<&GrainId>,
    limit: usize,
) -> Result<HeadPage, Fault> {
    let (identity, _) = rows::read_meta(conn, file)?;
    let mut page = HeadPage {
        identity,
        heads: Vec::new(),
        next: None,
    };
    match Names::of(filter, after) {
        Names::None => {}
        Names::All(name, key) => {
            let mut select = conn.prepare_cached(LIST)?;
            list(select.query([name, key])?, filter, limit.max(1), &mut page)?;
        }
        Names::OfType(name, from, below) => {
            let mut select = conn.prepare_cached(LIST_OF_TYPE)?;
            let rows = select.query([name, from, below])?;
            list(rows, filter, limit.max(1), &mut page)?;
        }
    }
    Ok(page)
}

fn list(
    mut rows: Rows<'_>,
    filter: &Filter,
    limit: usize,
    page: &mut HeadPage,
) -> Result<(), Fault> {
    let mut passed = 0;
    while let Some(row) = rows.next()? {
        let named = rows::read_grain_in(row, 0, filter)?;
        // A grain that was only claimed has no head.
        let found = match named {
            Some(grain) => rows::read_head(row, 2)?.map(|head| (grain, head)),
            None => None,
        };
        match found {
            Some(found) if page.heads.len() < limit => page.heads.push(found),
            Some(_) => {
                page.next = page.heads.last().map(|(grain, _)| grain.clone());
                break;
            }
            None => {
                passed += 1;
                if passed == Names::SCAN {
                    page.next = Some(rows::read_grain(row, 0)?);
                    break;
                }
            }
        }
    }
    Ok(())
}

/// A page of a grain's history (L6).
pub(crate) fn read_from(
    conn: &Connection,
    grain: &GrainId,
    after: Cursor,
    mut budget: Budget,
) -> Result<Page, Fault> {
    let Some(row) = rows::find(conn, grain)? else {
        return Ok(Page::default());
    };
    if after != Cursor::ZERO && after < row.floor {
        let kind = ErrorKind::Truncated { floor: row.floor };
        let message = format!("the history below {} is gone", row.floor);
        return Err(Error::new(kind, BACKEND, message).at(grain, after).into());
    }
    let mut served = false;
    match entries_after(conn, grain, &row, after, &mut budget, &mut served)? {
        Cut::None(entries) => Ok(Page {
            entries,
            more: false,
        }),
        Cut::ByDamage(entries, error) if entries.is_empty() => Err(error.into()),
        Cut::ByBudget(entries) | Cut::ByDamage(entries, _) => Ok(Page {
            entries,
            more: true,
        }),
    }
}

/// What brings replicas to the heads (L8): a lookup a grain, and payloads of those that moved only.
pub(crate) fn catch_up(
    conn: &Connection,
    file: FileId,
    wants: &[(GrainId, Cursor)],
    mut budget: Budget,
) -> Result<CatchUp, Fault> {
    let (identity, _) = rows::read_meta(conn, file)?;
    let mut served = false;
    let mut grains = Vec::with_capacity(wants.len());
    for (grain, cursor) in wants {
        let caught = match catch_up_grain(conn, grain, *cursor, &mut budget, &mut served) {
            Err(fault) => Caught::Failed(of_one_grain(grain, fault)?),
            Ok(caught) => caught,
        };
        grains.push(caught);
    }
    Ok(CatchUp { identity, grains })
}

fn catch_up_grain(
    conn: &Connection,
    grain: &GrainId,
    cursor: Cursor,
    budget: &mut Budget,
    served: &mut bool,
) -> Result<Caught, Fault> {
    let row = rows::find(conn, grain)?;
    let nothing = |head| {
        Ok(Caught::Run(Run {
            head,
            entries: Vec::new(),
            complete: true,
        }))
    };
    let Some((row, head)) = row.and_then(|row| Some((row, row.head?))) else {
        return nothing(None);
    };
    let Some(after) = run_after(cursor, &head) else {
        return nothing(Some(head));
    };
    if *served && budget.is_spent() {
        return Ok(Caught::Deferred);
    }
    let cut = if head.base == head.cursor {
        newest_entry(conn, grain, &row, budget, served)?
    } else {
        entries_after(conn, grain, &row, after, budget, served)?
    };
    let entries = match cut {
        Cut::ByDamage(entries, error) if entries.is_empty() => return Ok(Caught::Failed(error)),
        Cut::ByBudget(entries) if entries.is_empty() => return Ok(Caught::Deferred),
        Cut::None(entries) | Cut::ByBudget(entries) | Cut::ByDamage(entries, _) => entries,
    };
    let begins = entries.first().map(Entry::cursor);
    let from_base = head.base > cursor;
    if begins.is_none() || (from_base && begins != Some(head.base)) {
        let message = format!("the entries up to the head {} are missing", head.cursor);
        return Ok(Caught::Failed(
            Error::permanent(BACKEND, message).at(grain, head.base),
        ));
    }
    let complete = entries
        .last()
        .is_some_and(|last| last.cursor() >= head.cursor);
    Ok(Caught::Run(Run {
        head: Some(head),
        entries,
        complete,
    }))
}

/// An error that concerns the rows of one grain, for that grain alone; others for the whole call.
fn of_one_grain(grain: &GrainId, fault: Fault) -> Result<Error, Fault> {
    match fault {
        Fault::Refused(error) if error.kind() == ErrorKind::Permanent => {
            Ok(if error.grain().is_some() {
                error
            } else {
                error.of(grain)
            })
        }
        Fault::Sqlite(error) if is_damage(&error) => Ok(damaged_row(grain, error)),
        fault => Err(fault),
    }
}

/// Whether a row, or the page that it lies on, cannot be understood; neighbours may be whole.
fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseCorrupt)
        || matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)
        )
}

fn damaged_row(grain: &GrainId, error: rusqlite::Error) -> Error {
    Error::permanent(BACKEND, format!("a row of the grain is damaged: {error}"))
        .of(grain)
        .caused_by(error)
}

/// Entries, and why there are no more.
enum Cut {
    None(Vec<Entry>),
    ByBudget(Vec<Entry>),
    ByDamage(Vec<Entry>, Error),
}

fn entries_after(
    conn: &Connection,
    grain: &GrainId,
    row: &GrainRow,
    after: Cursor,
    budget: &mut Budget,
    served: &mut bool,
) -> Result<Cut, Fault> {
    // Numbers that no entry carries are cut to the largest that SQLite holds: nothing lies there.
    let clamp = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut select = conn.prepare_cached(ENTRIES_AFTER)?;
    let rows = select.query([
        row.id,
        clamp(after.epoch.get()),
        clamp(after.sequence.get()),
    ])?;
    gather(grain, rows, budget, served)
}

/// The head's entry by its place: what a grain of whole states costs, whatever its backlog.
fn newest_entry(
    conn: &Connection,
    grain: &GrainId,
    row: &GrainRow,
    budget: &mut Budget,
    served: &mut bool,
) -> Result<Cut, Fault> {
    let mut select = conn.prepare_cached(NEWEST_ENTRY)?;
    let rows = select.query([row.pos, row.id])?;
    gather(grain, rows, budget, served)
}

fn gather(
    grain: &GrainId,
    mut rows: Rows<'_>,
    budget: &mut Budget,
    served: &mut bool,
) -> Result<Cut, Fault> {
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        if !budget.take(rows::payload_len(row)?, !*served) {
            return Ok(Cut::ByBudget(entries));
        }
        match rows::read_entry(grain, row) {
            Ok(entry) => entries.push(entry),
            Err(fault) => return Ok(Cut::ByDamage(entries, of_one_grain(grain, fault)?)),
        }
        *served = true;
    }
    Ok(Cut::None(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page costs what it looks at: nothing is sorted, nothing else is read.
    #[test]
    fn listings_walk_the_index_on_names() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(crate::schema::LOG.tables).unwrap();
        for (select, values) in [(LIST, 2), (LIST_OF_TYPE, 3)] {
            let explain = format!("EXPLAIN QUERY PLAN {select}");
            let mut plan = conn.prepare(&explain).unwrap();
            let blobs = vec![Vec::<u8>::new(); values];
            let lines: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(blobs), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(
                lines[0].starts_with("SEARCH grain USING INDEX"),
                "{lines:?}"
            );
            assert!(lines[0].contains("grain_key>") || values == 2, "{lines:?}");
        }
    }
}
