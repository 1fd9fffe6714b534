//! Each side alone.

use std::process::Command;

use crate::aggregate::{expected, january};
use crate::program::Place;

/// The first rows of the month: enough for a few hundred aircraft.
fn morning(place: &Place) -> String {
    let text = std::fs::read_to_string(january()).unwrap();
    let rows: Vec<&str> = text.lines().take(1001).collect();
    let input = place.write("morning.csv", rows.join("\n") + "\n");
    input.to_str().unwrap().to_owned()
}

#[test]
fn a_secondary_goes_on_from_its_store() {
    let place = Place::new();
    let input = morning(&place);
    let (log, store) = (place.sqlite("log.db"), place.sqlite("replicas.db"));
    let published = place.good(&["primary", "--input", &input, "--log", &log]);
    assert_eq!(published.number("states_published"), 1000);
    let follow = [
        "secondary",
        "--log",
        &log,
        "--store",
        &store,
        "--dump",
        "dump.csv",
    ];
    let first = place.good(&follow);
    let expected = expected(&place.path("morning.csv"));
    let aircraft = expected.lines().count() as u64 - 1;
    assert_eq!(place.text("dump.csv"), expected);
    assert_eq!(
        first.number("states_applied"),
        aircraft,
        "leaping to the newest"
    );

    std::fs::remove_file(place.path("dump.csv")).unwrap();
    let again = place.good(&follow);
    assert_eq!(
        again.number("states_applied"),
        0,
        "nothing was applied twice"
    );
    assert_eq!(again.number("in_step"), aircraft);
    assert_eq!(place.text("dump.csv"), expected);

    let fresh: Vec<&str> = follow.iter().copied().chain(["--fresh"]).collect();
    let anew = place.good(&fresh);
    assert_eq!(anew.number("states_applied"), aircraft, "from nothing");
    assert_eq!(place.text("dump.csv"), expected);
}

/// Fills `log.db` with the morning, and `replicas.db` with 123 aircraft by a secondary that is then
/// killed; how many aircraft there are, and what follows them.
fn killed_at_123(place: &Place) -> (u64, [String; 7]) {
    let input = morning(place);
    let (log, store) = (place.sqlite("log.db"), place.sqlite("replicas.db"));
    place.good(&["primary", "--input", &input, "--log", &log]);
    let follow = [
        "secondary",
        "--log",
        &log,
        "--store",
        &store,
        "--dump",
        "dump.csv",
    ]
    .map(str::to_owned);
    let mut doomed = follow.to_vec();
    doomed.extend(["--wait-for-kill-after", "123"].map(str::to_owned));
    let mut secondary = place.start(&doomed);
    secondary.until_said("waiting_to_be_killed_at=123");
    secondary.child.kill().unwrap();
    assert!(!secondary.end().status.success());
    let dump = expected(&place.path("morning.csv"));
    (dump.lines().count() as u64 - 1, follow)
}

#[test]
fn a_kill_leaves_exactly_what_was_counted() {
    let place = Place::new();
    let (aircraft, follow) = killed_at_123(&place);
    let ended = place.good(&follow);
    // The log stands still, so a result is an aircraft: what is missing is all but those.
    assert_eq!(ended.number("states_applied"), aircraft - 123);
    assert_eq!(place.text("dump.csv"), expected(&place.path("morning.csv")));
}

#[test]
fn fresh_leaves_no_trace_of_a_killed_store() {
    let place = Place::new();
    let (aircraft, follow) = killed_at_123(&place);
    let log_ahead = place.path("replicas.db-wal");
    assert!(
        std::fs::metadata(log_ahead).unwrap().len() > 0,
        "the kill left what a new database beside it would take for its own"
    );
    let mut fresh = follow.to_vec();
    fresh.push("--fresh".to_owned());
    let ended = place.good(&fresh);
    assert_eq!(ended.number("states_applied"), aircraft);
    assert_eq!(place.text("dump.csv"), expected(&place.path("morning.csv")));
}

#[test]
fn a_secondary_needs_no_store_of_its_own() {
    let place = Place::new();
    let input = morning(&place);
    let log = place.sqlite("log.db");
    place.good(&["primary", "--input", &input, "--log", &log]);
    place.good(&["secondary", "--log", &log, "--dump", "dump.csv"]);
    assert_eq!(place.text("dump.csv"), expected(&place.path("morning.csv")));
}

#[test]
fn a_secondary_waits_for_a_first_aircraft() {
    let place = Place::new();
    let input = morning(&place);
    let log = place.sqlite("log.db");
    let mut secondary = place.start(&["secondary", "--log", &log]);
    // It made the log, so it is waiting; a log without aircraft must not end it.
    while !place.path("log.db").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(secondary.child.try_wait().unwrap(), None);
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(
        secondary.child.try_wait().unwrap(),
        None,
        "ended without one"
    );
    place.good(&["primary", "--input", &input, "--log", &log]);
    let ended = secondary.end();
    assert!(ended.status.success(), "{ended:#?}");
    assert!(ended.number("replicas") > 0);
}

#[test]
fn a_log_that_holds_aircraft_is_not_written_to() {
    let place = Place::new();
    let input = morning(&place);
    let log = place.sqlite("log.db");
    let arguments = ["primary", "--input", &input, "--log", &log];
    place.good(&arguments);
    place.refused(&arguments, "already holds aircraft");
    let nowhere = [
        "primary",
        "--input",
        "nowhere.csv",
        "--log",
        &log,
        "--fresh",
    ];
    place.refused(&nowhere, "nowhere.csv");
    place.good(&["secondary", "--log", &log, "--dump", "dump.csv"]);
    assert_eq!(place.text("dump.csv"), expected(&place.path("morning.csv")));
    let fresh: Vec<&str> = arguments.iter().copied().chain(["--fresh"]).collect();
    place.good(&fresh);
    place.good(&["secondary", "--log", &log, "--dump", "dump.csv"]);
    assert_eq!(place.text("dump.csv"), expected(&place.path("morning.csv")));
}

#[test]
fn one_side_alone_has_no_use_for_memory() {
    let place = Place::new();
    place.refused(&["primary", "--log", "memory:"], "nobody else");
    place.refused(
        &["secondary", "--log", "memory:"],
        "not seen by another process",
    );
    let fresh = [
        "secondary",
        "--log",
        "sqlite:log.db",
        "--store",
        "memory:",
        "--fresh",
    ];
    place.refused(&fresh, "sqlite:PATH only");
}

#[cfg(unix)]
#[test]
fn a_watching_secondary_goes_on_until_interrupted() {
    let place = Place::new();
    let input = morning(&place);
    let log = place.sqlite("log.db");
    place.good(&["primary", "--input", &input, "--log", &log]);
    let arguments = ["secondary", "--log", &log, "--dump", "dump.csv", "--watch"];
    let mut watching = place.start(&arguments);
    watching.until_said("converged=true");
    std::fs::remove_file(place.path("dump.csv")).unwrap();
    let interrupt = format!("kill -INT {}", watching.child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &interrupt])
            .status()
            .unwrap()
            .success()
    );
    let ended = watching.end();
    assert!(ended.status.success(), "{ended:#?}");
    let reports = ended
        .stdout
        .lines()
        .filter(|line| *line == "converged=true");
    assert_eq!(reports.count(), 2);
    assert_eq!(place.text("dump.csv"), expected(&place.path("morning.csv")));
}
