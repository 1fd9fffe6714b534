//! A primary process, a secondary process, and what the secondary's store holds in the end.

use std::collections::BTreeMap;

use gleaner_tests::Report;

use crate::child::Worker;
use crate::truth::{acked, assert_at_rest, assert_equal, caught_up, histories, replicas, turn};

const GRAINS: u64 = 60;

#[test]
fn a_secondary_process_ends_with_the_logs_own_states() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.db");
    let store = folder.path().join("store.db");
    // The secondary is there first, and reads while the primary writes.
    let mut secondary = Worker::follower(&log, &store, 1000);
    while secondary.next().expect("it opens") != Report::Ready {}
    let (said, _) = Worker::appender(&log, "plane", GRAINS, "churn", 25).finish();
    let (followed, _) = secondary.finish();

    let newest: BTreeMap<String, _> = acked(&said)
        .into_iter()
        .map(|acked| (acked.key, (acked.cursor, acked.turn)))
        .collect();
    assert_eq!(newest.len() as u64, GRAINS);
    let histories = histories(&log);
    assert_at_rest(&histories);
    // The log ends with what the primary was told last.
    for (key, (head, entries)) in &histories {
        assert_eq!(newest[key], (head.cursor, turn(entries.last().unwrap())));
    }
    let held = replicas(&store);
    assert_equal(&histories, &held);
    // Grains that ended, and grains that ended and came back, are among them.
    let gone = held.values().filter(|held| held.state().is_none()).count() as u64;
    assert_eq!(gone, GRAINS / 3);
    let (in_step, not, entries_read) = caught_up(&followed);
    assert_eq!((in_step as u64, not), (GRAINS, 0));
    assert!(entries_read >= GRAINS);

    // Nothing has moved: a second run reads no entry, and leaves the store as it is.
    let (again, _) = Worker::follower(&log, &store, 1000).finish();
    assert_eq!(
        again,
        [
            Report::Ready,
            Report::CaughtUp {
                in_step: held.len(),
                held: 0,
                entries_read: 0
            },
            Report::Ended
        ]
    );
    assert_eq!(replicas(&store), held);
}
