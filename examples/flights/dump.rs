//! Reads what a replica store holds: the dump, and the aircraft with most miles.

use std::path::Path;

use gleaner::{Bincode, Codec, Filter, ReplicaStore};

use crate::aircraft::{Aircraft, GRAIN_TYPE};
use crate::{Failure, Result};

const HEADER: [&str; 9] = [
    "tail_number",
    "carrier",
    "flights",
    "miles",
    "total_departure_delay_min",
    "last_origin",
    "last_destination",
    "last_departed_at",
    "sequence",
];

/// How many replicas are read at a time.
const PAGE: usize = 1000;

/// How many aircraft are reported.
const FARTHEST: usize = 10;

/// An aircraft and what it flew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flown {
    pub(crate) tail_number: String,
    pub(crate) aircraft: Aircraft,
}

/// Reads every replica, in the order of tail numbers, writes each to the dump if one is asked for,
/// and returns the aircraft with most miles.
pub(crate) async fn read(store: &dyn ReplicaStore, dump: Option<&Path>) -> Result<Vec<Flown>> {
    let mut out = dump.map(Dump::create).transpose()?;
    let filter = Filter::grain_type(GRAIN_TYPE);
    let mut farthest = Vec::new();
    let mut after = None;
    loop {
        let page = store.list(&filter, after.as_ref(), PAGE).await?;
        for (grain, replica) in &page.replicas {
            let Some(state) = replica.state() else {
                continue;
            };
            let aircraft: Aircraft = Bincode::<{ 16 << 20 }>
                .decode(state, replica.schema())
                .map_err(|error| format!("{grain}: {error}"))?;
            if let Some(out) = &mut out {
                out.row(
                    grain.grain_key(),
                    &aircraft,
                    replica.cursor().sequence.get(),
                )?;
            }
            keep_farthest(&mut farthest, grain.grain_key(), aircraft);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if let Some(out) = out {
        out.finish()?;
    }
    Ok(farthest)
}

/// Most miles first; of equals, the lower tail number.
fn keep_farthest(farthest: &mut Vec<Flown>, tail_number: &str, aircraft: Aircraft) {
    let at = farthest.partition_point(|flown| flown.aircraft.miles >= aircraft.miles);
    if at < FARTHEST {
        farthest.insert(
            at,
            Flown {
                tail_number: tail_number.to_owned(),
                aircraft,
            },
        );
        farthest.truncate(FARTHEST);
    }
}

/// The CSV file being written.
struct Dump<'a> {
    rows: csv::Writer<std::fs::File>,
    path: &'a Path,
}

impl<'a> Dump<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        let rows = csv::Writer::from_path(path).map_err(|error| failed(path, &error))?;
        let mut dump = Self { rows, path };
        dump.write(&HEADER)?;
        Ok(dump)
    }

    fn row(&mut self, tail_number: &str, aircraft: &Aircraft, sequence: u64) -> Result<()> {
        self.write(&[
            tail_number,
            &aircraft.carrier,
            &aircraft.flights.to_string(),
            &aircraft.miles.to_string(),
            &aircraft.total_departure_delay_min.to_string(),
            &aircraft.last_origin,
            &aircraft.last_destination,
            &aircraft.last_departed_at,
            &sequence.to_string(),
        ])
    }

    fn write(&mut self, cells: &[&str; 9]) -> Result<()> {
        self.rows
            .write_record(cells)
            .map_err(|error| failed(self.path, &error))
    }

    fn finish(mut self) -> Result<()> {
        self.rows.flush().map_err(|error| failed(self.path, &error))
    }
}

fn failed(path: &Path, error: &dyn std::error::Error) -> Failure {
    format!("cannot write the dump {}: {error}", path.display()).into()
}
