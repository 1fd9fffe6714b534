//! A server that is stopped and continued: its connections stay, and nobody answers.

use std::time::{Duration, Instant};

use gleaner::ErrorKind;
use gleaner_servers::or_skip;
use gleaner_tests::monotonic;

use crate::chance::Chance;
use crate::kind::Kind;
use crate::round;
use crate::world::World;

/// Who waits for an answer no longer than this, while others wait all through.
const HASTY: Duration = Duration::from_secs(1);

/// For how long: beyond the patience of those who are hasty.
fn length() -> Duration {
    Duration::from_secs(if round::is_long() { 10 } else { 3 })
}

pub(crate) fn stopped_and_continued<K: Kind>() {
    let Some(server) = or_skip(K::start()) else {
        return;
    };
    let mut chance = Chance::new();
    let mut world = World::new(server);
    world.patience = length() * 3;
    world.run();
    // Two who look at what becomes of their calls.
    let mut patient = world.probe("one-who-waits", length() * 3);
    let mut hasty = world.probe("one-in-haste", HASTY);
    world.patience = HASTY;
    world.start_publisher("hasty");
    world.goes_on();
    chance.pause(200_000);

    world.server.pause();
    world.silent_from_now();
    world.tally.add("pauses", 1);
    let began = Instant::now();
    let waiting = std::thread::spawn(move || {
        patient.append().unwrap();
        patient
    });
    let error = hasty.fails();
    println!("hasty: {error} after {:?}", began.elapsed());
    let kinds = [ErrorKind::Transient, ErrorKind::Unknown];
    assert!(kinds.contains(&error.kind()), "{error}");
    std::thread::sleep(length().saturating_sub(began.elapsed()));
    assert!(!waiting.is_finished(), "it was answered by nobody");
    world.no_longer_silent();
    let resumed = monotonic();
    world.server.resume();

    let patient = waiting.join().unwrap();
    println!("answered after {:?}", began.elapsed());
    hasty.works();
    world.goes_on();
    println!("in step after {:?}", monotonic().saturating_sub(resumed));
    world.close(vec![patient, hasty]);
}
