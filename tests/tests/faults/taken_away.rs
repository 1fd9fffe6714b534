//! Files that are moved away under running processes, and brought back.

use gleaner::ErrorKind;

use crate::chance::Chance;
use crate::fault::{Complaints, is_met, is_met_by_follower, is_over};
use crate::place::{Away, folder};
use crate::probe::Probe;
use crate::world::World;

const GONE: &str = "gone";

/// A file that is gone may come back: whoever looks in the middle of it is told to wait as well.
fn assert_nothing_is_final(world: &World, before: &Complaints) {
    let errors = before.since(world);
    assert!(!errors.contains("permanent"), "{errors}");
}

#[test]
fn a_log_that_is_taken_away_is_waited_for() {
    let folder = folder();
    let mut chance = Chance::new();
    let mut world = World::running(folder.path(), folder.path());
    let mut probe = Probe::open(&world.log);
    for _ in 0..3 {
        probe.works();
        chance.pause(50_000);
        let before = Complaints::of(&world);
        let away = Away::take(&world.log);
        world.tally.add("files_taken_away", 1);
        let kinds = [ErrorKind::Transient, ErrorKind::Unknown];
        is_met(&world, &mut probe, &before, &kinds, "", &mut chance);
        // What comes after the first doubt is none: nothing is there to be written.
        let error = probe.fails();
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        assert!(error.to_string().contains(GONE), "{error}");
        is_met_by_follower(&world, &before, world.log.to_str().unwrap(), "");
        assert_nothing_is_final(&world, &before);
        assert!(!world.log.exists(), "it was made again");
        away.bring_back();
        world.goes_on();
    }
    is_over(world, probe);
}

#[test]
fn a_store_that_is_taken_away_is_waited_for() {
    let folder = folder();
    let mut chance = Chance::new();
    let mut world = World::running(folder.path(), folder.path());
    for _ in 0..3 {
        chance.pause(50_000);
        let before = Complaints::of(&world);
        let away = Away::take(&world.store);
        world.tally.add("files_taken_away", 1);
        is_met_by_follower(&world, &before, world.store.to_str().unwrap(), "");
        assert_nothing_is_final(&world, &before);
        // The publisher has nothing to do with it.
        world.is_written();
        chance.pause(50_000);
        assert!(!world.store.exists(), "it was made again");
        away.bring_back();
        world.goes_on();
    }
    world.close(0);
}
