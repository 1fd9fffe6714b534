//! `cargo xtask plant`: bugs planted in the code, one at a time, each of which the simulation must find.
//!
//! They are compiled in under `--cfg gleaner_plant` alone, which nothing but this sets, and lie in a
//! target folder of their own.

use std::path::Path;
use std::process::Command;

use crate::cargo::{cargo, status};
use crate::metadata::workspace_root;

/// Within how many seeds a bug must be found.
const SEEDS: &str = "2000";

/// What the simulation says of one planted bug.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    seeds: u64,
    /// What did not hold; none if no world noticed.
    by: Option<String>,
}

/// Runs every planted bug, or those that are named; whether each was found. Prints a table.
pub(crate) fn run(names: &[&str]) -> Result<bool, String> {
    let root = workspace_root()?;
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut build = cargo(&root);
    build
        .args(["build", "--release", "--locked"])
        .args(["--package", "gleaner-tests", "--bin", "simulate"])
        .args(["--target-dir", "target/plant"])
        .env("RUSTFLAGS", format!("{flags} --cfg gleaner_plant"));
    if !status(&mut build)? {
        return Err("the simulation with planted bugs does not build".to_owned());
    }
    let simulate = root.join("target/plant/release/simulate");
    let all = output(&simulate, &["--plants"])?;
    let mut wanted: Vec<&str> = all.lines().collect();
    if let Some(unknown) = names.iter().find(|name| !wanted.contains(name)) {
        return Err(format!("no such bug: {unknown}"));
    }
    if !names.is_empty() {
        wanted.retain(|name| names.contains(name));
    }
    if wanted.is_empty() {
        return Err("no bug is planted".to_owned());
    }
    println!("| planted bug | worlds until found | invariant (clauses) |");
    println!("|---|---|---|");
    let mut missed = Vec::new();
    for name in &wanted {
        let said = output(&simulate, &["--seeds", SEEDS, "--plant", name])?;
        let found = read(&said).ok_or_else(|| format!("{name}: not understood:\n{said}"))?;
        if let Some(by) = found.by {
            println!("| {name} | {} | {by} |", found.seeds);
        } else {
            println!("| {name} | not in {} | |", found.seeds);
            missed.push(*name);
        }
    }
    println!(
        "planted={} found={}",
        wanted.len(),
        wanted.len() - missed.len()
    );
    Ok(missed.is_empty())
}

/// Standard output, whatever the exit status: a simulation that found something fails.
fn output(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads `seeds=`, `violations=`, and the sentence that follows the counts if there is a violation.
fn read(said: &str) -> Option<Found> {
    let number = |name: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .and_then(|number| number.parse::<u64>().ok())
    };
    let seeds = number("seeds")?;
    if number("violations")? == 0 {
        return Some(Found { seeds, by: None });
    }
    let sentence = said
        .lines()
        .skip_while(|line| !line.starts_with("reads_checked="))
        .nth(1)?;
    // Of `violation seed=4 step=9 at=1s clause=S3 invariant=gap: what happened`, who noticed.
    let (_, noticed) = sentence.split_once(" clause=")?;
    let (clause, rest) = noticed.split_once(" invariant=")?;
    let (invariant, _) = rest.split_once(':')?;
    let by = format!("{invariant} ({clause})");
    Some(Found {
        seeds,
        by: Some(by),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = "seeds=17\nviolations=1\ncrashes=3\nreads_checked=9\n";

    #[test]
    fn a_violation_is_what_follows_the_counts() {
        let said = format!(
            "{COUNTS}violation seed=4 step=9 at=1s clause=S3, L8 invariant=gap: a gap: at 3\nshort\n"
        );
        let by = Some("gap (S3, L8)".to_owned());
        assert_eq!(read(&said), Some(Found { seeds: 17, by }));
    }

    #[test]
    fn none_is_a_miss_and_nonsense_is_an_error() {
        let said = "seeds=2000\nviolations=0\nreads_checked=9\n";
        assert_eq!(
            read(said),
            Some(Found {
                seeds: 2000,
                by: None
            })
        );
        assert_eq!(read("a world panicked"), None);
        assert_eq!(read(COUNTS), None);
    }
}
