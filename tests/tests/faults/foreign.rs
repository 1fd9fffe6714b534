//! Another file in the log's place, under running processes and for new ones.

use std::fs;
use std::path::Path;

use gleaner::ErrorKind;

use crate::chance::Chance;
use crate::fault::{Complaints, is_met, is_met_by_follower, is_over};
use crate::place::{Away, clear, folder};
use crate::probe::Probe;
use crate::world::World;

/// Puts what `make` writes into the log's place for a while.
fn in_the_place_of_the_log(
    counted: &'static str,
    phrase: &str,
    makes: &[fn(log: &Path, other: &Path)],
) {
    let folder = folder();
    let mut chance = Chance::new();
    let mut world = World::running(folder.path(), folder.path());
    let mut probe = Probe::open(&world.log);
    for make in makes {
        probe.works();
        let other = folder.path().join("other");
        make(&world.log, &other);
        let content = fs::read(&other).unwrap();
        chance.pause(50_000);
        let before = Complaints::of(&world);
        let away = Away::take(&world.log);
        fs::rename(&other, &world.log).unwrap();
        world.tally.add(counted, 1);
        // The first to be told may be told of the moment without any file.
        let _ = probe.fails();
        is_met(
            &world,
            &mut probe,
            &before,
            &[ErrorKind::Permanent],
            phrase,
            &mut chance,
        );
        let path = world.log.to_str().unwrap();
        is_met_by_follower(&world, &before, path, "");
        for errors in [
            world.new_publisher().failed(),
            world.new_follower().failed(),
        ] {
            for said in ["Permanent", path, phrase] {
                assert!(errors.contains(said), "{errors} says {said:?}");
            }
        }
        assert!(
            fs::read(&world.log).unwrap() == content,
            "the other file was changed"
        );
        clear(&world.log);
        away.bring_back();
        world.goes_on();
    }
    is_over(world, probe);
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    in_the_place_of_the_log(
        "foreign_files",
        "database",
        &[|_, other| fs::write(other, "no database. ".repeat(900)).unwrap()],
    );
    in_the_place_of_the_log(
        "foreign_files",
        "another application",
        &[|_, other| {
            let conn = rusqlite::Connection::open(other).unwrap();
            conn.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
                .unwrap();
        }],
    );
}

/// As a newer release would do it, while older ones still run.
#[test]
fn a_log_brought_to_a_newer_schema_is_not_written_by_those_who_do_not_know_it() {
    let folder = folder();
    let mut chance = Chance::new();
    let mut world = World::running(folder.path(), folder.path());
    let mut probe = Probe::open(&world.log);
    probe.works();
    chance.pause(50_000);
    let before = Complaints::of(&world);
    bring_to_version(&world.log, 7);
    world.tally.add("newer_schemas", 1);
    let kinds = [ErrorKind::Permanent];
    is_met(
        &world,
        &mut probe,
        &before,
        &kinds,
        "version 7",
        &mut chance,
    );
    let path = world.log.to_str().unwrap();
    is_met_by_follower(&world, &before, path, "version 7");
    bring_to_version(&world.log, 1);
    is_over(world, probe);
}

fn bring_to_version(path: &Path, version: i32) {
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.busy_timeout(crate::child::LONG).unwrap();
    conn.pragma_update(None, "user_version", version).unwrap();
}

#[test]
fn a_file_of_a_newer_schema_is_refused_and_left_alone() {
    in_the_place_of_the_log(
        "newer_schemas",
        "version 7",
        &[|log, other| {
            rusqlite::Connection::open(log)
                .unwrap()
                .execute("VACUUM INTO ?1", [other.to_str().unwrap()])
                .unwrap();
            rusqlite::Connection::open(other)
                .unwrap()
                .pragma_update(None, "user_version", 7)
                .unwrap();
        }],
    );
}
