//! The primary: publishes an aircraft's state after each of its departures.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use gleaner::{Filter, GrainId, GrainPublisher, Publisher, ReplicationLog};

use crate::aircraft::{Aircraft, GRAIN_TYPE};
use crate::counted_log::CountedLog;
use crate::departures::{Broken, Departure, Departures};
use crate::{Result, cli, places, report};

/// How many departures are read before the aircraft that are new among them are claimed, in one
/// call: a claim is a durable write, and one each would cost more than all the states.
const READ_AHEAD: usize = 1024;

/// What was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) departures: u64,
    pub(crate) broken_rows: u64,
    pub(crate) aircraft: u64,
    /// Each was given a number.
    pub(crate) states: u64,
    /// What the log got of them, after coalescing.
    pub(crate) entries: u64,
}

struct Plane {
    publisher: GrainPublisher,
    state: Aircraft,
}

/// `flights primary`.
pub(crate) async fn alone(options: cli::Primary) -> Result<()> {
    if places::is_memory(&options.log) {
        return Err("nobody else can follow a log in memory: run the pair instead".into());
    }
    // Known before anything is deleted.
    drop(Departures::open(&options.input.path)?);
    if options.fresh {
        places::delete(&options.log)?;
    }
    let log = gleaner::open(&options.log).await?;
    let published = run(log, &options.input.path).await?;
    report::published(&published)
}

/// Publishes a file to a log that holds no aircraft. What it returns is durable.
pub(crate) async fn run(log: Arc<dyn ReplicationLog>, input: &Path) -> Result<Published> {
    let mut departures = Departures::open(input)?;
    refuse_aircraft(&*log).await?;
    let log = Arc::new(CountedLog::new(log));
    let publisher = Publisher::builder(Arc::clone(&log) as Arc<dyn ReplicationLog>)
        .source("primary")
        .spawn();
    let mut planes = HashMap::new();
    let mut counts = Published {
        departures: 0,
        broken_rows: 0,
        aircraft: 0,
        states: 0,
        entries: 0,
    };
    loop {
        let (rows, at_end) = read_ahead(&mut departures, &mut counts);
        claim_new(&publisher, &mut planes, &rows).await?;
        for row in &rows {
            publish(&mut planes, row, &mut counts).await?;
        }
        if at_end {
            break;
        }
    }
    publisher.flush().await?;
    publisher.shutdown().await?;
    counts.entries = log.landed();
    Ok(counts)
}

/// A log with aircraft is somebody's history: it is not added to.
pub(crate) async fn refuse_aircraft(log: &dyn ReplicationLog) -> Result<()> {
    let page = log
        .list_heads(&Filter::grain_type(GRAIN_TYPE), None, 1)
        .await?;
    match page.heads.first() {
        None => Ok(()),
        Some((grain, head)) => Err(format!(
            "the log already holds aircraft ({grain} at {}): take another, or --fresh to delete it",
            head.cursor
        )
        .into()),
    }
}

/// Some departures, and whether these were the last. Broken rows are said and passed over.
fn read_ahead(departures: &mut Departures, published: &mut Published) -> (Vec<Departure>, bool) {
    let mut rows = Vec::with_capacity(READ_AHEAD);
    while rows.len() < READ_AHEAD {
        match departures.next() {
            None => return (rows, true),
            Some(Ok(departure)) => rows.push(departure),
            Some(Err(broken)) => note_broken(&broken, published),
        }
    }
    (rows, false)
}

fn note_broken(broken: &Broken, published: &mut Published) {
    eprintln!("broken row: {broken}");
    published.broken_rows += 1;
}

/// Claims the aircraft that were not seen before, in the order of their departures.
async fn claim_new(
    publisher: &Publisher,
    planes: &mut HashMap<GrainId, Option<Plane>>,
    rows: &[Departure],
) -> Result<()> {
    let mut new = Vec::new();
    for row in rows {
        if let Entry::Vacant(place) = planes.entry(row.aircraft.clone()) {
            place.insert(None);
            new.push(row.aircraft.clone());
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let claimed = publisher.grains(new.clone()).await;
    for (aircraft, claimed) in new.into_iter().zip(claimed) {
        let plane = Plane {
            publisher: claimed?,
            state: Aircraft::default(),
        };
        planes.insert(aircraft, Some(plane));
    }
    Ok(())
}

/// Publishes the state after one departure, without waiting for it to be durable.
async fn publish(
    planes: &mut HashMap<GrainId, Option<Plane>>,
    row: &Departure,
    published: &mut Published,
) -> Result<()> {
    let Some(Some(plane)) = planes.get_mut(&row.aircraft) else {
        return Err(format!("{} was not claimed", row.aircraft).into());
    };
    let Some(next) = plane.state.after(row) else {
        let broken = Broken {
            line: row.line,
            why: "a sum over this row would overflow".to_owned(),
        };
        note_broken(&broken, published);
        return Ok(());
    };
    if plane.state.flights == 0 {
        published.aircraft += 1;
    }
    plane.publisher.enqueue(&next).await?;
    plane.state = next;
    published.departures += 1;
    published.states += 1;
    Ok(())
}
