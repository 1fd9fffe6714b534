//! A wire that breaks in every way.

use std::time::{Duration, Instant};

use gleaner_tests::monotonic;

use crate::ages;
use crate::chance::Chance;
use crate::ends::{judge, sqlite};
use crate::peer::Peer;
use crate::proxy::{Disturbance, Proxy};

/// Grains under load, of each writer.
const GRAINS: usize = 6;
/// For how long it is disturbed.
const DISTURBED: Duration = Duration::from_secs(30);

fn disturbance(chance: &mut Chance) -> (Disturbance, u64) {
    match chance.below(4) {
        0 => (Disturbance::Drop, 800),
        1 => {
            let by = Duration::from_millis(1 + chance.below(150));
            (Disturbance::Delay(by), 1_500)
        }
        2 => (Disturbance::Halve, 500),
        // Some longer than a dead connection is taken for a living one, and some shorter.
        _ => (Disturbance::Swallow, 3_000),
    }
}

#[test]
fn a_wire_that_drops_delays_halves_and_swallows_costs_nothing_but_lag() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let mut chance = Chance::new();
    let (leader, at) = Peer::leader(&log, None);
    let proxy = Proxy::before(at);
    let mut follower = Peer::follower(proxy.address, &sqlite(&store), GRAINS);
    // One beside the leader, who goes on all the while, and one at the far end.
    let mut near = Peer::writer(at, "load", GRAINS);
    let mut far = Peer::writer(proxy.address, "far", GRAINS);
    near.writes_after(monotonic(), 100);
    far.writes_after(monotonic(), 100);
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < DISTURBED {
        let (disturbance, most) = disturbance(&mut chance);
        proxy.disturb(disturbance);
        chance.pause(most * 1_000);
        if disturbance == Disturbance::Swallow && chance.below(2) == 0 {
            proxy.bury();
        }
        proxy.disturb(Disturbance::None);
        chance.pause(500_000);
        near.writes_after(monotonic(), 10);
        count += 1;
    }
    let connections = proxy.connections();
    println!("{count} disturbances, {connections} connections");
    assert!(connections > 4);

    let began = Instant::now();
    far.writes_after(monotonic(), 100);
    println!("written to after {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(follower.caught_up().0, 2 * GRAINS);
    println!("in step after {:.2} s", began.elapsed().as_secs_f64());
    let mut acked = near.finish();
    acked.extend(far.finish());
    assert_eq!(follower.caught_up().0, 2 * GRAINS);
    let readings = follower.finish();
    leader.finish();
    let ages = ages::are_true(&acked, &readings);
    println!("{ages:?}");
    assert!(ages.behind > 0, "no reading shows anything: {ages:?}");
    judge(&log, &store, &acked);
}

#[test]
fn a_connection_that_is_dead_without_a_word_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let (leader, at) = Peer::leader(&log, None);
    let proxy = Proxy::before(at);
    let mut follower = Peer::follower(proxy.address, &sqlite(&store), GRAINS);
    let mut near = Peer::writer(at, "load", GRAINS);
    let mut far = Peer::writer(proxy.address, "far", GRAINS);
    near.writes_after(monotonic(), 50);
    far.writes_after(monotonic(), 50);
    assert_eq!(follower.caught_up().0, 2 * GRAINS);

    let before = proxy.connections();
    proxy.bury();
    let began = Instant::now();
    far.writes_after(monotonic(), 50);
    println!("written to after {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(follower.caught_up().0, 2 * GRAINS);
    println!("in step after {:.2} s", began.elapsed().as_secs_f64());
    // Each has made another, and knows it to be alive.
    assert!(proxy.connections() >= before + 2);
    let mut acked = near.finish();
    acked.extend(far.finish());
    assert_eq!(follower.caught_up().0, 2 * GRAINS);
    ages::are_true(&acked, &follower.finish());
    leader.finish();
    judge(&log, &store, &acked);
}
