//! A primary that dies, and a standby that takes its place.
//!
//! A synchronous standby has confirmed every commit before anybody was told of it. Another one may lack the
//! newest: those are gone from the log then, and followers say so, as after an older copy was put back. The
//! old primary does not come back: keeping it away is the operator's part, as with every failover.

use gleaner_servers::{Postgres, or_skip};
use gleaner_tests::monotonic;

use crate::chance::Chance;
use crate::kind::Kind;
use crate::place::until;
use crate::world::World;

#[test]
fn failed_over_to_a_synchronous_standby_it_has_lost_nothing_and_is_listed_again() {
    let Some(primary) = or_skip(Postgres::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut standby = primary.standby().unwrap();
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("SELECT pg_reload_conf()");
    let synchronous = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    until("the standby is synchronous", || {
        primary.sql(synchronous) == "1"
    });

    let mut world = World::new(primary);
    world.url = of_both(&world.server, &standby);
    world.run();
    chance.pause(300_000);
    let before = world.identity();
    let complaints = world.follower().complaints().len();
    world.kill_server();
    chance.pause(300_000);
    world.no_longer_silent();
    standby.promote();
    world.tally.add("failovers", 1);

    world.goes_on();
    let after = world.identity();
    assert_eq!(after.log, before.log, "it is the same log");
    assert_ne!(after.history, before.history, "on another timeline");
    let complaints = &world.follower().complaints()[complaints..];
    assert!(complaints.contains("listing again"), "{complaints}");
    world.close(Vec::new());
}

/// Silent when the primary dies.
const QUIET: &str = "quiet";

#[test]
fn failed_over_to_a_standby_that_lags_replicas_say_so_and_stay() {
    let Some(primary) = or_skip(Postgres::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut standby = primary.standby().unwrap();
    let mut world = World::new(primary);
    world.url = of_both(&world.server, &standby);
    world.start_publisher(QUIET);
    world.run();

    // What is acknowledged before this moment, the standby has.
    let lags_since = monotonic();
    let end = world.server.sql("SELECT pg_current_wal_lsn()");
    let has_it = format!("SELECT pg_last_wal_receive_lsn() >= '{end}'");
    until("the standby has it", || standby.sql(&has_it) == "t");
    standby.kill();
    world.goes_on();
    world.finish_publisher(QUIET);
    world.goes_on();
    let quiet = world.stand(QUIET);
    chance.pause(300_000);
    let complaints = world.follower().complaints().len();
    world.kill_server();
    let gone_at = monotonic();
    standby.restart();
    world.gives_up_since(lags_since);
    world.no_longer_silent();
    standby.promote();
    world.tally.add("failovers", 1);

    world.is_written();
    world.stand_marked("ahead", &quiet, gone_at);
    let complaints = world.follower().complaints()[complaints..].to_owned();
    assert!(complaints.contains("listing again"), "{complaints}");
    world.start_publisher(QUIET);
    world.is_in_step();
    world.goes_on();
    assert!(world.close(Vec::new()) > 0, "the standby had everything");
}

/// A URL of two servers, of which the one that takes writes is used.
fn of_both(primary: &Postgres, standby: &Postgres) -> String {
    let (first, second) = (primary.port(), standby.port());
    let both = Kind::url(primary).replace(
        &format!("@127.0.0.1:{first}/"),
        &format!("@127.0.0.1:{first},127.0.0.1:{second}/"),
    );
    assert!(both.contains(&second.to_string()));
    format!("{both}?target_session_attrs=read-write")
}
