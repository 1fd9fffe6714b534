//! A server that is stopped and continued: its connections stay, and nobody answers.

use std::time::Duration;

use gleaner_servers::or_skip;
use gleaner_tests::monotonic;

use crate::chance::Chance;
use crate::kind::Kind;
use crate::world::World;

/// Who waits for an answer no longer than this while others wait all through.
const IMPATIENT: Duration = Duration::from_secs(1);

/// For how long: 3 s, which is beyond the shorter patience; 10 s in the rounds of `cargo xtask faults`.
fn length() -> Duration {
    let given = std::env::var("GLEANER_PAUSE_SECONDS");
    Duration::from_secs(given.map_or(3, |given| given.parse().expect("a number of seconds")))
}

pub(crate) fn stopped_and_continued<K: Kind>() {
    let Some(server) = or_skip(K::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut world = World::new(server);
    world.patience = length() * 3;
    world.run();
    world.patience = IMPATIENT;
    world.start_publisher("hasty");
    world.goes_on();
    chance.pause(200_000);

    let before = world.publisher("hasty").complaints().len();
    world.server.pause();
    world.silent_from_now();
    world.tally.add("pauses", 1);
    std::thread::sleep(length());
    world.no_longer_silent();
    let complaints = world.publisher("hasty").complaints()[before..].to_owned();
    let hasty_was_told = complaints.contains("no answer in time");
    let resumed = monotonic();
    world.server.resume();

    world.goes_on();
    println!("in step after {:?}", monotonic().saturating_sub(resumed));
    assert!(hasty_was_told, "{complaints:?}");
    world.close(Vec::new());
}
