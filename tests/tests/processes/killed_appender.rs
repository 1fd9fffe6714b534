//! `kill -9` of a process that appends.

use std::collections::BTreeMap;
use std::path::Path;

use gleaner_tests::Report;

use crate::chance::Chance;
use crate::child::Worker;
use crate::truth::{
    Acked, Histories, acked, assert_at_rest, assert_in_order, assert_kept, copied, histories,
    is_sound, turn, unacked,
};

const GRAINS: u64 = 6;

/// Runs an appender until it is killed at some moment; what it was told to be durable.
fn live_and_die(path: &Path, how: &str, chance: &mut Chance) -> Vec<Acked> {
    let mut worker = Worker::appender(path, "mortal", GRAINS, how, 0);
    let mut said = Vec::new();
    // One life in five ends while it opens or claims.
    let enough = chance.below(100).saturating_sub(20);
    if enough == 0 {
        chance.pause(40_000);
    }
    let mut count = 0;
    while count < enough {
        let report = worker.next().expect("it lives until it is killed");
        count += u64::from(matches!(report, Report::Acked { .. }));
        said.push(report);
    }
    chance.pause(3_000);
    said.extend(worker.kill());
    let acked = acked(&said);
    println!("a life with {} states acknowledged", acked.len());
    acked
}

/// What an appender that awaits each state can leave behind unsaid: the last of each grain in each
/// of its lives.
fn assert_only_last_words_unsaid(histories: &Histories, said: &[Acked]) {
    let mut last = BTreeMap::new();
    for (key, (_, entries)) in histories {
        for entry in entries {
            last.insert((key.clone(), entry.epoch()), entry.cursor());
        }
    }
    for entry in unacked(histories, said) {
        let key = entry.grain().grain_key().to_owned();
        assert_eq!(last[&(key, entry.epoch())], entry.cursor());
    }
}

#[test]
fn twenty_kills_of_an_appender_lose_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut chance = Chance::new();
    let mut said: Vec<Acked> = Vec::new();
    for _ in 0..20 {
        said.extend(live_and_die(&path, "publish", &mut chance));
        // Looked at in a copy, so that the next appender finds what this one left.
        let (_copy, copy) = copied(&path);
        let histories = histories(&copy);
        assert_at_rest(&histories);
        assert_kept(&histories, &said);
        assert_only_last_words_unsaid(&histories, &said);
        is_sound(&copy);
    }
    assert!(!said.is_empty());
    // And one that lives.
    let (rest, _) = Worker::appender(&path, "mortal", GRAINS, "publish", 3).finish();
    let last = acked(&rest);
    assert_eq!(last.len() as u64, 3 * GRAINS);
    said.extend(last);
    assert_kept(&histories(&path), &said);
}

#[test]
fn kills_of_an_appender_do_not_disturb_one_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut chance = Chance::new();
    let mut beside = Worker::appender(&path, "beside", 2, "append", 0);
    let mut said: Vec<Acked> = Vec::new();
    let mut heard = Vec::new();
    for _ in 0..20 {
        said.extend(live_and_die(&path, "publish", &mut chance));
        // It gets on after each kill: no lock was left behind.
        heard.extend(beside.said());
        loop {
            let report = beside.next().expect("an append failed");
            let got_on = matches!(report, Report::Acked { .. });
            heard.push(report);
            if got_on {
                break;
            }
        }
        let histories = histories(&path);
        assert_in_order(&histories);
        assert_kept(&histories, &said);
        assert_kept(&histories, &acked(&heard));
    }
    heard.extend(beside.finish().0);
    said.extend(acked(&heard));
    let histories = histories(&path);
    assert_kept(&histories, &said);
    assert_only_last_words_unsaid(&histories, &said);
    is_sound(&path);
}

#[test]
fn kills_of_an_appender_that_compacts_lose_no_newest_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut chance = Chance::new();
    let mut newest: BTreeMap<String, Acked> = BTreeMap::new();
    let mut cut = false;
    for _ in 0..20 {
        for acked in live_and_die(&path, "churn", &mut chance) {
            newest.insert(acked.key.clone(), acked);
        }
        let (_copy, copy) = copied(&path);
        let histories = histories(&copy);
        assert_at_rest(&histories);
        is_sound(&copy);
        for (key, acked) in &newest {
            let (head, entries) = &histories[key];
            assert!(head.cursor >= acked.cursor, "{key} ends at {}", head.cursor);
            // What lies below the newest state may be cut off, and what a publisher was told of last
            // is never further back than it keeps.
            let entry = entries.iter().find(|entry| entry.cursor() == acked.cursor);
            let entry = entry.unwrap_or_else(|| panic!("{key} at {} is lost", acked.cursor));
            assert_eq!(turn(entry), acked.turn, "{key} at {}", acked.cursor);
            cut |= entries[0].sequence().get() > 1;
        }
    }
    assert!(cut, "nothing was compacted");
}
