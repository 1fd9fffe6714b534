//! The driver: starts a server, has the sides measure in turn, prints what they came to.

use std::path::PathBuf;
use std::process::Command;

use gleaner_measure::{Work, decimal};
use gleaner_servers::Postgres;

use super::case::Case;
use super::options::{Asked, Side};
use super::{URL, idle, side};
use crate::Outcome;
use crate::runs::{self, Measured, PATIENCE};
use crate::versus::driver::build_orlando;
use crate::versus::metric::resolution;

/// What the server is called in the names of metrics.
const SERVER: &str = "postgres";

/// A metric, and what each side came to in each run.
type Metric = (String, Vec<(Side, Vec<f64>)>);

pub(crate) fn run(asked: &Asked) -> Outcome<()> {
    if cfg!(debug_assertions) {
        return Err("figures of a debug build mean nothing: run with --release".into());
    }
    if asked.runs == 0 {
        return Err("runs are at least one".into());
    }
    let wanted = |case: &Case| asked.only.is_empty() || asked.only.contains(case);
    let takes_part = |side: &Side| !asked.without.contains(side);
    let cases: Vec<Case> = Case::ALL.into_iter().filter(wanted).collect();
    let has = |case: &Case| case.sides().contains(&Side::Orlando);
    let orlando = if takes_part(&Side::Orlando) && cases.iter().any(has) {
        build_orlando(&std::env::current_exe()?)?
    } else {
        PathBuf::new()
    };
    let server = Postgres::start().map_err(|missing| missing.to_string())?;

    for case in cases {
        eprintln!("servers: {SERVER}: {}", case.name());
        let sides: Vec<Side> = case.sides().iter().copied().filter(takes_part).collect();
        let mut metrics = Vec::new();
        for run in 0..asked.runs {
            // In turn, and each first as often as the other.
            let mut order = sides.clone();
            if run % 2 == 1 {
                order.reverse();
            }
            for side in order {
                for (metric, value) in once(&server, case, side, run, &orlando)? {
                    put(&mut metrics, metric, side, value);
                }
            }
        }
        for metric in metrics {
            print(case, metric);
        }
    }
    Ok(())
}

/// Runs one side once, in a database of its own.
fn once(
    server: &Postgres,
    case: Case,
    side: Side,
    run: u32,
    orlando: &PathBuf,
) -> Outcome<Vec<(String, f64)>> {
    let folder = tempfile::tempdir()?;
    let work = Work {
        folder: folder.path().to_owned(),
        ..case.work()
    };
    let database = format!("{}_{}_{run}", case.name(), side.name());
    let url = server.create_database(&database);
    // None is to fall into what is measured because of what was written before.
    server.sql("CHECKPOINT");
    let mut command = match side {
        Side::Gleaner | Side::Raw => side::command(side, &work)?,
        Side::Orlando => {
            let mut command = Command::new(orlando);
            command.args(work.to_args());
            command
        }
    };
    command.env(URL, url);
    let name = format!("{SERVER}: {}: {}", case.name(), side.name());
    let numbers = if case.is_idle() {
        idle::measure(command, &work, case.name(), server, &database)
            .map_err(|error| format!("{name}: {error}"))?
    } else {
        match runs::measure(command, &name)? {
            Measured::Numbers(numbers) => numbers,
            Measured::Late => {
                return Err(format!("{name} was not finished after {PATIENCE:?}").into());
            }
        }
    };
    server.sql(&format!("DROP DATABASE {database} WITH (FORCE)"));
    Ok(numbers)
}

/// Keeps metrics in the order in which they were first measured.
fn put(metrics: &mut Vec<Metric>, metric: String, side: Side, value: f64) {
    let known = metrics.iter().position(|(known, _)| *known == metric);
    let at = known.unwrap_or(metrics.len());
    if known.is_none() {
        metrics.push((metric, Vec::new()));
    }
    let Some((_, sides)) = metrics.get_mut(at) else {
        return;
    };
    match sides.iter_mut().find(|(known, _)| *known == side) {
        Some((_, values)) => values.push(value),
        None => sides.push((side, vec![value])),
    }
}

fn print(case: Case, (metric, sides): Metric) {
    let name = format!("servers.{SERVER}.{metric}");
    let mut medians = Vec::new();
    for (side, mut values) in sides {
        if let Some(median) = runs::print(&format!("{name}.{}", side.name()), &mut values) {
            medians.push((side, median));
        }
    }
    let median = |wanted| medians.iter().find(|(side, _)| *side == wanted);
    let (Some((_, ours)), Some(better)) = (median(Side::Gleaner), case.better(&metric)) else {
        return;
    };
    for (side, suffix) in [(Side::Raw, "ratio"), (Side::Orlando, "orlando_ratio")] {
        if let Some((_, theirs)) = median(side) {
            let ratio = better.ratio(*ours, *theirs, floor(case, &metric));
            println!("{name}.{suffix}={}", decimal(ratio));
        }
    }
}

/// What can be told apart of a metric.
fn floor(case: Case, metric: &str) -> f64 {
    if metric.ends_with("queries_per_second") {
        // One in all of the time.
        return 1.0 / case.work().seconds;
    }
    resolution(metric, 1)
}
