//! `kill -9` of a process that follows.

use std::collections::{BTreeMap, BTreeSet};

use gleaner::{Cursor, Replica};
use gleaner_tests::{Payload, Report};

use crate::chance::Chance;
use crate::child::Worker;
use crate::truth::{
    Acked, assert_equal, assert_kept, caught_up, copied, histories, is_sound, replicas,
};

type Replicas = BTreeMap<String, Replica>;

/// What a life said agrees with what it left, and it read nothing that the one before had applied.
fn assert_life(said: &[Report], found: &Replicas, left: &Replicas) {
    let mut seen = BTreeSet::new();
    for report in said {
        match report {
            Report::Read { key, cursor } => {
                if let Some(replica) = found.get(key) {
                    assert!(
                        *cursor > replica.cursor(),
                        "{key}: {cursor} was read, the replica stood at {}",
                        replica.cursor()
                    );
                }
                assert!(
                    seen.insert((key, cursor)),
                    "{key}: {cursor} was read twice in one life"
                );
            }
            Report::Applied { key, cursor } => {
                let now = left.get(key).map_or(Cursor::ZERO, gleaner::Replica::cursor);
                assert!(
                    now >= *cursor,
                    "{key}: applied to {cursor}, found at {now} after the kill"
                );
            }
            _ => {}
        }
    }
    for (key, replica) in found {
        assert!(left[key].cursor() >= replica.cursor(), "{key} fell back");
    }
}

/// Grains that wait for the first life, enough for all of them.
const BACKLOG: u64 = 2000;
/// Grains that a primary goes on to write meanwhile.
const LIVE: u64 = 10;

#[test]
fn a_killed_follower_goes_on_and_reads_no_payload_twice() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.db");
    let store = folder.path().join("store.db");
    let mut chance = Chance::new();
    Worker::appender(&log, "old", BACKLOG, "publish", 1).finish();
    let mut primary = Worker::appender(&log, "live", LIVE, "publish", 0);

    let mut found = Replicas::new();
    let mut halfway = 0;
    for _ in 0..8 {
        let mut follower = Worker::follower(&log, &store, 8);
        let enough = chance.below(300);
        let mut said = Vec::new();
        let mut count = 0;
        while count < enough {
            let report = follower.next().expect("it lives until it is killed");
            count += u64::from(matches!(report, Report::Applied { .. }));
            said.push(report);
        }
        chance.pause(5_000);
        said.extend(follower.kill());
        // Looked at in a copy, so that the next life finds what this one left.
        let (_copy, copy) = copied(&store);
        let left = replicas(&copy);
        is_sound(&copy);
        assert_life(&said, &found, &left);
        halfway += u64::from(!left.is_empty() && (left.len() as u64) < BACKLOG);
        found = left;
        primary.said();
    }
    println!("{halfway} kills left some of the backlog applied and some not");
    assert!(halfway > 0);
    // Every replica is a state that was published, whole, at its number.
    let states: Vec<_> = found
        .iter()
        .map(|(key, replica)| {
            let state = replica.state().unwrap();
            let payload = Payload::read(key, state).expect("a torn state");
            Acked {
                key: key.clone(),
                cursor: replica.cursor(),
                turn: Some(payload.turn()),
            }
        })
        .collect();
    assert_kept(&histories(&log), &states);

    primary.finish();
    let (said, _) = Worker::follower(&log, &store, 8).finish();
    let after = replicas(&store);
    assert_life(&said, &found, &after);
    let histories = histories(&log);
    assert_eq!(histories.len() as u64, BACKLOG + LIVE);
    assert_equal(&histories, &after);
    let reads = |report: &&Report| matches!(report, Report::Read { .. });
    let reads = said.iter().filter(reads).count() as u64;
    assert_eq!(caught_up(&said), (histories.len(), 0, reads));
}
