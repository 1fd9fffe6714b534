//! Files that nobody may write, root included.

use std::path::Path;

use gleaner::ErrorKind;

use crate::chance::Chance;
use crate::child::Worker;
use crate::fault::{Complaints, is_met, is_over};
use crate::place::{Immutable, SmallDisk, folder, wal};
use crate::probe::Probe;
use crate::world::World;

fn assert_refused(worker: Worker, path: &Path) {
    let errors = worker.failed();
    for said in ["Permanent", "read-only", path.to_str().unwrap()] {
        assert!(errors.contains(said), "{errors} says {said:?}");
    }
}

#[test]
fn a_disk_that_became_read_only_is_refused_until_it_is_not() {
    let folder = folder();
    let disk = match SmallDisk::mount(folder.path(), "both", 64) {
        Ok(disk) => disk,
        Err(why) => {
            println!("skipped: no privilege: no disk can be mounted: {why}");
            return;
        }
    };
    let mut chance = Chance::new();
    let mut world = World::running(disk.path(), disk.path());
    chance.pause(50_000);
    // A disk is only made read-only when nobody writes on it any more.
    world.kill_publisher();
    world.kill_follower();
    world.tally.add("publisher_kills", 1);
    world.tally.add("follower_kills", 1);
    world.look_at_what_was_left();
    disk.make_read_only();
    world.tally.add("read_only_files", 2);
    assert_refused(world.new_publisher(), &world.log);
    assert_refused(world.new_follower(), &world.log);
    // The store alone.
    let elsewhere = folder.path().join("log.db");
    let follower = Worker::follower(&elsewhere, &world.store, 1);
    assert_refused(follower, &world.store);
    disk.make_writable();
    world.start_publisher();
    world.start_follower();
    world.goes_on();
    world.close(0);
}

#[test]
fn a_log_that_became_immutable_is_waited_for_or_refused() {
    let folder = folder();
    let mut chance = Chance::new();
    let mut world = World::running(folder.path(), folder.path());
    let mut probe = Probe::open(&world.log);
    probe.works();
    chance.pause(50_000);
    let before = Complaints::of(&world);
    let immutable = match Immutable::make(&wal(&world.log)) {
        Ok(wal) => [wal, Immutable::make(&world.log).unwrap()],
        Err(why) => {
            println!("skipped: no privilege: no file can be made immutable: {why}");
            return;
        }
    };
    world.tally.add("read_only_files", 1);
    // It may become writable again, and what waits to be written is kept until then.
    let kinds = [ErrorKind::Transient, ErrorKind::Unknown];
    is_met(&world, &mut probe, &before, &kinds, "", &mut chance);
    assert_refused(world.new_publisher(), &world.log);
    drop(immutable);
    is_over(world, probe);
}
