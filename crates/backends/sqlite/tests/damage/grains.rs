//! A damaged row of the table of grains: its head, fence, floor and name.

use gleaner_core::{
    Budget, Caught, ChangeFeed, Cursor, ErrorKind, Filter, Head, ReplicationLog, Result,
};

use crate::cells::{Cell, nonsense, rows};
use crate::{KEYS, filled, grain, history};

const COLUMNS: [&str; 13] = [
    "grain_type",
    "grain_key",
    "fence_epoch",
    "fence_writer",
    "pos",
    "head_epoch",
    "head_sequence",
    "head_digest",
    "head_kind",
    "base_epoch",
    "base_sequence",
    "floor_epoch",
    "floor_sequence",
];

/// An answer, or an error that does not ask to be tried again for ever.
fn settled<T>(answer: Result<T>, place: &str) -> Option<T> {
    answer
        .map_err(|error| {
            let kind = error.kind();
            let known = matches!(kind, ErrorKind::Permanent | ErrorKind::Truncated { .. });
            assert!(known, "{place}: {error}");
        })
        .ok()
}

#[tokio::test]
async fn a_damaged_grain_is_caught_up_beside_whole_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (log, conn) = filled(&folder).await;
    let whole_heads: Vec<Option<Head>> = log.heads(&KEYS.map(grain)).await.unwrap();
    let rowid = rows(&conn, "grain", "grain_key = CAST('hit' AS BLOB)")[0];
    let (mut failed, mut told) = (0, 0);
    for column in COLUMNS {
        let cell = Cell {
            table: "grain",
            column,
            rowid,
        };
        let whole = cell.get(&conn);
        for value in nonsense() {
            if !cell.set(&conn, &value) {
                continue;
            }
            let place = cell.said(&value);
            let wants = KEYS.map(|key| (grain(key), Cursor::ZERO));
            let answer = log.catch_up(&wants, Budget::UNBOUNDED).await;
            let answer = answer.unwrap_or_else(|error| panic!("{place}: {error}"));
            for neighbour in [0, 2] {
                let Caught::Run(run) = &answer.grains[neighbour] else {
                    panic!("{place}: {:?}", answer.grains[neighbour]);
                };
                assert_eq!(run.entries, history(KEYS[neighbour])[2..], "{place}");
                let ids = [grain(KEYS[neighbour])];
                assert_eq!(
                    log.heads(&ids).await.unwrap(),
                    [whole_heads[neighbour]],
                    "{place}"
                );
            }
            match &answer.grains[1] {
                Caught::Failed(error) => {
                    failed += 1;
                    assert_eq!(error.kind(), ErrorKind::Permanent, "{place}");
                    assert_eq!(error.grain(), Some(&grain("hit")), "{place}");
                }
                Caught::Deferred => panic!("{place}: deferred without a bound"),
                Caught::Run(run) => {
                    told += 1;
                    let entries = history("hit");
                    assert!(run.entries.iter().all(|it| entries.contains(it)), "{place}");
                }
            }
            // Answers about many grains at once may be refused, and end.
            settled(log.heads(&KEYS.map(grain)).await, &place);
            settled(log.list_heads(&Filter::all(), None, 10).await, &place);
            let hit = grain("hit");
            settled(
                log.read_from(&hit, Cursor::ZERO, Budget::UNBOUNDED).await,
                &place,
            );
            if let Some(since) = settled(log.start(&Filter::all()).await, &place) {
                settled(log.changes(&since, &Filter::all(), 10).await, &place);
            }
            assert!(cell.set(&conn, &whole));
        }
    }
    assert!(failed > 20 && told > 20, "{failed} {told}");
    assert_eq!(log.heads(&KEYS.map(grain)).await.unwrap(), whole_heads);
}
