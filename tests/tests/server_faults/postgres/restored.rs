//! An older copy of the server's data, put back by its operator.
//!
//! What was acknowledged behind the copy is gone from the log, by what the operator did, and neither part of
//! the log's identity shows it (L11). What is held to here:
//! - the counters of the feed lie below the follower's position then, so that it lists all heads again;
//! - a replica above its head is `ahead` and one of a grain that the log has no more is `missing`: kept where
//!   it stands, served, said, and its age is confirmed by nothing;
//! - a publisher goes on under its next number, which lies above everything that it ever gave: at once where
//!   the copy knows its claim, and otherwise by claiming again, loudly (P5);
//! - a replica heals at the next base above it, and all are in step in the end;
//! - what was acknowledged before the copy and after it was put back is in the log.

use gleaner_servers::{Postgres, or_skip};
use gleaner_tests::monotonic;

use crate::chance::Chance;
use crate::world::{GRAINS, World};

/// Silent when the copy is put back; it had published before and behind it.
const QUIET: &str = "quiet";
/// Likewise, behind it alone.
const LATE: &str = "late";
/// Publishes all the while, and claimed its grains behind the copy.
const AGAIN: &str = "again";

#[test]
fn when_an_older_copy_is_put_back_replicas_say_so_and_stay() {
    let Some(server) = or_skip(Postgres::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut world = World::running(server);
    world.start_publisher(QUIET);
    world.start_publisher(AGAIN);
    world.goes_on();
    world.finish_publisher(QUIET);
    let identity = world.identity();

    let copy = tempfile::tempdir().unwrap();
    world.server.shut_down();
    world.silent_from_now();
    world.server.copy_data(copy.path());
    let copied = monotonic();
    world.restart_server();

    world.finish_publisher(AGAIN);
    for name in [QUIET, LATE, AGAIN] {
        world.start_publisher(name);
    }
    world.goes_on();
    world.finish_publisher(QUIET);
    world.finish_publisher(LATE);
    world.goes_on();
    let quiet = world.stand(QUIET);
    let late = world.stand(LATE);
    chance.pause(200_000);

    if chance.below(2) == 0 {
        world.kill_server();
    } else {
        world.server.shut_down();
        world.silent_from_now();
    }
    let gone_at = monotonic();
    world.server.restore_data(copy.path());
    world.gives_up_since(copied);
    world.restart_server();
    world.tally.add("restores", 1);

    world.is_written();
    assert_eq!(
        world.identity(),
        identity,
        "a copy put back shows in neither"
    );
    let complaints = world.publisher(AGAIN).complaints();
    assert!(
        complaints.contains("the log is not as it was left"),
        "{complaints}"
    );
    world.stand_marked("ahead", &quiet, gone_at);
    world.stand_marked("missing", &late, gone_at);
    let (in_step, held, _) = world.follower().stands();
    assert_eq!(in_step, 2 * GRAINS, "{held} stand otherwise");

    // Their owners come back, and go on from what the log holds.
    world.start_publisher(QUIET);
    world.start_publisher(LATE);
    world.is_in_step();
    world.goes_on();
    assert!(world.close(Vec::new()) > 0, "nothing was behind the copy");
}
