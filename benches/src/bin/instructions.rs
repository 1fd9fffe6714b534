//! Instructions of one turn of each subject, counted by valgrind: figures that do not depend on what
//! else the machine does.
//!
//! `cargo run --release -p gleaner-benches --bin instructions [-- SUBJECT]`
//!
//! Each subject runs twice under callgrind, so often and twice so often; the difference is that many
//! turns, without what it took to get there.

use std::process::{Command, ExitCode};

use gleaner_benches::line;
use gleaner_benches::subjects::{NAMES, subject};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const TURNS: u64 = 200;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.as_slice() {
        [flag, name, turns] if flag == "--run" => run(name, turns),
        [] => count(&NAMES),
        names => count(&names.iter().map(String::as_str).collect::<Vec<_>>()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, turns: &str) -> Outcome<()> {
    let mut subject = subject(name);
    for _ in 0..turns.parse::<u64>()? {
        subject.once();
    }
    Ok(())
}

fn count(names: &[&str]) -> Outcome<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("instructions: SKIPPED, there is no valgrind here");
        return Ok(());
    }
    for name in names {
        let once = under_valgrind(name, TURNS)?;
        let twice = under_valgrind(name, 2 * TURNS)?;
        let each = twice
            .checked_sub(once)
            .ok_or("more turns took fewer instructions")?
            / TURNS;
        line(&format!("instructions.{name}"), each);
    }
    Ok(())
}

fn under_valgrind(name: &str, turns: u64) -> Outcome<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["--run", name, &turns.to_string()])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} failed under valgrind: {said}").into());
    }
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .and_then(|(_, number)| number.trim().parse().ok());
    collected.ok_or_else(|| format!("valgrind counted nothing for {name}: {said}").into())
}
