//! The driver: builds Orlando's side, runs both in turn, prints what they measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gleaner_measure::{Work, decimal};

use super::metric::{beside, comparable, ratio};
use super::options::{Case, Options, Side};
use super::plan::plan;
use super::side;
use crate::Outcome;
use crate::runs::{self, Measured, PATIENCE};

/// What the sides measured: by metric and side, a number a run.
type Sides = BTreeMap<(String, Side), Vec<f64>>;

pub(crate) fn run(options: &Options) -> Outcome<()> {
    if cfg!(debug_assertions) {
        return Err("figures of a debug build mean nothing: run with --release".into());
    }
    let works = plan(options)?;
    let mut sides = vec![Side::Gleaner, Side::Orlando];
    if options.case.is_ours_alone() {
        sides = vec![Side::Gleaner];
    }
    sides.retain(|side| options.only.is_none_or(|only| only == *side));
    let ours = std::env::current_exe()?;
    let theirs = if sides.contains(&Side::Orlando) {
        build_orlando(&ours)?
    } else {
        PathBuf::new()
    };

    for work in works {
        eprintln!("versus: {}", work.to_args().join(" "));
        let mut measured = Sides::new();
        for run in 0..options.runs {
            // In turn, and each first as often as the other.
            let mut order = sides.clone();
            if run % 2 == 1 {
                order.reverse();
            }
            for side in order {
                let folder = tempfile::tempdir()?;
                let work = Work {
                    folder: folder.path().to_owned(),
                    ..work.clone()
                };
                let mut command = match side {
                    Side::Gleaner => {
                        let mut command = Command::new(&ours);
                        command.arg(side::FLAG);
                        command
                    }
                    Side::Orlando => Command::new(&theirs),
                };
                command.args(work.to_args());
                for (metric, value) in measure(command, options.case, side)? {
                    measured.entry((metric, side)).or_default().push(value);
                }
            }
        }
        print(options.case, &work, measured, options.runs);
    }
    Ok(())
}

/// Builds `benches/orlando`, with a protobuf compiler of its own for its dependency's build script.
pub(crate) fn build_orlando(ours: &Path) -> Outcome<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("orlando/Cargo.toml");
    // target/release/versus -> target/orlando
    let target = ours
        .parent()
        .and_then(Path::parent)
        .ok_or("this program has no target folder")?;
    let target = target.join("orlando");
    let release = target.join("release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for package in ["versus-protoc", "gleaner-versus-orlando"] {
        let built = Command::new(&cargo)
            .args(["build", "--release", "--locked", "--package", package])
            .arg("--manifest-path")
            .arg(&manifest)
            .arg("--target-dir")
            .arg(&target)
            .env("PROTOC", release.join("versus-protoc"))
            .stdout(Stdio::null())
            .status()?;
        if !built.success() {
            return Err(format!("{package} could not be built").into());
        }
    }
    Ok(release.join("gleaner-versus-orlando"))
}

/// Runs one side once.
fn measure(command: Command, case: Case, side: Side) -> Outcome<Vec<(String, f64)>> {
    let name = format!("{}: {}", case.name(), side.name());
    let late = match runs::measure(command, &name)? {
        Measured::Numbers(numbers) => return Ok(numbers),
        Measured::Late => format!("{name} was not finished after {PATIENCE:?}"),
    };
    // Only a case that is a time can count one that was cut off.
    if matches!(case, Case::Backlog | Case::Wide) {
        eprintln!("versus: {late}; it is counted as that");
        return Ok(vec![("seconds".to_owned(), PATIENCE.as_secs_f64())]);
    }
    Err(late.into())
}

fn print(case: Case, work: &Work, mut measured: Sides, runs: u32) {
    // `scale` has the grains in its names.
    if case != Case::Scale {
        println!("{}.grains={}", case.name(), work.grains);
    }
    let mut medians = BTreeMap::new();
    for ((metric, side), values) in &mut measured {
        let name = format!("{}.{metric}.{}", case.name(), side.name());
        if values.len() != runs as usize {
            eprintln!("versus: {name} is of {} of {runs} runs", values.len());
        }
        let Some(middle) = runs::print(&name, values) else {
            continue;
        };
        medians.insert((metric.as_str(), *side), middle);
    }
    let both = |metric: &str| {
        let ours = medians.get(&(metric, Side::Gleaner))?;
        Some((*ours, *medians.get(&(metric, Side::Orlando))?))
    };
    let mut metrics: Vec<&str> = medians.keys().map(|(metric, _)| *metric).collect();
    metrics.dedup();
    for metric in metrics {
        let Some((ours, theirs)) = both(metric) else {
            continue;
        };
        let Some(ratio) = ratio(metric, work.grains, ours, theirs) else {
            continue;
        };
        let beside = beside(metric);
        if let Some((ours, theirs)) = both(&beside)
            && !comparable(ours, theirs)
        {
            eprintln!(
                "versus: no {}.{metric}.ratio: {beside} differs by more than 5 %",
                case.name()
            );
            continue;
        }
        println!("{}.{metric}.ratio={}", case.name(), decimal(ratio));
    }
}
