//! `gleaner follow`.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::program::{LOG, Place, Running};

fn follow(place: &Place, more: &[&str]) -> Running {
    let mut arguments = vec!["follow", "--log", LOG, "--json", "--poll-interval", "10ms"];
    arguments.extend(more);
    place.start(&arguments)
}

fn stands_at(key: &str, cursor: &str) -> impl Fn(&Value) -> bool {
    let (key, cursor) = (json!(key), json!(cursor));
    move |object| object["key"] == key && object["cursor"] == cursor
}

#[test]
fn changes_are_told_as_they_come() {
    let place = Place::new();
    place.append("a", "1", "one");
    let mut running = follow(&place, &["--all"]);
    let first = running.until(stands_at("1", "1:1"));
    assert_eq!(first["type"], "a");
    assert_eq!(first["health"], "live");
    assert_eq!(first["present"], true);
    assert_eq!(first.get("state"), None, "only with --once");
    let age = &first["age_ms"];
    assert!(age.is_null() || age.as_f64().unwrap() >= 0.0, "{first}");
    place.append("a", "1", "two");
    running.until(stands_at("1", "2:2"));
    place.append("b", "2", "new");
    running.until(stands_at("2", "1:1"));
    place.good(
        &[
            "append",
            "--log",
            LOG,
            "--type",
            "b",
            "--key",
            "2",
            "--kind",
            "tombstone",
        ],
        "",
    );
    let ended = running.until(stands_at("2", "2:2"));
    assert_eq!(ended["present"], false);
}

#[test]
#[cfg(unix)]
fn it_ends_well_when_told_to() {
    for signal in ["INT", "TERM"] {
        let place = Place::new();
        place.append("a", "1", "one");
        let mut running = follow(&place, &["--all", "--store", "sqlite:replicas.db"]);
        running.until(stands_at("1", "1:1"));
        running.signal(signal);
        let ended = running.end();
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert_eq!(ended.stderr, "");
        // Its store goes on from there: nothing has to be applied again.
        let mut running = follow(&place, &["--all", "--store", "sqlite:replicas.db"]);
        place.append("a", "1", "two");
        let next = running.object();
        assert!(stands_at("1", "2:2")(&next), "{next}");
    }
}

#[test]
fn only_what_was_asked_for_is_followed() {
    let place = Place::new();
    for (name, key) in [
        ("a", "x1"),
        ("a", "y1"),
        ("b", "x1"),
        ("b", "y1"),
        ("c", "z"),
    ] {
        place.append(name, key, "state");
    }
    let told = |more: &[&str]| -> Vec<String> {
        let mut arguments = vec!["follow", "--log", LOG, "--json", "--once"];
        arguments.extend(more);
        let objects = place.good(&arguments, "").objects();
        let name = |object: &Value| {
            let part = |name: &str| object[name].as_str().unwrap().to_owned();
            part("type") + &part("key")
        };
        objects.iter().map(name).collect()
    };
    assert_eq!(told(&["--all"]), ["ax1", "ay1", "bx1", "by1", "cz"]);
    assert_eq!(told(&["--type", "a"]), ["ax1", "ay1"]);
    assert_eq!(told(&["--type", "b", "--key-prefix", "y"]), ["by1"]);
    assert_eq!(
        told(&["--type", "a", "--key-prefix", "x", "--type", "b"]),
        ["ax1", "bx1", "by1"]
    );
    assert_eq!(told(&["--grain", "c", "z"]), ["cz"]);
    assert_eq!(
        told(&[
            "--grain", "c", "z", "--type", "b", "--grain", "a", "y1", "--grain", "b", "x1"
        ]),
        ["ay1", "bx1", "by1", "cz"],
        "each once, in order"
    );
    assert_eq!(told(&["--all", "--type", "b"]).len(), 5);
}

#[test]
fn once_tells_what_the_replicas_hold() {
    let place = Place::new();
    place.append("a", "1", "one");
    place.append("a", "2", b"\xff");
    place.append("a", "3", "gone");
    place.good(
        &[
            "append",
            "--log",
            LOG,
            "--type",
            "a",
            "--key",
            "3",
            "--kind",
            "tombstone",
        ],
        "",
    );
    let objects = place
        .good(&["follow", "--log", LOG, "--all", "--once", "--json"], "")
        .objects();
    assert_eq!(objects[0]["state"], "one");
    assert_eq!(objects[1]["state_base64"], "/w==");
    assert_eq!(objects[2]["cursor"], "2:2");
    assert_eq!(objects[2]["present"], false);
    assert_eq!(objects[2].get("state"), None);
    for object in &objects {
        assert_eq!(object["health"], "live");
        let age = object["age_ms"].as_f64().unwrap();
        assert!((0.0..60_000.0).contains(&age), "proved in step: {age}");
    }
    let text = place
        .good(&["follow", "--log", LOG, "--all", "--once"], "")
        .stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("a \"1\" at 1:1, live, "), "{text}");
    assert!(lines[0].ends_with(" old: \"one\""), "{text}");
    assert!(lines[1].ends_with(" old: base64:/w=="), "{text}");
    assert!(lines[2].ends_with(" old, ended"), "{text}");
}

