//! What a dump must hold, straight from the CSV. Shares no code with the example, not even a CSV
//! reader: the files here have no quotes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The month that comes with the example.
pub(crate) fn january() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights-2013-01.csv")
}

/// The dump that a file of good rows must end in.
pub(crate) fn expected(csv: &Path) -> String {
    let text = std::fs::read_to_string(csv).unwrap();
    expected_of(text.lines().skip(1))
}

/// The dump that these good rows must end in.
pub(crate) fn expected_of<'a>(rows: impl IntoIterator<Item = &'a str>) -> String {
    let mut planes: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split(',').collect();
        assert_eq!(cells.len(), 10, "a row of the test's own: {row}");
        planes.entry(cells[1]).or_default().push(cells);
    }
    let mut dump = String::from(
        "tail_number,carrier,flights,miles,total_departure_delay_min,last_origin,last_destination,\
         last_departed_at,sequence\n",
    );
    for (tail, rows) in planes {
        let sum = |at: usize| -> i64 {
            rows.iter()
                .map(|cells| match cells[at] {
                    "" => 0,
                    cell => cell.parse::<i64>().unwrap(),
                })
                .sum()
        };
        let last = rows.last().unwrap();
        let (count, miles, delay) = (rows.len(), sum(9), sum(6));
        dump += &[
            tail,
            last[2],
            &count.to_string(),
            &miles.to_string(),
            &delay.to_string(),
            last[4],
            last[5],
            last[0],
            &count.to_string(),
        ]
        .join(",");
        dump += "\n";
    }
    dump
}
