//! Many appenders on one file.

use std::collections::BTreeMap;

use gleaner::Cursor;
use gleaner_tests::Report;

use crate::child::Worker;
use crate::truth::{acked, assert_at_rest, assert_kept, histories, is_sound, unacked};

/// What each of the sixteen must have had acknowledged before any is told to stop: all sixteen write
/// during all of it.
const EACH: u64 = 250;

#[test]
fn two_processes_with_eight_appenders_each_append_without_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut workers =
        ["left", "right"].map(|prefix| Worker::appender(&path, prefix, 8, "append", 0));
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut said = Vec::new();
    for worker in &mut workers {
        while counts.len() < 8 || counts.values().any(|count| *count < EACH) {
            let report = worker.next().expect("an append failed");
            if let Report::Acked { key, .. } = &report {
                *counts.entry(key.clone()).or_default() += 1;
            }
            said.push(report);
        }
        counts.clear();
    }
    for worker in workers {
        // Ends in success only if no append failed.
        let (rest, errors) = worker.finish();
        assert_eq!(errors, "");
        said.extend(rest);
    }

    let acked = acked(&said);
    let histories = histories(&path);
    assert_at_rest(&histories);
    assert_kept(&histories, &acked);
    assert_eq!(histories.len(), 16);
    assert_eq!(unacked(&histories, &acked), Vec::<&gleaner::Entry>::new());
    for (key, (head, entries)) in &histories {
        let count = entries.len() as u64;
        assert!(count >= EACH, "{key}");
        // Dense from 1, in the one epoch.
        assert_eq!(head.cursor, Cursor::new(1, count), "{key}");
    }
    is_sound(&path);
}
