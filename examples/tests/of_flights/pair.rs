//! Primary and secondary run together.

use crate::aggregate::{expected, january};
use crate::program::Place;

/// Every row, byte for byte; and the report that goes with them.
fn dumps_january(arguments: &[&str]) -> crate::program::Ended {
    dumps_january_in(&Place::new(), arguments)
}

pub(crate) fn dumps_january_in(place: &Place, arguments: &[&str]) -> crate::program::Ended {
    let mut all = vec!["--dump", "dump.csv", "--poll-interval", "10ms"];
    all.extend(arguments);
    let ended = place.good(&all);
    let (dump, expected) = (place.text("dump.csv"), expected(&january()));
    assert_eq!(
        expected.lines().count(),
        3142,
        "the header and all aircraft"
    );
    assert!(dump == expected, "{}", first_difference(&dump, &expected));
    assert_eq!(ended.number("departures"), 26_483);
    assert_eq!(ended.number("broken_rows"), 0);
    assert_eq!(ended.number("aircraft"), 3141);
    assert_eq!(ended.number("states_published"), 26_483);
    assert_eq!(ended.number("in_step"), 3141);
    assert!(ended.says("converged=true"), "{ended:#?}");
    let entries = ended.number("entries_written");
    assert!((3141..=26_483).contains(&entries), "{entries} entries");
    assert!(ended.number("lag_p50_ms") <= ended.number("lag_p99_ms"));
    assert!(
        ended.stderr.contains("3141 of 3141 aircraft in step"),
        "plain lines where there is no terminal: {ended:#?}"
    );
    ended
}

fn first_difference(dump: &str, expected: &str) -> String {
    dump.lines()
        .zip(expected.lines())
        .find(|(is, should)| is != should)
        .map_or_else(
            || format!("{} lines", dump.lines().count()),
            |(is, should)| format!("{is}\nshould be\n{should}"),
        )
}

#[test]
fn two_processes_over_one_file() {
    let ended = dumps_january(&[]);
    let applied = ended.number("states_applied");
    assert!((3141..=26_483).contains(&applied), "{applied} applied");
    let ten = ended
        .stdout
        .lines()
        .filter(|line| line.contains(" miles in "))
        .count();
    assert_eq!(ten, 10);
}

#[test]
fn one_process_in_memory() {
    dumps_january(&["--log", "memory:"]);
}

#[test]
fn a_store_in_memory_of_the_second_process() {
    dumps_january(&["--store", "memory:"]);
}

#[test]
fn a_killed_secondary_goes_on_from_its_store() {
    let ended = dumps_january(&["--kill-secondary-after", "500"]);
    assert_eq!(ended.number("killed_at"), 500);
    // The rest was applied by the second life, which had no need to repeat the first.
    assert!(ended.number("states_applied") >= 3141 - 500);
    assert!(ended.says(&format!(
        "26483 states published, {} entries written, {} states applied",
        ended.number("entries_written"),
        ended.number("states_applied") + 500
    )));
}

#[test]
fn a_kill_falls_at_the_first_and_at_the_last_result_too() {
    let rows = "\
departed_at,tail_number,carrier,flight,origin,destination,departure_delay_min,arrival_delay_min,air_time_min,distance_mi
2013-01-01T05:17,N1,UA,1,EWR,IAH,2,1,2,10
2013-01-01T05:18,N2,UA,1,EWR,IAH,2,1,2,10
";
    for after in [1, 2] {
        let place = Place::new();
        let input = place.write("in.csv", rows);
        let ended = place.good(&[
            "--input",
            input.to_str().unwrap(),
            "--dump",
            "dump.csv",
            "--kill-secondary-after",
            &after.to_string(),
        ]);
        assert_eq!(ended.number("killed_at"), after);
        assert_eq!(place.text("dump.csv"), expected(&input));
    }
}

#[test]
fn a_kill_that_never_comes_is_a_failure() {
    let place = Place::new();
    let input = place.write(
        "in.csv",
        "departed_at,tail_number,carrier,flight,origin,destination,departure_delay_min,\
         arrival_delay_min,air_time_min,distance_mi\n2013-01-01T05:17,N1,UA,1,EWR,IAH,2,1,2,10\n",
    );
    let ended = place.refused(
        &[
            "--input",
            input.to_str().unwrap(),
            "--kill-secondary-after",
            "1000000",
        ],
        "before it had applied 1000000 grain results",
    );
    assert!(!ended.stdout.contains("killed_at="), "{ended:#?}");
}

#[test]
fn a_kill_needs_what_outlives_a_process() {
    let place = Place::new();
    for memory in [["--log", "memory:"], ["--store", "memory:"]] {
        let arguments = [memory[0], memory[1], "--kill-secondary-after", "5"];
        place.refused(&arguments, "not memory:");
    }
}

#[test]
fn fresh_deletes_a_log_and_a_store_that_are_files() {
    let place = Place::new();
    let input = place.write(
        "in.csv",
        "departed_at,tail_number,carrier,flight,origin,destination,departure_delay_min,\
         arrival_delay_min,air_time_min,distance_mi\n2013-01-01T05:17,N1,UA,1,EWR,IAH,2,1,2,10\n",
    );
    let (log, store) = (place.sqlite("log.db"), place.sqlite("replicas.db"));
    let arguments = [
        "--input",
        input.to_str().unwrap(),
        "--log",
        &log,
        "--store",
        &store,
        "--dump",
        "dump.csv",
    ];
    place.good(&arguments);
    place.refused(&arguments, "already holds aircraft");
    let mut fresh = arguments.to_vec();
    fresh.push("--fresh");
    place.good(&fresh);
    assert_eq!(place.text("dump.csv"), expected(&input));
}

#[test]
fn fresh_is_refused_for_what_is_no_file() {
    let place = Place::new();
    for arguments in [
        vec!["--log", "memory:", "--fresh"],
        vec!["--store", "memory:", "--fresh"],
        vec!["--log", "elsewhere://host/1", "--fresh"],
    ] {
        place.refused(&arguments, "--fresh deletes the files of sqlite:PATH only");
    }
}

#[test]
fn an_unknown_log_is_refused() {
    Place::new().refused(&["--log", "elsewhere://host/1"], "elsewhere");
}

#[test]
fn a_store_of_another_log_is_refused() {
    let place = Place::new();
    let input = place.write(
        "in.csv",
        "departed_at,tail_number,carrier,flight,origin,destination,departure_delay_min,\
         arrival_delay_min,air_time_min,distance_mi\n2013-01-01T05:17,N1,UA,1,EWR,IAH,2,1,2,10\n",
    );
    let store = place.sqlite("replicas.db");
    let arguments = ["--input", input.to_str().unwrap(), "--store", &store];
    place.good(&arguments);
    place.refused(&arguments, "replicas of another log");
}
