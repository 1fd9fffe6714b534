//! `gleaner token new`.

use serde_json::{Value, json};

use crate::program::Place;

fn line(object: &Value) -> Value {
    serde_json::from_str(object["line"].as_str().unwrap()).unwrap()
}

#[test]
fn a_token_is_a_secret_and_the_line_that_admits_it() {
    let place = Place::new();
    let arguments = ["token", "new", "--name", "eu", "--right", "read", "--json"];
    let one = place.good(&arguments, "").object();
    let other = place.good(&arguments, "").object();
    let secret = one["secret"].as_str().unwrap();
    assert_eq!(secret.len(), "gleaner_".len() + 64);
    assert!(secret.starts_with("gleaner_"));
    assert_ne!(secret, other["secret"]);
    let line = line(&one);
    assert_eq!(line["name"], "eu");
    assert_eq!(line["rights"], json!(["read"]));
    assert_eq!(line.get("scope"), None, "every grain");
    assert_eq!(line.get("expires_unix"), None, "for ever");
    assert_eq!(line["sha256"].as_str().unwrap().len(), 64);
    assert!(!one["line"].as_str().unwrap().contains(secret));
    let text = place.good(&arguments[..6], "").stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("secret, for the holder's file: gleaner_"));
    assert!(lines[1].starts_with("line, for the leader's token file: {\"name\":\"eu\""));
}

#[test]
fn rights_scope_and_time_are_those_asked_for() {
    let place = Place::new();
    let object = place
        .good(
            &[
                "token",
                "new",
                "--json",
                "--name",
                "x",
                "--right",
                "claim,append",
                "claim",
                "--right",
                "append",
                "--type",
                "aircraft",
                "--key-prefix",
                "N1",
                "--key-prefix",
                "N2",
                "--type",
                "account",
                "--expires-in",
                "1h",
            ],
            "",
        )
        .object();
    let line = line(&object);
    assert_eq!(line["rights"], json!(["append", "claim"]));
    assert_eq!(
        line["scope"],
        json!([
            {"type": "aircraft", "key_prefix": "N1"},
            {"type": "aircraft", "key_prefix": "N2"},
            {"type": "account"},
        ])
    );
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let left = line["expires_unix"].as_u64().unwrap() - now;
    assert!((3_500..=3_601).contains(&left), "{left}");
}

#[test]
fn lines_are_added_to_the_file() {
    let place = Place::new();
    let new = |name: &str| {
        let arguments = [
            "token",
            "new",
            "--json",
            "--name",
            name,
            "--right",
            "read",
            "--token-file",
            "tokens",
        ];
        place.good(&arguments, "").object()
    };
    let (one, two) = (new("one"), new("two"));
    let text = |value: &Value| value["line"].as_str().unwrap().to_owned();
    let file = std::fs::read_to_string(place.path("tokens")).unwrap();
    assert_eq!(file, format!("{}\n{}\n", text(&one), text(&two)));
    assert!(!file.contains(one["secret"].as_str().unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = place
            .path("tokens")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // A last line without an end stays one.
    std::fs::write(place.path("tokens"), text(&one)).unwrap();
    let three = new("three");
    let file = std::fs::read_to_string(place.path("tokens")).unwrap();
    assert_eq!(file, format!("{}\n{}\n", text(&one), text(&three)));
}

#[test]
fn a_file_is_left_as_it_is_when_the_line_would_not_do() {
    let place = Place::new();
    let arguments = |name| {
        [
            "token",
            "new",
            "--name",
            name,
            "--right",
            "read",
            "--token-file",
            "tokens",
        ]
    };
    place.good(&arguments("one"), "");
    let before = std::fs::read(place.path("tokens")).unwrap();
    let why = place.bad(&arguments("one"), "", 2, "usage");
    assert_eq!(why, "tokens has a token \"one\" already");
    let why = place.bad(&arguments(""), "", 2, "usage");
    assert!(why.contains("`name` must be"), "{why}");
    assert_eq!(std::fs::read(place.path("tokens")).unwrap(), before);
    std::fs::write(place.path("tokens"), "{\"name\":\"two\"}\n").unwrap();
    let why = place.bad(&arguments("one"), "", 2, "usage");
    assert!(why.contains("wrong in line 1"), "{why}");
    std::fs::create_dir(place.path("folder")).unwrap();
    let mut folder = arguments("one");
    folder[7] = "folder";
    let why = place.bad(&folder, "", 1, "io");
    assert!(why.starts_with("folder: "), "{why}");
    let wrong = ["token", "new", "--name", "x", "--right", "reed"];
    let why = place.bad(&wrong, "", 2, "usage");
    assert!(why.contains("no such right"), "{why}");
    place.bad(&wrong[..4], "", 2, "usage");
}
