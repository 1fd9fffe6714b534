//! Leader and follower as processes, killed and started again.

use std::net::{SocketAddr, TcpListener};

use gleaner::Filter;
use gleaner::grpc::access::{Right, Rights, Secret};
use tempfile::TempDir;

use crate::database::GRAIN_TYPE;
use crate::program::{Said, Side, run};

/// A folder, and an address that a leader comes back to.
struct Place {
    folder: TempDir,
    address: SocketAddr,
}

impl Place {
    fn new() -> Self {
        // Free now, and not given to anybody else so soon.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            address: free.local_addr().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn url(&self) -> String {
        format!("grpc://{}", self.address)
    }

    fn leader(&self) -> Side {
        let leader = self.leader_with(&["--insecure"]);
        assert_eq!(leader.hear("serving "), self.url());
        leader
    }

    fn leader_with(&self, more: &[&str]) -> Side {
        let (data, address) = (self.path("leader"), self.address.to_string());
        let mut arguments = vec!["leader", "--data", &data, "--listen", &address];
        arguments.extend(more);
        Side::start(&arguments)
    }

    fn follower(&self) -> Side {
        self.follower_with(&self.url(), &["--insecure"])
    }

    fn follower_with(&self, url: &str, more: &[&str]) -> Side {
        let data = self.path("follower");
        let mut arguments = vec!["follower", "--data", &data, "--leader", url];
        arguments.extend(more);
        let follower = Side::start(&arguments);
        assert_eq!(follower.hear("following "), url);
        follower
    }

    /// A file with a token, and one with its hash for the databases of a type.
    fn token(&self, name: &str, grain_type: &str) -> (String, String) {
        let secret = Secret::draw().unwrap();
        let scope = [Filter::grain_type(grain_type)];
        let rights = Rights::of([Right::Read]);
        let line = secret.line(name, rights, &scope, None).unwrap();
        let files = (self.path(name), self.path(&format!("{name}.hash")));
        std::fs::write(&files.0, secret.expose()).unwrap();
        std::fs::write(&files.1, line).unwrap();
        files
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
    assert_eq!(said.matches("  both answer ").count(), 7, "{said}");
    assert!(said.ends_with("\ndone\n"), "{said}");
}

#[test]
fn a_killed_follower_goes_on() {
    let place = Place::new();
    let mut leader = place.leader();
    leader.ask("create c 3");
    for round in 1..=4 {
        let mut follower = place.follower();
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
    let mut follower = place.follower();
    follower.ask(&format!("reached {cursor}"));
    same(&mut leader, &mut follower, &LOOKS);
    assert_eq!(follower.ask("count c").number(), 12_000 - 1 + 4 * 25);
    follower.end();
    leader.end();
}

#[test]
fn a_killed_leader_goes_on_from_its_log() {
    let place = Place::new();
    let mut leader = place.leader();
    let mut follower = place.follower();
    leader.ask("create c 3");
    let cursor = leader.ask("bulk c 1000").cursor().to_owned();
    follower.ask(&format!("reached {cursor}"));
    leader.ask("bulk c 2000");
    leader.kill();
    // The follower serves what it has, meanwhile, and says that it grows older.
    follower.complains("cannot be reached");
    assert!(follower.ask("count c").number() >= 1000);
    assert_eq!(follower.ask("search c 0.1 0.2 0.3 5").hits.len(), 5);
    let mut leader = place.leader();
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
    let mut leader = place.leader();
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
    let mut follower = place.follower();
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

#[test]
fn a_follower_may_come_first() {
    let place = Place::new();
    let mut follower = place.follower();
    follower.complains("cannot reach the leader");
    follower.refused("search c 1 2 3 1", "no database yet");
    let mut leader = place.leader();
    leader.ask("create c 3");
    let cursor = leader.ask("bulk c 20000").cursor().to_owned();
    follower.ask(&format!("reached {cursor}"));
    same(&mut leader, &mut follower, &LOOKS);
    follower.end();
    leader.end();
}

/// Only who knows a token of the right scope is told anything.
#[test]
fn a_token_is_asked_for() {
    let place = Place::new();
    let (good, hash) = place.token("good", GRAIN_TYPE);
    let (narrow, other_hash) = place.token("narrow", "aircraft");
    let (unknown, _) = place.token("unknown", GRAIN_TYPE);
    let tokens = place.path("tokens");
    let lines = [&hash, &other_hash].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&tokens, lines.join("\n")).unwrap();
    let mut leader = place.leader_with(&["--insecure", "--token-file", &tokens]);
    leader.hear("serving ");
    leader.ask("create c 3");
    let cursor = leader.ask("bulk c 100").cursor().to_owned();
    for (token, why) in [
        (&unknown, "the token is not known"),
        (&narrow, "outside the token's scope"),
    ] {
        let more = ["--insecure", "--token-file", token];
        let mut follower = place.follower_with(&place.url(), &more);
        follower.complains(why);
        follower.refused("count c", "no database yet");
        assert!(follower.ask("age").last.contains("age=unknown"));
        let secret = std::fs::read_to_string(token).unwrap();
        assert!(!leader.complains("refused").contains(&secret));
        follower.end();
    }
    let more = ["--insecure", "--token-file", &good];
    let mut follower = place.follower_with(&place.url(), &more);
    follower.ask(&format!("reached {cursor}"));
    same(&mut leader, &mut follower, &LOOKS);
    follower.end();
    leader.end();
}

#[test]
fn a_certificate_is_shown_and_checked() {
    let place = Place::new();
    let (token, tokens) = place.token("good", GRAIN_TYPE);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (place.path("leader.pem"), place.path("leader.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut leader = place.leader_with(&[
        "--token-file",
        &tokens,
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
    ]);
    let url = leader.hear("serving ");
    assert_eq!(url, format!("grpcs://{}", place.address));
    let more = ["--token-file", &token, "--ca", &certificate];
    let mut follower = place.follower_with(&url, &more);
    let cursor = leader.ask("create c 3").cursor().to_owned();
    follower.ask(&format!("reached {cursor}"));
    same(&mut leader, &mut follower, &LOOKS);
    follower.refused("drop c", &format!("follows {url}"));
    follower.end();
    leader.end();
}

/// What would be insecure without anybody having said so.
#[test]
fn what_is_insecure_is_said_to_be_or_not_done() {
    for (arguments, why) in [
        (vec!["leader"], "no TLS"),
        (vec!["leader", "--tls-cert", "x"], "--tls-key"),
        (
            vec!["follower", "--leader", "grpc://127.0.0.1:1"],
            "not encrypted",
        ),
        (
            vec!["follower", "--leader", "grpcs://127.0.0.1:1"],
            "authority",
        ),
        (vec!["follower", "--leader", "sqlite:x"], "grpc://HOST:PORT"),
    ] {
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}
