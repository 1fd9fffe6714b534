//! What is held against every fault of a log under running processes.

use gleaner::ErrorKind;

use crate::chance::Chance;
use crate::place::until;
use crate::probe::Probe;
use crate::world::World;

/// How long a fault lasts after everybody has met it.
const LONGER_MICROS: u64 = 150_000;

/// Waits until everybody has met a fault of the log: the probe with an error of one of these kinds,
/// the others with a line that names the path and holds `phrase`. Then lets it last a little.
pub(crate) fn is_met(
    world: &World,
    probe: &mut Probe,
    before: &Complaints,
    kinds: &[ErrorKind],
    phrase: &str,
    chance: &mut Chance,
) {
    let error = probe.fails();
    let (said, path) = (error.to_string(), world.log.to_str().unwrap());
    assert!(kinds.contains(&error.kind()), "{said}");
    assert!(said.contains(path), "{said} names {path}");
    assert!(said.contains(phrase), "{said} says {phrase:?}");
    println!("met: {said}");
    until("the publisher meets it", || {
        complains(&world.publisher_errors()[before.publisher..], path, phrase)
    });
    chance.pause(LONGER_MICROS);
}

/// As [`is_met`], for the follower: of the file that it cannot use.
pub(crate) fn is_met_by_follower(world: &World, before: &Complaints, path: &str, phrase: &str) {
    until("the follower meets it", || {
        complains(&world.follower_errors()[before.follower..], path, phrase)
    });
}

fn complains(errors: &str, path: &str, phrase: &str) -> bool {
    errors
        .lines()
        .any(|line| line.contains(path) && line.contains(phrase))
}

/// How much both had complained of before a fault.
pub(crate) struct Complaints {
    publisher: usize,
    follower: usize,
}

impl Complaints {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            publisher: world.publisher_errors().len(),
            follower: world.follower_errors().len(),
        }
    }

    /// What both have complained of since.
    pub(crate) fn since(&self, world: &World) -> String {
        let publisher = &world.publisher_errors()[self.publisher..];
        let follower = &world.follower_errors()[self.follower..];
        format!("{publisher}{follower}")
    }
}

/// After a fault: the probe, the publisher and the follower go on, and nothing is lost.
pub(crate) fn is_over(mut world: World, mut probe: Probe) {
    probe.works();
    world.goes_on();
    world.also_acked(std::mem::take(&mut probe.acked));
    drop(probe);
    world.close(1);
}
