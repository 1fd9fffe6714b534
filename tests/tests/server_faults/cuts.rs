//! Connections that are cut at any moment, most of them in the middle of an append.

use std::net::SocketAddr;
use std::time::Instant;

use gleaner::ErrorKind;
use gleaner_servers::or_skip;

use crate::chance::Chance;
use crate::kind::{Kind, by_way_of};
use crate::peer::LONG;
use crate::proxy::{Disturbance, Proxy};
use crate::world::World;

/// How often, at least.
const CUTS: usize = 60;

/// How many of the probe's appends are to be in doubt at least.
const DOUBTS: usize = 3;

pub(crate) fn cut_in_the_middle_of_appends<K: Kind>() {
    let Some(server) = or_skip(K::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut world = World::new(server);
    let port = world.server.port();
    let proxy = Proxy::before(SocketAddr::from(([127, 0, 0, 1], port)));
    let straight = world.url.clone();
    world.url = by_way_of(&straight, port, proxy.address.port());
    world.run();
    let mut probe = world.probe();

    let (began, mut cuts, mut doubts) = (Instant::now(), 0, 0);
    while cuts < CUTS || doubts < DOUBTS {
        assert!(began.elapsed() < LONG, "{cuts} cuts and {doubts} doubts");
        let connections = proxy.connections();
        let cut = [Disturbance::Drop, Disturbance::Halve][usize::from(chance.below(2) == 0)];
        // At any moment of an append of this process: it goes on with one behind the other meanwhile.
        std::thread::scope(|scope| {
            let chance = &mut chance;
            let cutting = scope.spawn(|| {
                chance.pause(20_000);
                proxy.disturb(cut);
                chance.pause(20_000);
                proxy.disturb(Disturbance::None);
            });
            while !cutting.is_finished() {
                if let Err(error) = probe.append() {
                    let kind = error.kind();
                    let is_typed = [ErrorKind::Transient, ErrorKind::Unknown].contains(&kind);
                    assert!(is_typed, "{error}");
                    doubts += usize::from(kind == ErrorKind::Unknown);
                }
            }
        });
        // The same bytes, until there is an answer.
        probe.works();
        if proxy.connections() > connections {
            cuts += 1;
        }
        if cuts % 10 == 0 {
            world.is_written();
        }
    }
    println!("{cuts} cuts, {doubts} doubts, {:?}", began.elapsed());
    world.tally.add("cuts", cuts);
    world.tally.add("doubts", doubts);
    world.is_written();
    world.close(vec![probe]);
}
