//! `gleaner append` of one entry.

use crate::program::{LOG, Place};

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["append", "--log", LOG, "--type", "t", "--key", "k"];
    arguments.extend(more);
    arguments
}

fn show(place: &Place) -> serde_json::Value {
    let shown = place.good(&["show", "--log", LOG, "t", "k", "--json"], "");
    shown.object()
}

#[test]
fn every_append_claims_the_grain_and_goes_on_in_numbers() {
    let place = Place::new();
    let said = place.good(&arguments(&[]), "one").stdout;
    let writer = said
        .strip_prefix("t \"k\" at 1:1, full, writer 1:")
        .unwrap_or_else(|| panic!("{said}"));
    assert_eq!(writer.trim_end().len(), 16);
    let object = place.append("t", "k", "two").object();
    assert_eq!(object["type"], "t");
    assert_eq!(object["key"], "k");
    assert_eq!(object["cursor"], "2:2");
    assert_eq!(object["kind"], "full");
    let shown = show(&place);
    assert_eq!(shown["cursor"], "2:2");
    assert_eq!(shown["state"], "two");
}

#[test]
fn a_state_is_every_byte_of_the_input() {
    let place = Place::new();
    place.append("t", "k", b"\xff\0\n");
    assert_eq!(show(&place)["state_base64"], "/wAK");
    place.append("t", "k", "");
    assert_eq!(show(&place)["state"], "");
    let large = "x".repeat(3 << 20);
    place.append("t", "k", &large);
    assert_eq!(show(&place)["state"], *large);
}

#[test]
fn a_delta_follows_a_whole_state_that_is_written_again() {
    let place = Place::new();
    place.good(
        &arguments(&["--schema", "7", "--source", "eu-west"]),
        "base",
    );
    let appended = place.good(&arguments(&["--kind", "delta", "--json"]), "more");
    let kinds: Vec<_> = appended
        .objects()
        .iter()
        .map(|object| format!("{} {}", object["cursor"], object["kind"]))
        .collect();
    assert_eq!(kinds, [r#""2:2" "full""#, r#""2:3" "delta""#]);
    let shown = show(&place);
    assert_eq!(shown["state"], "base");
    assert_eq!(shown["state_at"], "2:2");
    assert_eq!(shown["kind"], "delta");
    let entries = shown["entries"].as_array().unwrap();
    let schemas: Vec<_> = entries.iter().map(|entry| &entry["schema"]).collect();
    assert_eq!(schemas, [7, 7, 0], "the state keeps its schema");
    assert_eq!(entries[0]["source"], "eu-west");
    assert_eq!(entries[1]["source"], "gleaner");
    assert_eq!(entries[2]["bytes"], 4);
}

#[test]
fn a_writer_may_go_on_with_deltas() {
    let place = Place::new();
    let first = place.append("t", "k", "base").object();
    let writer = first["writer"].as_str().unwrap();
    for number in 2..5 {
        let more = ["--kind", "delta", "--writer", writer, "--json"];
        let object = place.good(&arguments(&more), "more").object();
        assert_eq!(object["cursor"], format!("1:{number}"));
        assert_eq!(object["writer"], writer);
    }
    // Only that writer can: nobody else knows what they made of the state.
    let why = place.bad(&arguments(&["--kind", "delta"]), "more", 4, "conflict");
    assert!(why.contains("another writer's delta"), "{why}");
    // To ask was to claim.
    let more = ["--kind", "delta", "--writer", writer];
    let why = place.bad(&arguments(&more), "more", 4, "fenced");
    assert!(why.contains("owned by writer"), "{why}");
    assert_eq!(show(&place)["cursor"], "1:4", "nothing was written");
}

#[test]
fn a_tombstone_reads_nothing_and_ends_the_grain() {
    let place = Place::new();
    place.append("t", "k", "alive");
    let mut running = place.start(&arguments(&["--kind", "tombstone", "--json"]));
    // Its input stays open.
    let object = running.object();
    assert_eq!(object["kind"], "tombstone");
    assert_eq!(object["cursor"], "2:2");
    assert!(running.status().success());
    let shown = show(&place);
    assert_eq!(shown["kind"], "tombstone");
    assert_eq!(shown["state"], serde_json::Value::Null);
    assert_eq!(shown["state_at"], serde_json::Value::Null);
    let why = place.bad(&arguments(&["--kind", "delta"]), "more", 4, "conflict");
    assert!(why.contains("no state that a delta could change"), "{why}");
    place.append("t", "k", "again");
    assert_eq!(show(&place)["state"], "again");
}

#[test]
fn names_are_any_text() {
    let place = Place::new();
    for (name, key) in [("a/b", "c"), ("a", "b/c"), ("🛩", "*\n\"'"), ("t", "--k")] {
        let name_option = format!("--type={name}");
        let key_option = format!("--key={key}");
        let said = place.good(
            &["append", "--log", LOG, &name_option, &key_option, "--json"],
            key,
        );
        assert_eq!(said.stdout.lines().count(), 1, "{said:?}");
        assert_eq!(said.object()["type"], name);
        assert_eq!(said.object()["key"], key);
        let shown = place.good(&["show", "--log", LOG, "--json", "--", name, key], "");
        assert_eq!(shown.object()["state"], key);
        let text = place
            .good(&["heads", "--log", LOG, &name_option], "")
            .stdout;
        assert_eq!(text.lines().count(), 1, "no name breaks a line: {text}");
    }
}

#[test]
fn what_cannot_be_appended_is_told() {
    let place = Place::new();
    let too_long = format!("--key={}", "k".repeat(513));
    let why = place.bad(
        &["append", "--log", LOG, "--type", "t", &too_long],
        "",
        2,
        "usage",
    );
    assert!(why.contains("513 bytes"), "{why}");
    let too_large = vec![b'x'; (16 << 20) + 1];
    let why = place.bad(&arguments(&[]), too_large, 2, "invalid");
    assert!(why.contains("16777216"), "{why}");
    for (wrong, why) in [
        (vec!["--kind", "half"], "invalid value 'half'"),
        (vec!["--writer", "1"], "an epoch and a writer"),
        (vec!["--lines"], "cannot be used with"),
        (vec!["--timeout", "0s"], "longer than nothing"),
        (vec!["--timeout", "soon"], "expected number"),
    ] {
        let said = place.bad(&arguments(&wrong), "", 2, "usage");
        assert!(said.contains(why), "{wrong:?}: {said}");
    }
    let said = place.bad(&["append", "--log", LOG, "--type", "t"], "", 2, "usage");
    assert!(said.contains("--key"), "{said}");
}
