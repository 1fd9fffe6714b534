//! `kill -9` of the server, and at times of those who use it.

use gleaner_servers::or_skip;

use crate::chance::Chance;
use crate::kind::Kind;
use crate::world::{LOAD, World};

/// How often.
const KILLS: u64 = 3;

pub(crate) fn killed_and_begun_again<K: Kind>() {
    let Some(server) = or_skip(K::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut world = World::new(server);
    world.start_publisher(LOAD);
    start_followers(&mut world);
    // Some of the first kills fall while the log is made, and while grains are claimed and listed.
    if chance.below(2) == 0 {
        world.goes_on();
    } else {
        chance.pause(400_000);
    }
    // One of the kills takes a publisher along, another one a follower.
    let first = chance.below(KILLS);
    for kill in 0..KILLS {
        chance.pause(300_000);
        world.kill_server();
        let who = (kill + first) % KILLS;
        match who {
            0 => world.kill_publisher(LOAD),
            1 => world.kill_followers(),
            _ => {}
        }
        chance.pause(200_000);
        // Who begins while nobody is there waits.
        let early = chance.below(2) == 0;
        if early {
            start_whoever_is_missing(&mut world, who);
        }
        world.restart_server();
        if !early {
            start_whoever_is_missing(&mut world, who);
        }
        world.goes_on();
    }
    world.close(Vec::new());
}

fn start_whoever_is_missing<K: Kind>(world: &mut World<K>, who: u64) {
    match who {
        0 => world.start_publisher(LOAD),
        1 => start_followers(world),
        _ => {}
    }
}

fn start_followers<K: Kind>(world: &mut World<K>) {
    world.start_follower();
    world.start_second_follower();
}
