//! Rows that say nonsense: every column of the rows of one grain is given values that no version wrote,
//! one at a time, through a connection of its own, and put back. The grain fails for itself with a
//! `Permanent` error, or brings what was written; its neighbours never notice; nothing panics.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod cells;
mod entries;
mod grains;
mod replicas;

use gleaner_core::{Cursor, Draft, Entry, GrainId, ReplicationLog, Writer};
use gleaner_sqlite::SqliteLog;

/// The grains, in order; the second is the one that is damaged.
const KEYS: [&str; 3] = ["left", "hit", "right"];

fn grain(key: &str) -> GrainId {
    GrainId::new("aircraft", key).unwrap()
}

/// A state, a change, a state, a change.
fn history(key: &str) -> Vec<Entry> {
    let writer = Writer::new(9);
    let full =
        |at| Draft::full(grain(key), Cursor::new(1, at), writer, format!("{key}{at}")).seal();
    let delta = |at, prev: &Entry| {
        let at = Cursor::new(1, at);
        Draft::delta(grain(key), at, writer, prev.digest(), format!("{key}+")).seal()
    };
    let (one, three) = (full(1), full(3));
    let (two, four) = (delta(2, &one), delta(4, &three));
    vec![one, two, three, four]
}

/// A log that holds the histories, and a connection beside it.
async fn filled(folder: &tempfile::TempDir) -> (SqliteLog, rusqlite::Connection) {
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.unwrap();
    for key in KEYS {
        for entry in history(key) {
            log.append(entry).await.unwrap();
        }
    }
    (log, rusqlite::Connection::open(&path).unwrap())
}
