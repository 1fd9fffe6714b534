//! The driver: a leader for each case and run, and what they measured.

use std::process::Command;

use super::case::Case;
use super::options::Options;
use crate::Outcome;
use crate::runs::{self, Measured, PATIENCE};

pub(crate) fn run(options: &Options) -> Outcome<()> {
    if cfg!(debug_assertions) {
        return Err("figures of a debug build mean nothing: run with --release".into());
    }
    if options.runs == 0 {
        return Err("runs are at least one".into());
    }
    let ours = std::env::current_exe()?;
    let wanted = |case: &Case| options.only.is_empty() || options.only.contains(case);
    for case in Case::ALL.into_iter().filter(wanted) {
        let name = case.name();
        eprintln!("wire: {name}");
        // In the order in which the case prints them.
        let mut measured: Vec<(String, Vec<f64>)> = Vec::new();
        for _ in 0..options.runs {
            let folder = tempfile::tempdir()?;
            let mut command = Command::new(&ours);
            command.args(["leader", name]).arg(folder.path());
            let Measured::Numbers(numbers) = runs::measure(command, name)? else {
                return Err(format!("{name} was not finished after {PATIENCE:?}").into());
            };
            for (metric, value) in numbers {
                match measured.iter_mut().find(|(known, _)| *known == metric) {
                    Some((_, values)) => values.push(value),
                    None => measured.push((metric, vec![value])),
                }
            }
        }
        for (metric, mut values) in measured {
            runs::print(&format!("wire.{metric}"), &mut values);
        }
    }
    Ok(())
}
