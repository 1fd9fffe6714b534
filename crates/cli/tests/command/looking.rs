//! `gleaner heads`, `show`, `truncate`.

use serde_json::{Value, json};

use crate::program::{LOG, Place};

fn filled() -> Place {
    let place = Place::new();
    for key in ["N1", "N14", "N2"] {
        place.append("aircraft", key, format!("state of {key}"));
    }
    place.append("account", "N1", "12");
    place
}

fn names(objects: &[Value]) -> Vec<String> {
    let name = |object: &Value| {
        let part = |name: &str| object[name].as_str().unwrap().to_owned();
        format!("{} {}", part("type"), part("key"))
    };
    objects.iter().map(name).collect()
}

#[test]
fn heads_are_listed_in_order() {
    let place = filled();
    let listed = |more: &[&str]| {
        let mut arguments = vec!["heads", "--log", LOG, "--json"];
        arguments.extend(more);
        names(&place.good(&arguments, "").objects())
    };
    assert_eq!(
        listed(&[]),
        ["account N1", "aircraft N1", "aircraft N14", "aircraft N2"]
    );
    assert_eq!(listed(&["--type", "account"]), ["account N1"]);
    assert_eq!(
        listed(&["--type", "aircraft", "--key-prefix", "N1"]),
        ["aircraft N1", "aircraft N14"]
    );
    assert_eq!(
        listed(&["--key-prefix", "N1"]),
        ["account N1", "aircraft N1", "aircraft N14"]
    );
    assert!(listed(&["--type", "nothing"]).is_empty());
}

#[test]
fn a_head_is_told_to_people_and_to_scripts() {
    let place = filled();
    let arguments = ["heads", "--log", LOG, "--type", "account"];
    let text = place.good(&arguments, "").stdout;
    let mut with_json = arguments.to_vec();
    with_json.push("--json");
    let object = place.good(&with_json, "").object();
    let digest = object["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest.len(), 16);
    assert_eq!(
        object,
        json!({"type": "account", "key": "N1", "cursor": "1:1", "kind": "full", "base": "1:1", "digest": digest})
    );
    assert_eq!(
        text,
        format!("account \"N1\" at 1:1, full, base 1:1, digest {digest}\n")
    );
}

#[test]
fn a_grain_is_shown_with_what_is_left_of_it() {
    let place = filled();
    place.append("aircraft", "N2", "two\nlines");
    let text = place
        .good(&["show", "--log", LOG, "aircraft", "N2"], "")
        .stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("aircraft \"N2\" at 2:2, full, base 2:2, digest "));
    assert_eq!(lines[1], "2 entries left:");
    assert!(
        lines[2].starts_with("  1:1 full, 11 bytes, schema 0, written 2"),
        "{text}"
    );
    assert!(
        lines[3].starts_with("  2:2 full, 9 bytes, schema 0, written 2"),
        "{text}"
    );
    assert_eq!(lines[4..], ["state at 2:2:", "two", "lines"]);
    let object = place
        .good(&["show", "--log", LOG, "aircraft", "N2", "--json"], "")
        .object();
    assert_eq!(object["state"], "two\nlines");
    assert_eq!(object["entries"].as_array().unwrap().len(), 2);
    assert_eq!(object["entries"][1]["cursor"], "2:2");
    assert!(text.contains(object["entries"][1]["writer"].as_str().unwrap()));
}

#[test]
fn a_state_cannot_command_the_terminal() {
    let place = filled();
    place.append("aircraft", "N2", "\u{1b}[2Jgone");
    let text = place
        .good(&["show", "--log", LOG, "aircraft", "N2"], "")
        .stdout;
    assert!(
        text.ends_with("state at 2:2:\n\"\\u{1b}[2Jgone\"\n"),
        "{text}"
    );
    place.append("aircraft", "N2", b"\xff");
    let text = place
        .good(&["show", "--log", LOG, "aircraft", "N2"], "")
        .stdout;
    assert!(text.ends_with("state at 3:3:\nbase64:/w==\n"), "{text}");
}

#[test]
fn history_is_removed_below_a_base() {
    let place = Place::new();
    let first = place.append("t", "k", "one").object();
    let writer = first["writer"].as_str().unwrap();
    for kind in ["full", "full", "delta"] {
        place.good(
            &[
                "append", "--log", LOG, "--type", "t", "--key", "k", "--kind", kind, "--writer",
                writer,
            ],
            "more",
        );
    }
    let text = place
        .good(&["truncate", "--log", LOG, "t", "k", "--before", "1:2"], "")
        .stdout;
    assert_eq!(text, "t \"k\": 1 entry removed, floor 1:2\n");
    let object = place
        .good(&["truncate", "--log", LOG, "t", "k", "--json"], "")
        .object();
    assert_eq!(
        object,
        json!({"type": "t", "key": "k", "removed": 1, "floor": "1:3"})
    );
    let shown = place
        .good(&["show", "--log", LOG, "t", "k", "--json"], "")
        .object();
    assert_eq!(shown["entries"][0]["cursor"], "1:3");
    assert_eq!(shown["entries"][1]["kind"], "delta");
    let why = place.bad(
        &["truncate", "--log", LOG, "t", "k", "--before", "1"],
        "",
        2,
        "usage",
    );
    assert!(why.contains("an epoch and a sequence"), "{why}");
}

#[test]
fn what_is_not_there_is_told_and_not_made() {
    let place = filled();
    for command in [["show", "--log", LOG], ["truncate", "--log", LOG]] {
        let mut arguments = command.to_vec();
        arguments.extend(["aircraft", "N3"]);
        let why = place.bad(&arguments, "", 6, "absent");
        assert_eq!(why, "the log has no grain aircraft \"N3\"");
    }
    let other = "sqlite:mistyped.db";
    for arguments in [
        vec!["heads", "--log", other],
        vec!["show", "--log", other, "a", "b"],
        vec!["truncate", "--log", other, "a", "b"],
    ] {
        let why = place.bad(&arguments, "", 6, "absent");
        assert!(why.contains("mistyped.db"), "{why}");
    }
    assert!(!place.path("mistyped.db").exists());
}
