//! A log that is deleted and begun anew by another process, under a follower that holds it open.

use std::time::Instant;

use gleaner::Cursor;
use gleaner_tests::Report;

use crate::child::{LONG, Worker};
use crate::truth::{acked, caught_up, delete, histories, replicas};

/// Health, cursor and turn that a follower answers with.
type Standing = (String, Cursor, u64);

fn standing(follower: &mut Worker, key: &str) -> Option<Standing> {
    follower.ask(&format!("stands {key}"), |report| match report {
        Report::Stands {
            health,
            cursor,
            turn,
            ..
        } => Some(Some((health, cursor, turn))),
        Report::Refused { .. } => Some(None),
        _ => None,
    })
}

fn until(follower: &mut Worker, key: &str, wanted: &Standing) {
    let began = Instant::now();
    loop {
        let found = standing(follower, key);
        if found.as_ref() == Some(wanted) {
            return;
        }
        assert!(began.elapsed() < LONG, "{key}: {found:?}, not {wanted:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn pages(follower: &mut Worker) -> u64 {
    follower.ask("pages", |report| match report {
        Report::Pages { count } => Some(count),
        _ => None,
    })
}

/// Runs an appender over the first grains; where each stands then.
fn published(log: &std::path::Path, grains: u64, turns: u64) -> Vec<(Cursor, u64)> {
    let (said, _) = Worker::appender(log, "plane", grains, "publish", turns).finish();
    let acked = acked(&said);
    let newest = (0..grains).map(|at| {
        let key = format!("plane-{at}");
        let newest = acked.iter().rev().find(|acked| acked.key == key).unwrap();
        (newest.cursor, newest.turn.unwrap())
    });
    newest.collect()
}

#[test]
fn a_log_begun_anew_is_said_once_served_as_foreign_and_in_step_after_the_rebase() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.db");
    let store = folder.path().join("store.db");
    let keys = ["plane-0", "plane-1", "plane-2"];
    let as_health = |health: &str, (cursor, turn): (Cursor, u64)| (health.to_owned(), cursor, turn);

    let old = published(&log, 3, 5);
    let mut follower = Worker::follower(&log, &store, 1000);
    for (key, old) in keys.iter().zip(&old) {
        until(&mut follower, key, &as_health("live", *old));
    }

    // Begun anew by others, while the follower holds the old file open. Grain 0 is above its replica
    // there, grain 1 below, and grain 2 is not there.
    delete(&log);
    published(&log, 2, 2);
    let new_0 = published(&log, 1, 9)[0];
    assert!(new_0.0 > old[0].0);
    for (key, old) in keys.iter().zip(&old) {
        until(&mut follower, key, &as_health("foreign", *old));
    }
    // It goes on to be served so, whatever the feed says.
    let before = pages(&mut follower);
    let newer_0 = published(&log, 1, 1)[0];
    let began = Instant::now();
    while pages(&mut follower) < before + 5 {
        assert!(began.elapsed() < LONG, "no page is read any more");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for (key, old) in keys.iter().zip(&old) {
        let found = standing(&mut follower, key);
        assert_eq!(found, Some(as_health("foreign", *old)), "{key}");
    }

    let rebased = follower.ask("rebase", |report| match report {
        Report::Rebased { done, left } => Some((done, left)),
        _ => None,
    });
    // Grain 2 has nothing to be rebased to: it is the last copy.
    assert_eq!(rebased, (2, 1));
    until(&mut follower, keys[0], &as_health("live", newer_0));
    // And it follows the new log on.
    let newest = published(&log, 2, 1);
    for (key, newest) in keys.iter().zip(&newest) {
        until(&mut follower, key, &as_health("live", *newest));
    }
    let (_, cursor, turn) = standing(&mut follower, keys[2]).expect("it is served on");
    assert_eq!((cursor, turn), old[2]);

    let (said, errors) = follower.finish();
    let (in_step, others, _) = caught_up(&said);
    assert_eq!((in_step, others), (2, 1));
    let foreign = errors.matches("are served as foreign until rebased");
    assert_eq!(foreign.count(), 1, "{errors}");
    let histories = histories(&log);
    let stored = replicas(&store);
    for key in &keys[..2] {
        let (head, _) = histories[*key];
        let replica = &stored[*key];
        assert_eq!((replica.cursor, replica.digest), (head.cursor, head.digest));
    }
}
