//! `kill -9` of a publisher, of a follower, of both.

use crate::chance::Chance;
use crate::place::folder;
use crate::world::World;

#[test]
fn killed_at_any_moment_they_lose_nothing_and_go_on() {
    let folder = folder();
    let mut chance = Chance::new();
    let mut world = World::new(folder.path(), folder.path());
    for _ in 0..2 {
        // Each of the three in turn, begun anywhere; some die while they open or claim.
        let first = chance.below(3);
        for who in (0..3).map(|who| (who + first) % 3) {
            world.start_publisher();
            world.start_follower();
            if chance.below(4) > 0 {
                world.goes_on();
            }
            chance.pause(60_000);
            let (publisher, follower) = (who != 1, who != 0);
            if publisher {
                world.kill_publisher();
                world.tally.add("publisher_kills", 1);
            }
            if follower {
                world.kill_follower();
                world.tally.add("follower_kills", 1);
            }
            world.look_at_what_was_left();
            // The one that was spared goes on with a new partner.
            if !(publisher && follower) {
                if publisher {
                    world.start_publisher();
                } else {
                    world.start_follower();
                }
                world.goes_on();
                chance.pause(20_000);
                world.kill_publisher();
                world.kill_follower();
                world.tally.add("publisher_kills", 1);
                world.tally.add("follower_kills", 1);
                world.look_at_what_was_left();
            }
        }
    }
    world.start_publisher();
    world.start_follower();
    world.goes_on();
    world.close(0);
}
