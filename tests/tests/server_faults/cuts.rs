//! Connections that are cut at any moment, most of them in the middle of an append.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gleaner::ErrorKind;
use gleaner_servers::or_skip;

use crate::chance::Chance;
use crate::kind::{Kind, by_way_of};
use crate::probe::Probe;
use crate::proxy::{Disturbance, Proxy};
use crate::round;
use crate::world::World;

/// How many of the probe's appends are to be in doubt at least.
const DOUBTS: usize = 3;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often, at least.
fn at_least() -> usize {
    if round::is_long() { 60 } else { 12 }
}

pub(crate) fn cut_in_the_middle_of_appends<K: Kind>() {
    let Some(server) = or_skip(K::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut world = World::new(server);
    let port = world.server.port();
    let proxy = Proxy::before(SocketAddr::from(([127, 0, 0, 1], port)));
    world.patience = PATIENCE;
    world.url = by_way_of(&world.url, port, proxy.address.port());
    world.start_second_follower();
    world.run();
    let mut probe = world.probe("probe-0", PATIENCE);

    let (began, mut tried, mut cuts, mut doubts) = (Instant::now(), 0, 0, 0);
    while cuts < at_least() || doubts < DOUBTS {
        tried += 1;
        assert!(tried < 20 * at_least(), "{cuts} cuts and {doubts} doubts");
        let connections = proxy.connections();
        doubts += cut(&proxy, &mut probe, &mut chance);
        // The same bytes, until there is an answer.
        probe.works();
        cuts += usize::from(proxy.connections() > connections);
        // The others come to their turn as well.
        if tried % 6 == 0 {
            world.is_written();
        }
    }
    println!("{cuts} cuts, {doubts} doubts, {:?}", began.elapsed());
    world.tally.add("cuts", cuts);
    world.tally.add("doubts", doubts);
    world.goes_on();
    world.close(vec![probe]);
}

/// Cuts once, at any moment of appends that follow each other; how many of them are in doubt.
fn cut(proxy: &Proxy, probe: &mut Probe, chance: &mut Chance) -> usize {
    let how = match chance.below(12) {
        // Dead without a word, which takes those who wait their patience.
        0 if round::is_long() => Disturbance::Swallow,
        1..=5 => Disturbance::Drop,
        _ => Disturbance::Halve,
    };
    let mut doubts = 0;
    std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            chance.pause(20_000);
            proxy.disturb(how);
            chance.pause(20_000);
            if how == Disturbance::Swallow {
                proxy.bury();
            }
            proxy.disturb(Disturbance::None);
        });
        while !cutting.is_finished() {
            if let Err(error) = probe.append() {
                let kinds = [ErrorKind::Transient, ErrorKind::Unknown];
                assert!(kinds.contains(&error.kind()), "{error}");
                doubts += usize::from(error.kind() == ErrorKind::Unknown);
            }
        }
    });
    doubts
}
