//! What happens to the ends of a wire: killed, not there yet, stopped.

use std::path::Path;
use std::time::{Duration, Instant};

use gleaner_tests::{News, monotonic};

use crate::ages;
use crate::chance::Chance;
use crate::peer::{Peer, Reserved};
use crate::truth::{
    acked_news, assert_at_rest, assert_equal, assert_kept, histories, is_sound, replicas,
};

/// Grains under load.
const GRAINS: usize = 8;

/// Holds the leader's file and a follower's store, of which nobody has either open, against each other
/// and against all that was acknowledged.
pub(crate) fn judge(log: &Path, store: &Path, acked: &[News]) {
    let histories = histories(log);
    assert_at_rest(&histories);
    let acked = acked_news(acked);
    println!("{} acknowledged", acked.len());
    assert!(!acked.is_empty());
    assert_kept(&histories, &acked);
    assert_equal(&histories, &replicas(store));
    is_sound(log);
    is_sound(store);
}

pub(crate) fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

#[test]
fn a_leader_that_is_killed_and_comes_back_has_lost_nothing_and_is_followed_on() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let mut chance = Chance::new();
    let reserved = Reserved::port();
    let (mut leader, at) = Peer::leader(&log, Some(reserved.at));
    let mut follower = Peer::follower(at, &sqlite(&store), GRAINS);
    let mut writer = Peer::writer(at, "load", GRAINS);
    writer.writes_after(monotonic(), 200);
    for _ in 0..3 {
        chance.pause(300_000);
        leader.kill();
        chance.pause(500_000);
        leader = Peer::leader(&log, Some(at)).0;
        let began = Instant::now();
        writer.writes_after(monotonic(), 200);
        println!("written to after {:.2} s", began.elapsed().as_secs_f64());
        assert_eq!(follower.caught_up().0, GRAINS);
        println!("in step after {:.2} s", began.elapsed().as_secs_f64());
    }
    let acked = writer.finish();
    assert_eq!(follower.caught_up().0, GRAINS);
    let readings = follower.finish();
    leader.finish();
    let ages = ages::are_true(&acked, &readings);
    println!("{ages:?}");
    assert!(ages.behind > 0, "no reading shows anything: {ages:?}");
    judge(&log, &store, &acked);
}

#[test]
fn a_follower_and_a_writer_that_were_there_first_wait_for_their_leader() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let reserved = Reserved::port();
    let at = reserved.at;
    let mut follower = Peer::follower(at, &sqlite(&store), GRAINS);
    follower.until(|news| (*news == News::Ready).then_some(()));
    let mut writer = Peer::writer(at, "load", GRAINS);
    writer.until(|news| (*news == News::Ready).then_some(()));
    // Some dials are refused.
    std::thread::sleep(Duration::from_secs(1));
    let (leader, _) = Peer::leader(&log, Some(at));
    let began = Instant::now();
    writer.writes_after(monotonic(), 100);
    assert_eq!(follower.caught_up().0, GRAINS);
    println!("in step after {:.2} s", began.elapsed().as_secs_f64());
    let acked = writer.finish();
    assert_eq!(follower.caught_up().0, GRAINS);
    ages::are_true(&acked, &follower.finish());
    leader.finish();
    judge(&log, &store, &acked);
}

/// Grains that are written to at once, for as much load as the leader's disk can take: far more than the
/// windows and socket buffers between the two ends hold.
const LOADED: usize = 64;
/// What a leader may hold for one follower that takes nothing: a page, its windows, and what an
/// allocator keeps.
const GROWTH: u64 = 64 << 20;

#[test]
fn a_follower_that_is_stopped_under_load_costs_little_and_is_in_step_again() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let (leader, at) = Peer::leader(&log, None);
    let mut follower = Peer::follower(at, &sqlite(&store), GRAINS);
    let mut writer = Peer::writer(at, "load", LOADED);
    writer.writes_after(monotonic(), 1_000);
    assert_eq!(follower.caught_up().0, LOADED);

    let before = leader.resident();
    follower.stop();
    let (began, mut most) = (Instant::now(), before);
    while began.elapsed() < Duration::from_secs(10) {
        // The load goes on.
        writer.writes_after(monotonic(), 100);
        most = most.max(leader.resident());
    }
    follower.go_on();
    let began = Instant::now();
    assert_eq!(follower.caught_up().0, LOADED);
    println!("in step after {:.2} s", began.elapsed().as_secs_f64());
    writer.writes_after(monotonic(), 1_000);
    most = most.max(leader.resident());
    println!(
        "the leader had {} KiB, and {} KiB at most",
        before >> 10,
        most >> 10
    );
    assert!(most - before < GROWTH, "{most} bytes");

    let acked = writer.finish();
    assert_eq!(follower.caught_up().0, LOADED);
    let readings = follower.finish();
    leader.finish();
    let ages = ages::are_true(&acked, &readings);
    println!("{ages:?}");
    assert!(ages.behind > 0, "no reading shows anything: {ages:?}");
    judge(&log, &store, &acked);
}
