//! L5, L6, L8: damaged entries.

use gleaner_core::{Budget, Caught, Cursor, Entry, Error, ErrorKind, Filter, ReplicationLog};
use gleaner_sqlite::SqliteLog;

use crate::cells::{Cell, nonsense, rows};
use crate::{KEYS, filled, grain, history};

const COLUMNS: [&str; 10] = [
    "epoch",
    "sequence",
    "writer",
    "kind",
    "prev",
    "digest",
    "written_at",
    "source",
    "schema",
    "payload",
];

fn is_of_hit(error: &Error, place: &str) {
    assert_eq!(error.kind(), ErrorKind::Permanent, "{place}: {error}");
    assert_eq!(error.grain(), Some(&grain("hit")), "{place}: {error}");
}

/// Catches the damaged grain up from the start, a neighbour on either side; whether it failed.
async fn catch_up(log: &SqliteLog, place: &str) -> bool {
    let mut at = Cursor::ZERO;
    for _ in 0..8 {
        let wants = KEYS.map(|key| (grain(key), if key == "hit" { at } else { Cursor::ZERO }));
        let answer = log.catch_up(&wants, Budget::UNBOUNDED).await;
        let answer = answer.unwrap_or_else(|error| panic!("{place}: {error}"));
        for neighbour in [0, 2] {
            let Caught::Run(run) = &answer.grains[neighbour] else {
                panic!("{place}: {:?}", answer.grains[neighbour]);
            };
            assert_eq!(run.entries, history(KEYS[neighbour])[2..], "{place}");
            assert!(run.complete, "{place}");
        }
        match &answer.grains[1] {
            Caught::Failed(error) => {
                is_of_hit(error, place);
                return true;
            }
            Caught::Deferred => panic!("{place}: deferred without a bound"),
            Caught::Run(run) => {
                let left: Vec<Entry> = history("hit")
                    .into_iter()
                    .skip(2)
                    .filter(|entry| entry.cursor() > at)
                    .collect();
                assert!(left.starts_with(&run.entries), "{place}: {:?}", run.entries);
                if run.complete {
                    assert_eq!(run.entries, left, "{place}");
                    return false;
                }
                at = run.entries.last().unwrap().cursor();
            }
        }
    }
    panic!("{place}: neither an end nor an error");
}

/// Reads the damaged grain's history; whether it failed or ends before its end.
async fn read(log: &SqliteLog, place: &str) -> bool {
    match log
        .read_from(&grain("hit"), Cursor::ZERO, Budget::UNBOUNDED)
        .await
    {
        Err(error) => {
            is_of_hit(&error, place);
            true
        }
        Ok(page) => {
            // A row that lies elsewhere now is missed, and none is told that was never written.
            let whole = history("hit");
            assert!(
                page.entries.iter().all(|entry| whole.contains(entry)),
                "{place}"
            );
            assert!(page.entries.is_sorted_by_key(Entry::cursor), "{place}");
            page.entries != whole
        }
    }
}

#[tokio::test]
async fn a_damaged_entry_is_its_grains_own_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let (log, conn) = filled(&folder).await;
    let of_hit = "grain = (SELECT id FROM grain WHERE grain_key = CAST('hit' AS BLOB))";
    let entries = rows(&conn, "entry", of_hit);
    assert_eq!(entries.len(), 4);
    let (mut failed, mut harmless) = (0, 0);
    for rowid in entries {
        for column in COLUMNS {
            let cell = Cell {
                table: "entry",
                column,
                rowid,
            };
            let whole = cell.get(&conn);
            for value in nonsense() {
                if !cell.set(&conn, &value) {
                    continue;
                }
                let place = cell.said(&value);
                let caught = catch_up(&log, &place).await;
                let read = read(&log, &place).await;
                // Only labels and values that were the same may pass.
                let is_label = column == "written_at" || column == "source";
                let same = cell.get(&conn) == whole;
                assert!(
                    caught || read || is_label || same,
                    "{place}: nobody notices"
                );
                failed += u32::from(caught || read);
                harmless += u32::from(!caught && !read);
                let heads = log.heads(&KEYS.map(grain)).await.unwrap();
                assert!(heads.iter().all(Option::is_some));
                assert!(cell.set(&conn, &whole));
            }
        }
    }
    assert!(failed > 200 && harmless > 10, "{failed} {harmless}");
    // All is put back: the test itself has left nothing behind.
    assert!(!catch_up(&log, "at the end").await && !read(&log, "at the end").await);
    let listed = log.list_heads(&Filter::all(), None, 10).await.unwrap();
    assert_eq!(listed.heads.len(), 3);
}