#[test]
fn once_tells_a_grain_that_is_not_there() {
    let place = Place::new();
    place.append("a", "1", "one");
    let arguments = [
        "follow", "--log", LOG, "--once", "--grain", "a", "1", "--grain", "a", "2",
    ];
    let why = place.bad(&arguments, "", 6, "absent");
    assert_eq!(why, "the log has no grain a \"2\"");
    let mut with_json = arguments.to_vec();
    with_json.push("--json");
    let objects = place.run(&with_json, "").objects();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[1]["cursor"], Value::Null);
    assert_eq!(objects[1]["age_ms"], Value::Null);
    assert_eq!(objects[1]["present"], false);
    let text = place.run(&arguments, "").stdout;
    assert!(text.contains("a \"2\" has no entry, live\n"), "{text}");
}

#[test]
fn a_replica_out_of_step_is_told_once_and_by_the_exit_code() {
    let place = Place::new();
    let writer = place.append("a", "1", "base").object()["writer"].clone();
    let delta = |state: &str| {
        let arguments = [
            "append",
            "--log",
            LOG,
            "--type",
            "a",
            "--key",
            "1",
            "--kind",
            "delta",
            "--writer",
            writer.as_str().unwrap(),
        ];
        place.good(&arguments, state);
    };
    delta("more");
    // A delta, and this program has no fold.
    let arguments = ["follow", "--log", LOG, "--all", "--once"];
    let why = place.bad(&arguments, "", 7, "out_of_step");
    assert_eq!(why, "1 replica does not stand as the log does");
    let mut with_json = arguments.to_vec();
    with_json.push("--json");
    let ended = place.run(&with_json, "");
    let object = ended.object();
    assert_eq!(object["health"], "quarantined");
    assert_eq!(object["cursor"], "1:1");
    assert_eq!(object["state"], "base");
    assert!(
        crate::program::objects(&ended.stderr)[0]["warning"]["why"]
            .as_str()
            .unwrap()
            .contains("no fold"),
        "{ended:?}"
    );
    let mut running = follow(&place, &["--all"]);
    let told = running.until(|object| object["health"] == "quarantined");
    assert_eq!(told["cursor"], "1:1");
    // The next line is of the whole state that heals it.
    place.append("a", "1", "whole");
    let next = running.object();
    assert!(stands_at("1", "2:3")(&next), "{next}");
    assert_eq!(next["health"], "live");
}

#[test]
fn a_health_that_changes_alone_is_told() {
    let place = Place::new();
    let writer = place.append("a", "1", "base").object()["writer"].clone();
    let mut running = follow(&place, &["--all"]);
    running.until(stands_at("1", "1:1"));
    let arguments = [
        "append",
        "--log",
        LOG,
        "--type",
        "a",
        "--key",
        "1",
        "--kind",
        "delta",
        "--writer",
        writer.as_str().unwrap(),
    ];
    place.good(&arguments, "more");
    let told = running.until(|object| object["health"] == "quarantined");
    assert_eq!(told["cursor"], "1:1");
}

#[test]
fn what_cannot_be_followed_is_told() {
    let place = Place::new();
    // Nothing to wait for.
    place.good(&["follow", "--log", "memory:", "--all", "--once"], "");
    std::fs::create_dir(place.path("folder.db")).unwrap();
    let why = place.bad(
        &["follow", "--log", "sqlite:folder.db", "--all", "--once"],
        "",
        1,
        "permanent",
    );
    assert!(why.contains("folder.db"), "{why}");
    let why = place.bad(
        &["follow", "--log", "memory:", "--all", "--timeout", "1s"],
        "",
        2,
        "usage",
    );
    assert!(why.contains("--once"), "{why}");
}

#[test]
fn it_ends_quietly_when_nobody_reads_on() {
    let place = Place::new();
    place.append("a", "1", "one");
    let mut child = place
        .command(&["follow", "--log", LOG, "--all", "--poll-interval", "10ms"])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    // It notices when it says something: at the latest of these.
    let begun = std::time::Instant::now();
    let mut state = 0;
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < crate::program::GUARD, "it goes on");
        state += 1;
        place.append("a", "1", state.to_string());
    }
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    std::io::stderr().write_all(&ended.stderr).unwrap();
    assert_eq!(ended.stderr, b"");
}
