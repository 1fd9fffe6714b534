//! S4, S5: a damaged row of the replica store.

use gleaner_core::{Advance, ErrorKind, Filter, Generation, LogId, ReplicaStore, Result};
use gleaner_sqlite::SqliteReplicaStore;
use rusqlite::Connection;

use crate::cells::{Cell, nonsense, rows};
use crate::{KEYS, grain, history};

const COLUMNS: [&str; 10] = [
    "grain_type",
    "grain_key",
    "epoch",
    "sequence",
    "digest",
    "generation",
    "log",
    "schema",
    "written_at",
    "state",
];

fn log() -> LogId {
    LogId::new(&b"the log"[..])
}

fn settled<T>(answer: Result<T>, place: &str) -> Option<T> {
    answer
        .map_err(|error| assert_eq!(error.kind(), ErrorKind::Permanent, "{place}: {error}"))
        .ok()
}

fn advance(key: &str, from: usize) -> Advance {
    Advance {
        grain: grain(key),
        generation: Generation::default(),
        entries: vec![history(key)[from].clone()],
    }
}

#[tokio::test]
async fn a_damaged_replica_does_not_keep_others_from_being_read_and_applied_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteReplicaStore::builder(&path)
        .resident(false)
        .open()
        .await
        .unwrap();
    store.bind(&log(), None).await.unwrap();
    let runs = KEYS.map(|key| advance(key, 0)).to_vec();
    store.apply(&log(), runs).await.unwrap();
    let whole_marks = store.cursor(&KEYS.map(grain)).await.unwrap();
    let conn = Connection::open(&path).unwrap();
    let rowid = rows(&conn, "replica", "grain_key = CAST('hit' AS BLOB)")[0];
    let (mut refused, mut answered) = (0, 0);
    for column in COLUMNS {
        let cell = Cell {
            table: "replica",
            column,
            rowid,
        };
        let whole = cell.get(&conn);
        for value in nonsense() {
            if !cell.set(&conn, &value) {
                continue;
            }
            let place = cell.said(&value);
            for neighbour in [0, 2] {
                let id = grain(KEYS[neighbour]);
                let marks = store.cursor(std::slice::from_ref(&id)).await.unwrap();
                assert_eq!(marks, [whole_marks[neighbour].clone()], "{place}");
                let replica = store.get(&id).await.unwrap().unwrap();
                let first = &history(KEYS[neighbour])[0];
                assert_eq!(replica.state(), Some(&first.payload()[..]), "{place}");
                // An entry that it has: applied to, and not changed.
                let again = vec![advance(KEYS[neighbour], 0)];
                let outcome = store.apply(&log(), again).await.unwrap().remove(0);
                assert_eq!((outcome.applied, outcome.stop), (0, None), "{place}");
            }
            let got = settled(store.get(&grain("hit")).await, &place);
            let marks = settled(store.cursor(&KEYS.map(grain)).await, &place);
            if let Some(marks) = &marks {
                assert_eq!(marks.len(), 3, "{place}");
                assert_eq!([&marks[0], &marks[2]], [&whole_marks[0], &whole_marks[2]]);
            }
            if got.is_some() && marks.is_some() {
                answered += 1;
            } else {
                refused += 1;
            }
            settled(store.list(&Filter::all(), None, 10).await, &place);
            assert!(cell.set(&conn, &whole));
        }
    }
    assert!(refused > 20 && answered > 20, "{refused} {answered}");
    assert_eq!(store.cursor(&KEYS.map(grain)).await.unwrap(), whole_marks);
}
