//! A disk without room, under the log and under the store.

use gleaner::ErrorKind;

use crate::chance::Chance;
use crate::fault::{Complaints, is_met, is_met_by_follower, is_over};
use crate::place::{SmallDisk, folder};
use crate::probe::Probe;
use crate::world::World;

const FULL: &str = "full";

#[test]
fn a_full_disk_under_the_log_is_waited_out() {
    let folder = folder();
    let mut chance = Chance::new();
    let disk = match SmallDisk::mount(folder.path(), "log", 64) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: no privilege: no small disk can be mounted: {why}");
            return;
        }
    };
    let mut world = World::running(disk.path(), folder.path());
    let mut probe = Probe::open(&world.log);
    probe.works();
    chance.pause(100_000);
    let before = Complaints::of(&world);
    disk.fill();
    world.tally.add("full_disks", 1);
    let kinds = [ErrorKind::Transient, ErrorKind::Unknown];
    is_met(&world, &mut probe, &before, &kinds, FULL, &mut chance);
    // Reading needs no room.
    probe.read().unwrap();
    // One that dies meanwhile, and one that takes its place: it waits too.
    if chance.below(2) == 0 {
        world.kill_publisher();
        world.tally.add("publisher_kills", 1);
        world.start_publisher();
        chance.pause(50_000);
    }
    disk.free();
    is_over(world, probe);
}

#[test]
fn a_full_disk_under_the_store_is_waited_out() {
    let folder = folder();
    let mut chance = Chance::new();
    let disk = match SmallDisk::mount(folder.path(), "store", 64) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: no privilege: no small disk can be mounted: {why}");
            return;
        }
    };
    let mut world = World::running(folder.path(), disk.path());
    chance.pause(100_000);
    let before = Complaints::of(&world);
    disk.fill();
    world.tally.add("full_disks", 1);
    is_met_by_follower(&world, &before, world.store.to_str().unwrap(), FULL);
    // The publisher has nothing to do with it.
    world.is_written();
    if chance.below(2) == 0 {
        world.kill_follower();
        world.tally.add("follower_kills", 1);
        disk.free();
        world.look_at_what_was_left();
        world.start_follower();
    } else {
        disk.free();
    }
    world.goes_on();
    world.close(0);
}
