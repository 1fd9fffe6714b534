//! Rows that are broken, and files that cannot be read.

use crate::aggregate::expected_of;
use crate::program::Place;

const HEADER: &str = "departed_at,tail_number,carrier,flight,origin,destination,\
                      departure_delay_min,arrival_delay_min,air_time_min,distance_mi";

fn run_memory(place: &Place, text: &str) -> crate::program::Ended {
    let input = place.write("in.csv", text);
    place.good(&[
        "--input",
        input.to_str().unwrap(),
        "--log",
        "memory:",
        "--dump",
        "dump.csv",
    ])
}

fn broken_lines(stderr: &str) -> Vec<u64> {
    stderr
        .lines()
        .filter_map(|line| line.strip_prefix("broken row: line ")?.split_once(':'))
        .map(|(number, _)| number.parse().unwrap())
        .collect()
}

#[test]
fn broken_rows_are_named_counted_and_take_no_number() {
    let rows = [
        "2013-01-01T05:17,N1,UA,1545,EWR,IAH,2,11,227,1400", // 2
        "2013-01-01T05:18,N1,UA,1545,EWR,IAH,2,11,227",      // 3: a column is missing
        "2013-01-01T05:19,N1,UA,1545,EWR,IAH,late,11,227,1400", // 4: text
        "2013-01-01T05:20,,UA,1545,EWR,IAH,2,11,227,1400",   // 5: no tail number
        "2013-01-01T05:21,N2,AA,1,LGA,MIA,-7,,,1096",        // 6: empty numbers are 0
        "2013-01-01T05:22,N1,UA,1545,EWR,IAH,2,11,far,1400", // 7: text
        "2013-01-01T05:23,N1,UA,1545,EWR,IAH,2,11,227,far",  // 8: text
        "2013-01-01T05:24,N1,DL,12,JFK,ATL,,,,",             // 9
        "2013-01-01T05:25,N1,UA,1545,EWR,IAH,2,soon,227,1400", // 10: text
        "2013-01-01T05:26,N2,AA,1,LGA,MIA,3,,,9223372036854775807", // 11: the sum overflows
        "2013-01-01T05:27,N3,AA,1,LGA,MIA,3,,,9223372036854775808", // 12: no such number
        "2013-01-01T05:28,N2,B6,2,MIA,LGA,3,1,1,1096",       // 13
    ];
    let place = Place::new();
    let ended = run_memory(&place, &format!("{HEADER}\n{}\n", rows.join("\n")));
    assert_eq!(
        broken_lines(&ended.stderr),
        [3, 4, 5, 7, 8, 10, 12, 11].into_iter().collect::<Vec<_>>()
    );
    assert_eq!(ended.number("broken_rows"), 8);
    assert_eq!(ended.number("departures"), 4);
    assert_eq!(ended.number("aircraft"), 2);
    let good = [rows[0], rows[4], rows[7], rows[11]];
    assert_eq!(place.text("dump.csv"), expected_of(good));
}

#[test]
fn lines_are_counted_as_an_editor_counts_them() {
    let good = "2013-01-01T05:17,N1,UA,1545,EWR,IAH,2,11,227,1400";
    // A mark at the start, line ends of two bytes, empty lines, a quoted line end.
    let text = format!(
        "\u{feff}{HEADER}\r\n\r\n{good}\r\nbroken\r\n\r\n\r\nbroken too\r\n\
         2013-01-01T05:17,\"N\n2\",UA,1545,EWR,IAH,2,11,227,1400\r\nbroken as well"
    );
    let place = Place::new();
    let ended = run_memory(&place, &text);
    assert_eq!(broken_lines(&ended.stderr), [4, 7, 10]);
    assert_eq!(ended.number("departures"), 2);
    assert!(place.text("dump.csv").contains("\"N\n2\",UA,1,1400,"));
}

#[test]
fn what_is_no_text_breaks_its_row_alone() {
    let good = "2013-01-01T05:17,N1,UA,1545,EWR,IAH,2,11,227,1400";
    let mut text = format!("{HEADER}\n{good}\n2013-01-01T05:17,").into_bytes();
    text.extend(b"N\xff2,UA,1545,EWR,IAH,2,11,227,1400\n");
    let long = "N".repeat(513);
    text.extend(good.replace("N1", &long).bytes());
    let place = Place::new();
    let input = place.write("in.csv", text);
    let arguments = ["--input", input.to_str().unwrap(), "--dump", "dump.csv"];
    let ended = place.good(&arguments);
    assert_eq!(broken_lines(&ended.stderr), [3, 4]);
    assert_eq!(place.text("dump.csv"), expected_of([good]));
}

#[test]
fn columns_are_found_by_name() {
    let text = "distance_mi,tail_number,carrier,flight,origin,destination,departure_delay_min,\
                arrival_delay_min,air_time_min,departed_at\n\
                1400,N1,UA,1545,EWR,IAH,2,11,227,2013-01-01T05:17\n";
    let place = Place::new();
    run_memory(&place, text);
    let same = "2013-01-01T05:17,N1,UA,1545,EWR,IAH,2,11,227,1400";
    assert_eq!(place.text("dump.csv"), expected_of([same]));
}

#[test]
fn tail_numbers_may_be_any_text_and_are_sorted_as_bytes() {
    let rows = ["Z", "a/b", "*", "é", "N.1", ">", "🛩", "N 1"]
        .map(|tail| format!("2013-01-01T05:17,{tail},UA,1545,EWR,IAH,2,11,227,1400"));
    for log in ["memory:", "sqlite:log.db"] {
        let place = Place::new();
        let input = place.write("in.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
        let input = input.to_str().unwrap();
        place.good(&["--input", input, "--log", log, "--dump", "dump.csv"]);
        let expected = expected_of(rows.iter().map(String::as_str));
        assert_eq!(place.text("dump.csv"), expected, "{log}");
    }
}

#[test]
fn a_file_without_departures_ends_well() {
    for log in ["memory:", "sqlite:log.db"] {
        let place = Place::new();
        let input = place.write("in.csv", format!("{HEADER}\n"));
        let input = input.to_str().unwrap();
        let ended = place.good(&["--input", input, "--log", log, "--dump", "dump.csv"]);
        assert_eq!(ended.number("departures"), 0);
        assert_eq!(place.text("dump.csv"), expected_of([]));
    }
}

#[test]
fn a_file_that_cannot_be_read_ends_with_its_name() {
    let place = Place::new();
    place.refused(&["--input", "nowhere.csv"], "nowhere.csv");
    place.refused(&["--input", "."], "cannot read departures from .");
    place.write("other.csv", "departed_at,carrier\n1,2\n");
    place.refused(&["--input", "other.csv"], "no column tail_number");
    place.write("empty.csv", "");
    place.refused(
        &["--input", "empty.csv"],
        "empty.csv: the header has no column",
    );
    let alone = [
        "primary",
        "--input",
        "nowhere.csv",
        "--log",
        "sqlite:log.db",
    ];
    place.refused(&alone, "nowhere.csv");
}

#[test]
fn a_dump_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    let input = place.write("in.csv", format!("{HEADER}\n"));
    let input = input.to_str().unwrap();
    let arguments = [
        "--input",
        input,
        "--log",
        "memory:",
        "--dump",
        "no/such/dump.csv",
    ];
    place.refused(&arguments, "cannot write the dump no/such/dump.csv");
}
