//! A primary that dies, and a synchronous standby that takes its place.
//!
//! The standby has confirmed every commit before anybody was told of it. The old primary does not come
//! back: keeping it away is the operator's part, as with every failover.

use gleaner_servers::{Postgres, or_skip};

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
