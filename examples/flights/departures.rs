//! [`Departures`]: the rows of a CSV file, the broken ones named by line.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use csv::ByteRecord;
use gleaner::GrainId;

use crate::Result;
use crate::aircraft::GRAIN_TYPE;

/// One departure, as far as an aircraft's state asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the file's columns")]
pub(crate) struct Departure {
    /// The line it begins at.
    pub(crate) line: u64,
    /// The grain: its key is the tail number.
    pub(crate) aircraft: GrainId,
    pub(crate) departed_at: String,
    pub(crate) carrier: String,
    pub(crate) origin: String,
    pub(crate) destination: String,
    pub(crate) departure_delay_min: i64,
    pub(crate) distance_mi: i64,
}

/// A row that is no departure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The header is line 1.
    pub(crate) line: u64,
    pub(crate) why: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Where each column stands in this file.
#[derive(Debug)]
struct Columns {
    count: usize,
    departed_at: usize,
    tail_number: usize,
    carrier: usize,
    origin: usize,
    destination: usize,
    departure_delay_min: usize,
    arrival_delay_min: usize,
    air_time_min: usize,
    distance_mi: usize,
}

/// Reads departures in the order of the file. Empty lines are no rows.
#[derive(Debug)]
pub(crate) struct Departures {
    rows: csv::Reader<io::Cursor<Vec<u8>>>,
    columns: Columns,
    record: ByteRecord,
    grain_type: Arc<str>,
    /// Up to which byte lines were counted, and how many began there or before.
    counted: (usize, u64),
}

impl Departures {
    /// Reads a file, whole: a month is two megabytes, and a file that cannot be read must be known
    /// before the first state is published.
    ///
    /// # Errors
    /// If it cannot be read, or lacks a column.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = fs::read(path)
            .map_err(|error| format!("cannot read departures from {}: {error}", path.display()))?;
        Self::parse(bytes).map_err(|why| format!("{}: {why}", path.display()).into())
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let mut rows = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(io::Cursor::new(bytes));
        let header = rows.byte_headers().map_err(|error| error.to_string())?;
        let find = |name: &str| {
            header
                .iter()
                .position(|column| column == name.as_bytes())
                .ok_or_else(|| format!("the header has no column {name}"))
        };
        let columns = Columns {
            count: header.len(),
            departed_at: find("departed_at")?,
            tail_number: find("tail_number")?,
            carrier: find("carrier")?,
            origin: find("origin")?,
            destination: find("destination")?,
            departure_delay_min: find("departure_delay_min")?,
            arrival_delay_min: find("arrival_delay_min")?,
            air_time_min: find("air_time_min")?,
            distance_mi: find("distance_mi")?,
        };
        Ok(Self {
            rows,
            columns,
            record: ByteRecord::new(),
            grain_type: Arc::from(GRAIN_TYPE),
            counted: (0, 1),
        })
    }

    /// The line that the current record begins at. The reader's own count stands before the line
    /// ends and empty lines that precede a record.
    fn line(&mut self) -> u64 {
        let offset = self
            .record
            .position()
            .and_then(|position| usize::try_from(position.byte()).ok())
            .unwrap_or_default();
        let text = self.rows.get_ref().get_ref();
        let (from, line) = self.counted;
        let start = text
            .iter()
            .enumerate()
            .skip(offset)
            .find(|(_, byte)| !matches!(byte, b'\r' | b'\n'))
            .map_or(text.len(), |(at, _)| at);
        let passed = text
            .iter()
            .take(start)
            .skip(from)
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        self.counted = (start, line + passed);
        line + passed
    }

    fn departure(&self, line: u64) -> Result<Departure, String> {
        let Self {
            columns, record, ..
        } = self;
        if record.len() != columns.count {
            return Err(format!(
                "{} columns where the header has {}",
                record.len(),
                columns.count
            ));
        }
        // Not asked for by any state, and broken all the same if it is no number.
        number(record, columns.arrival_delay_min, "arrival_delay_min")?;
        number(record, columns.air_time_min, "air_time_min")?;
        let tail_number = text(record, columns.tail_number, "tail_number")?;
        if tail_number.trim().is_empty() {
            return Err("the tail number is empty".to_owned());
        }
        Ok(Departure {
            line,
            aircraft: GrainId::new(Arc::clone(&self.grain_type), tail_number)
                .map_err(|error| error.to_string())?,
            departed_at: text(record, columns.departed_at, "departed_at")?.to_owned(),
            carrier: text(record, columns.carrier, "carrier")?.to_owned(),
            origin: text(record, columns.origin, "origin")?.to_owned(),
            destination: text(record, columns.destination, "destination")?.to_owned(),
            departure_delay_min: number(
                record,
                columns.departure_delay_min,
                "departure_delay_min",
            )?,
            distance_mi: number(record, columns.distance_mi, "distance_mi")?,
        })
    }
}

impl Iterator for Departures {
    type Item = Result<Departure, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = std::mem::take(&mut self.record);
        let read = self.rows.read_byte_record(&mut record);
        self.record = record;
        match read {
            Ok(false) => None,
            Ok(true) => {
                let line = self.line();
                Some(self.departure(line).map_err(|why| Broken { line, why }))
            }
            Err(error) => {
                let line = self.line();
                Some(Err(Broken {
                    line,
                    why: error.to_string(),
                }))
            }
        }
    }
}

fn text<'a>(record: &'a ByteRecord, at: usize, name: &str) -> Result<&'a str, String> {
    let cell = record.get(at).ok_or_else(|| format!("no {name}"))?;
    std::str::from_utf8(cell).map_err(|_| format!("{name} is no UTF-8"))
}

/// A whole number; an empty cell counts as zero.
fn number(record: &ByteRecord, at: usize, name: &str) -> Result<i64, String> {
    let cell = text(record, at, name)?.trim();
    if cell.is_empty() {
        return Ok(0);
    }
    cell.parse()
        .map_err(|_| format!("{name} is {cell:?}, not a whole number"))
}
