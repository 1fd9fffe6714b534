//! `gleaner append --lines`.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::program::{LOG, Place};

const LINES: [&str; 5] = ["append", "--log", LOG, "--lines", "--json"];

fn heads(place: &Place) -> Vec<String> {
    let heads = place.good(&["heads", "--log", LOG, "--json"], "").objects();
    heads
        .iter()
        .map(|head| {
            format!(
                "{} {} {} {}",
                head["type"].as_str().unwrap(),
                head["key"].as_str().unwrap(),
                head["cursor"].as_str().unwrap(),
                head["kind"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn every_line_is_an_entry_in_its_order() {
    let place = Place::new();
    let input = r#"{"type":"a","key":"1","state":"one"}
{"type":"a","key":"2","state_base64":"/wA=","schema":5}

{"key":"1","type":"a","kind":"delta","state":"more"}
{"type":"a","key":"1","kind":"delta","state":"and more"}
{"type":"b","key":"1","kind":"tombstone"}
{"type":"a","key":"2","kind":"full","state":"new"}"#;
    let told = place.good(&LINES, input).objects();
    let cursors: Vec<_> = told
        .iter()
        .map(|object| format!("{} {} {}", object["type"], object["key"], object["cursor"]))
        .collect();
    let expected = [
        r#""a" "1" "1:1""#,
        r#""a" "2" "1:1""#,
        r#""a" "1" "1:2""#,
        r#""a" "1" "1:3""#,
        r#""b" "1" "1:1""#,
        r#""a" "2" "1:2""#,
    ];
    assert_eq!(cursors, expected);
    assert_eq!(
        heads(&place),
        ["a 1 1:3 delta", "a 2 1:2 full", "b 1 1:1 tombstone"]
    );
    let shown = place.good(&["show", "--log", LOG, "a", "2", "--json"], "");
    let entries = &shown.object()["entries"];
    assert_eq!(entries[0]["schema"], 5);
    assert_eq!(entries[1]["schema"], 0);
}

#[test]
fn a_line_does_not_wait_for_the_next() {
    let place = Place::new();
    let mut running = place.start(&LINES);
    let mut stdin = running.stdin.take().unwrap();
    for number in 1..4 {
        writeln!(stdin, r#"{{"type":"a","key":"1","state":"{number}"}}"#).unwrap();
        assert_eq!(running.object()["cursor"], format!("1:{number}"));
    }
    drop(stdin);
    assert!(running.end().status.success());
    assert_eq!(heads(&place), ["a 1 1:3 full"]);
}

#[test]
fn a_bad_line_is_named_and_what_precedes_it_is_appended() {
    let place = Place::new();
    let input = r#"{"type":"a","key":"1","state":"one"}
{"type":"a","key":"2","state":"two"}
{"type":"a","key":"3"}
{"type":"a","key":"4","state":"four"}
"#;
    let why = place.bad(&LINES[..4], input, 2, "input");
    assert_eq!(why, "line 3: it has neither a state nor a state_base64");
    // Twice: for people and for scripts.
    assert_eq!(heads(&place), ["a 1 2:2 full", "a 2 2:2 full"]);
}

#[test]
fn a_line_that_the_log_refuses_is_named() {
    let place = Place::new();
    let mut input = String::new();
    for key in 1..=3 {
        writeln!(input, r#"{{"type":"a","key":"{key}","state":"x"}}"#).unwrap();
    }
    input += r#"{"type":"b","key":"1","kind":"delta","state":"of nothing"}"#;
    let why = place.bad(&LINES[..4], &input, 4, "conflict");
    assert!(
        why.starts_with("line 4: b \"1\": there is no state"),
        "{why}"
    );
    assert_eq!(
        heads(&place),
        ["a 1 2:2 full", "a 2 2:2 full", "a 3 2:2 full"]
    );
    let large = "x".repeat((16 << 20) + 1);
    let input = format!(
        "{{\"type\":\"c\",\"key\":\"1\",\"state\":\"x\"}}\n{{\"type\":\"c\",\"key\":\"2\",\"state\":\"{large}\"}}\n"
    );
    let why = place.bad(&LINES[..4], &input, 2, "invalid");
    assert!(why.starts_with("line 2: "), "{why}");
    assert!(why.contains("16777216"), "{why}");
}

#[test]
fn more_lines_than_a_batch_holds() {
    let place = Place::new();
    let mut input = String::new();
    for number in 0..10_000 {
        let key = number % 5_000;
        writeln!(
            input,
            r#"{{"type":"a","key":"{key:04}","state":"{number}"}}"#
        )
        .unwrap();
    }
    let told = place.good(&LINES, &input).objects();
    assert_eq!(told.len(), 10_000);
    let heads = heads(&place);
    assert_eq!(heads.len(), 5_000);
    for (number, head) in heads.iter().enumerate() {
        assert_eq!(head, &format!("a {number:04} 1:2 full"));
    }
}

#[test]
fn all_is_appended_though_nobody_reads() {
    let place = Place::new();
    let mut child = place
        .command(&["append", "--log", LOG, "--lines"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    for key in 0..2_000 {
        writeln!(stdin, r#"{{"type":"a","key":"{key}","state":"x"}}"#).unwrap();
    }
    drop(stdin);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, b"");
    assert_eq!(heads(&place).len(), 2_000);
}
