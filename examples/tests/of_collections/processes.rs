//! Leader and follower as processes, killed and started again.

use tempfile::TempDir;

use crate::program::{Said, Side, run};

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn folder(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// The leader of this place, and the URL that it serves.
    fn leader(&self) -> (Side, String) {
        let leader = Side::start(&["leader", "--data", &self.folder("leader")]);
        let url = leader.hear("serving ");
        (leader, url)
    }

    fn follower(&self, url: &str) -> Side {
        let data = self.folder("follower");
        let follower = Side::start(&["follower", "--leader", url, "--data", &data]);
        assert_eq!(follower.hear("following "), url);
        follower
    }
}

/// Both say the same, up to what they say of themselves.
fn same(leader: &mut Side, follower: &mut Side, commands: &[&str]) {
    for command in commands {
        let (there, here) = (leader.ask(command), follower.ask(command));
        let what = |said: &Said| said.last.split(" age=").next().unwrap().to_owned();
        assert_eq!(
            (&here.hits, what(&here)),
            (&there.hits, what(&there)),
            "{command}"
        );
    }
}

const LOOKS: [&str; 3] = [
    "count c",
    "search c 0.1 0.2 0.3 50",
    "search c 0.1 0.2 0.3 50 cosine",
];

#[test]
fn the_demo_sees_that_all_is_so() {
    let output = run(&["demo"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(said.contains("is refused: this database follows"), "{said}");
    assert_eq!(said.matches("  both answer ").count(), 6, "{said}");
    assert!(said.ends_with("has it all: done\n"), "{said}");
}

#[test]
fn a_killed_follower_goes_on() {
    let place = Place::new();
    let (mut leader, url) = place.leader();
    leader.ask("create c 3");
    for round in 1..=4 {
        let mut follower = place.follower(&url);
        // Killed somewhere in the midst of what the leader writes.
        leader.ask(&format!("bulk c {}", round * 3000));
        for at in 0..50 {
            leader.ask(&format!("upsert c r{round}.{at} {at} 0 0"));
        }
        follower.give("age");
        follower.answer();
        follower.kill();
        for at in 0..25 {
            leader.ask(&format!("delete c r{round}.{at}"));
        }
    }
    let cursor = leader.ask("delete c p0").cursor().to_owned();
    let mut follower = place.follower(&url);
    follower.ask(&format!("reached {cursor}"));
    same(&mut leader, &mut follower, &LOOKS);
    assert_eq!(follower.ask("count c").number(), 12_000 - 1 + 4 * 25);
    follower.end();
    leader.end();
}

#[test]
fn a_killed_leader_goes_on_from_its_log() {
    let place = Place::new();
    let (mut leader, url) = place.leader();
    let mut follower = place.follower(&url);
    leader.ask("create c 3");
    let acknowledged = leader.ask("bulk c 2000").cursor().to_owned();
    leader.kill();
    // The follower serves what it has, meanwhile.
    follower.ask(&format!("reached {acknowledged}"));
    assert_eq!(follower.ask("count c").number(), 2000);
    let (mut leader, _) = place.leader();
    assert_eq!(leader.ask("count c").number(), 2000);
    let cursor = leader.ask("delete c p7").cursor().to_owned();
    assert!(cursor.starts_with("2:"), "a new epoch: {cursor}");
    follower.ask(&format!("reached {cursor}"));
    same(&mut leader, &mut follower, &LOOKS);
    follower.end();
    leader.end();
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_ends() {
    let place = Place::new();
    let (mut leader, url) = place.leader();
    leader.ask("create c 3");
    leader.refused("create c 3", "already");
    leader.refused("create d 5000", "1 to 4096 dimensions");
    leader.refused("upsert c x 1 2", "3 dimensions, the vector 2");
    leader.refused("upsert c x 1 2 NaN", "not finite");
    leader.refused("drop d", "no collection");
    leader.refused("search c 1 2 3 0", "1 to 1000 points");
    leader.refused("search c 0 0 0 1 cosine", "no direction");
    leader.refused("reached 1:1", "this is the leader");
    let cursor = leader
        .ask("upsert c x 1 2 3 colour=red")
        .cursor()
        .to_owned();
    let mut follower = place.follower(&url);
    follower.ask(&format!("reached {cursor}"));
    for write in [
        "create d 3",
        "upsert c y 1 2 3",
        "delete c x",
        "drop c",
        "bulk c 5",
    ] {
        follower.refused(write, "takes no writes");
    }
    follower.refused("search d 1 2 3 1", "no collection");
    same(&mut leader, &mut follower, &LOOKS);
    assert!(follower.ask("age").last.contains("health=live"));
    assert!(leader.ask("age").last.contains("health=owner"));
    follower.end();
    leader.end();
}
