//! One command per habit: `cargo xtask test` verifies, `check` does the part of it that builds nothing,
//! `faults` crashes things for longer, `fix` repairs, `help` says so.
//!
//! This program owns the checks that are not anybody's unit test (direction of dependencies,
//! licences, a test for every clause) and the sum of all results. It writes to no source file
//! except in `fix`.

mod cargo;
mod checks;
mod faults;
mod fix;
mod libtest;
mod metadata;
mod models;
mod plant;
mod servers;
mod tally;
mod verify;

use std::process::ExitCode;

const HELP: &str = "\
usage: cargo xtask <command>

  test   verify everything, change no source: format, clippy with warnings denied, tests and doc
         tests, direction of dependencies, licences, rust-version, a test for every clause, no
         ignored doc tests, file sizes, 2,000 seeds of the simulation, the models. Ends with `N passed, N failed, N skipped`.
         Servers that tests need and this machine lacks are installed by apt where nobody has to be
         asked. GLEANER_REQUIRE_SERVERS=1 turns tests that skip themselves for want of a server into
         failures.
  check  only those of them that build nothing: seconds
  faults [--rounds N] [--seed S] [--server NAME]
         kills, full disks, files read-only, gone or foreign, set clocks, under real processes: N
         rounds (1), each with the next seed. Ends with what was counted, `lost=` among it. Small
         disks need root, and are skipped aloud without. With `--server postgres`, a private server
         is failed in their stead: killed, stopped, cut off, out of room, put back, failed over.
  models check the lock-free and wake-up code under loom, in every order of events: a minute
  plant [NAME]...
         plant bugs one at a time, and see the simulation find each within 2,000 seeds: minutes
  fix    repair what can be repaired by machine: clippy --fix, then the format
  help   print this
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["test"] => verify::run(),
        ["check"] => verify::run_quick(),
        ["faults", words @ ..] => faults::run(words),
        ["fix"] => fix::run(),
        ["models"] => models::run(),
        ["plant", names @ ..] => plant::run(names),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(true)
        }
        _ => {
            eprint!("{HELP}");
            Err(format!("unknown command: {}", words.join(" ")))
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
