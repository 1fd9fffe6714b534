//! What is the same for every command: help, wrong command lines, logs that cannot be opened, outputs
//! that cannot be written.

use std::process::Stdio;

use crate::program::{LOG, Place};

#[test]
fn help_tells_the_exit_codes() {
    let place = Place::new();
    for arguments in [["--help"], ["help"], ["-h"]] {
        let text = place.good(&arguments, "").stdout;
        for command in [
            "serve", "append", "follow", "heads", "show", "truncate", "token",
        ] {
            assert!(text.contains(&format!("\n  {command}")), "{text}");
        }
        for code in 0..=7 {
            assert!(text.contains(&format!("\n  {code}  ")), "{text}");
        }
    }
    let text = place.good(&["--version"], "").stdout;
    assert!(text.starts_with("gleaner 0."), "{text}");
    place.good(&["help", "follow"], "");
    place.good(&["append", "--help", "--json"], "");
}

#[test]
fn wrong_command_lines_are_told() {
    let place = Place::new();
    for (arguments, why) in [
        (vec!["reap"], "reap"),
        (vec!["heads"], "--log"),
        (vec!["heads", "--log", LOG, "--type"], "--type"),
        (vec!["follow", "--log", LOG], "--all"),
        (
            vec!["follow", "--log", LOG, "--key-prefix", "x", "--type", "a"],
            "must follow the --type",
        ),
        (vec!["follow", "--log", LOG, "--grain", "a"], "--grain"),
        (vec!["show", "--log", LOG, "a"], "KEY"),
    ] {
        let said = place.bad(&arguments, "", 2, "usage");
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn logs_that_cannot_be_opened_are_told() {
    let place = Place::new();
    for (url, code, kind, why) in [
        ("grains.db", 2, "usage", "scheme:rest"),
        ("tape:reel", 2, "usage", "no backend built in"),
        ("memory:x", 2, "usage", "nothing follows"),
        ("sqlite:", 2, "usage", "a path follows"),
        (
            "sqlite:no/such/folder.db",
            1,
            "permanent",
            "no/such/folder.db",
        ),
    ] {
        let said = place.bad(
            &["append", "--log", url, "--type", "t", "--key", "k"],
            "",
            code,
            kind,
        );
        assert!(said.contains(why), "{url}: {said}");
    }
    std::fs::write(
        place.path("text.db"),
        "this is no database, and long enough to be sure".repeat(30),
    )
    .unwrap();
    let said = place.bad(&["heads", "--log", "sqlite:text.db"], "", 1, "permanent");
    assert!(said.contains("text.db"), "{said}");
    let said = place.bad(
        &["follow", "--log", LOG, "--store", "tape:reel", "--all"],
        "",
        2,
        "usage",
    );
    assert!(said.contains("as a store"), "{said}");
}

#[test]
fn a_log_that_does_not_answer_is_not_waited_for_for_ever() {
    let place = Place::new();
    place.append("t", "k", "one");
    let other = rusqlite::Connection::open(place.path("grains.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let arguments = [
        "append",
        "--log",
        LOG,
        "--type",
        "t",
        "--key",
        "k",
        "--timeout",
        "200ms",
    ];
    let said = place.bad(&arguments, "two", 5, "unknown");
    assert_eq!(said, "no answer within 200ms");
    // Readers are not held up.
    place.good(&["heads", "--log", LOG, "--timeout", "20s"], "");
    other.execute_batch("ROLLBACK").unwrap();
    place.good(&arguments[..7], "three");
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_cannot_be_written_is_told() {
    let place = Place::new();
    place.append("t", "k", "state");
    let full = || std::fs::File::create("/dev/full").unwrap();
    for arguments in [
        vec!["heads", "--log", LOG],
        vec!["show", "--log", LOG, "t", "k"],
        vec!["follow", "--log", LOG, "--all", "--once"],
        vec!["follow", "--log", LOG, "--all"],
        vec!["append", "--log", LOG, "--type", "t", "--key", "k"],
    ] {
        let ended = place
            .command(&arguments)
            .stdin(Stdio::null())
            .stdout(full())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {ended:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.starts_with("gleaner: standard output: "), "{said}");
    }
}

#[test]
fn it_ends_quietly_when_nobody_reads() {
    let place = Place::new();
    // More than a pipe and the buffers hold.
    let mut lines = String::new();
    for key in 0..3_000 {
        lines += r#"{"type":"t","key":""#;
        lines += &key.to_string();
        lines += "\",\"state\":\"x\"}\n";
    }
    place.good(&["append", "--log", LOG, "--lines"], lines);
    for arguments in [
        vec!["heads", "--log", LOG],
        vec!["follow", "--log", LOG, "--all", "--once"],
    ] {
        let mut child = place
            .command(&arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stderr, b"", "{arguments:?}");
    }
}
