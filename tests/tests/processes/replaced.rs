//! A log that is deleted and begun anew by another process, under a follower that holds it open.

use std::time::Instant;

use gleaner::Cursor;
use gleaner_tests::Report;

use crate::child::{LONG, Worker};
use crate::truth::{acked, assert_equal, caught_up, delete, histories, replicas};

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

fn as_health(health: &str, (cursor, turn): (Cursor, u64)) -> Standing {
    (health.to_owned(), cursor, turn)
}

fn rebase(follower: &mut Worker) -> (usize, usize) {
    follower.ask("rebase", |report| match report {
        Report::Rebased { done, left } => Some((done, left)),
        _ => None,
    })
}

const FOREIGN: &str = "are served as foreign until rebased";

/// Waits until some more pages were read.
fn pages_later(follower: &mut Worker) {
    let (began, before) = (Instant::now(), pages(follower));
    while pages(follower) < before + 5 {
        assert!(began.elapsed() < LONG, "no page is read any more");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
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
    let newer_0 = published(&log, 1, 1)[0];
    pages_later(&mut follower);
    for (key, old) in keys.iter().zip(&old) {
        let found = standing(&mut follower, key);
        assert_eq!(found, Some(as_health("foreign", *old)), "{key}");
    }

    // Grain 2 has nothing to be rebased to: it is the last copy.
    assert_eq!(rebase(&mut follower), (2, 1));
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
    assert_eq!(errors.matches(FOREIGN).count(), 1, "{errors}");
    let histories = histories(&log);
    let stored = replicas(&store);
    for key in &keys[..2] {
        let (head, _) = histories[*key];
        let replica = &stored[*key];
        assert_eq!(
            (replica.cursor(), replica.digest()),
            (head.cursor, head.digest)
        );
    }
}

#[test]
fn a_follower_that_starts_on_a_log_begun_anew_serves_foreign_until_the_rebase() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.db");
    let store = folder.path().join("store.db");
    let old = published(&log, 2, 5);
    Worker::follower(&log, &store, 1000).finish();

    delete(&log);
    let new = published(&log, 2, 9);
    let (fresh, _) = Worker::appender(&log, "fresh", 1, "publish", 1).finish();
    let fresh = &acked(&fresh)[0];
    let mut follower = Worker::follower(&log, &store, 1000);
    for (key, old) in ["plane-0", "plane-1"].iter().zip(&old) {
        until(&mut follower, key, &as_health("foreign", *old));
    }
    // Nothing of another log enters the store, not even a grain that it does not have.
    pages_later(&mut follower);
    assert_eq!(standing(&mut follower, "fresh-0"), None);

    assert_eq!(rebase(&mut follower), (2, 0));
    for (key, new) in ["plane-0", "plane-1"].iter().zip(&new) {
        until(&mut follower, key, &as_health("live", *new));
    }
    let fresh = (fresh.cursor, fresh.turn.unwrap());
    until(&mut follower, "fresh-0", &as_health("live", fresh));
    let (said, errors) = follower.finish();
    assert_eq!(caught_up(&said).0, 3);
    assert_eq!(errors.matches(FOREIGN).count(), 1, "{errors}");
    assert_equal(&histories(&log), &replicas(&store));

    // The store is the new log's for good.
    let (said, errors) = Worker::follower(&log, &store, 1000).finish();
    assert_eq!(caught_up(&said), (3, 0, 0));
    assert_eq!(errors.matches(FOREIGN).count(), 0, "{errors}");
}
