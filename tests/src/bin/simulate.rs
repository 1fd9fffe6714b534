//! Runs seeded worlds and says which promise did not hold, if one did not.
//!
//! `simulate --seeds N [--from S] [--keep-going]` runs so many worlds on two threads;
//! `simulate --seed S` runs one and prints all that happened.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use gleaner_tests::sim::{Counts, Ending, Mask, Violation, run, shorten};

/// Threads, each with its own worlds.
const THREADS: u64 = 2;
/// Lines of a shortened trace.
const LINES: usize = 80;

struct Orders {
    seeds: u64,
    from: u64,
    one: Option<u64>,
    keep_going: bool,
}

fn main() -> ExitCode {
    let orders = match orders() {
        Ok(orders) => orders,
        Err(what) => {
            eprintln!("{what}");
            eprintln!("usage: simulate --seeds N [--from S] [--keep-going] | --seed S");
            return ExitCode::from(2);
        }
    };
    match orders.one {
        Some(seed) => replay(seed),
        None => campaign(&orders),
    }
}

fn orders() -> Result<Orders, String> {
    let mut orders = Orders {
        seeds: 100,
        from: 1,
        one: None,
        keep_going: false,
    };
    let mut given = std::env::args().skip(1);
    while let Some(word) = given.next() {
        let mut number = || {
            let value = given
                .next()
                .ok_or_else(|| format!("{word} needs a number"))?;
            value
                .parse::<u64>()
                .map_err(|error| format!("{word} {value}: {error}"))
        };
        match word.as_str() {
            "--seeds" => orders.seeds = number()?,
            "--from" => orders.from = number()?,
            "--seed" => orders.one = Some(number()?),
            "--keep-going" => orders.keep_going = true,
            #[cfg(gleaner_plant)]
            "--plant" => plant(&given.next().unwrap_or_default())?,
            #[cfg(gleaner_plant)]
            "--plants" => {
                for plant in gleaner_tests::sim::Plant::ALL {
                    println!("{}", plant.name());
                }
                std::process::exit(0);
            }
            _ => return Err(format!("unknown: {word}")),
        }
    }
    Ok(orders)
}

/// Puts a planted bug into effect, by its name.
#[cfg(gleaner_plant)]
fn plant(name: &str) -> Result<(), String> {
    let mut all = gleaner_tests::sim::Plant::ALL.into_iter();
    let plant = all
        .find(|plant| plant.name() == name)
        .ok_or_else(|| format!("no such bug: {name}; --plants names them"))?;
    plant.plant();
    Ok(())
}

fn replay(seed: u64) -> ExitCode {
    let Ending {
        counts,
        violation,
        trace,
        ..
    } = run(seed, &Mask::All, true);
    for line in trace {
        println!("{line}");
    }
    print(1, u64::from(violation.is_some()), &counts);
    match violation {
        None => ExitCode::SUCCESS,
        Some(violation) => {
            say(&violation);
            ExitCode::FAILURE
        }
    }
}

fn campaign(orders: &Orders) -> ExitCode {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let results: Vec<(u64, Counts, Vec<Violation>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| work(orders, &next, &stop)))
            .collect();
        workers
            .into_iter()
            .filter_map(|worker| worker.join().ok())
            .collect()
    });
    if results.len() as u64 != THREADS {
        eprintln!("a world panicked");
        return ExitCode::FAILURE;
    }
    let mut counts = Counts::default();
    let mut violations = Vec::new();
    let mut seeds = 0;
    for (done, counted, found) in results {
        seeds += done;
        counts.add(&counted);
        violations.extend(found);
    }
    violations.sort_by_key(|violation| violation.seed);
    print(seeds, violations.len() as u64, &counts);
    if orders.keep_going {
        for violation in &violations {
            println!("{violation}");
        }
    }
    if let Some(first) = violations.first() {
        say(first);
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn work(orders: &Orders, next: &AtomicU64, stop: &AtomicBool) -> (u64, Counts, Vec<Violation>) {
    let (mut done, mut counts, mut violations) = (0, Counts::default(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= orders.seeds {
            break;
        }
        let ending = run(orders.from + at, &Mask::All, false);
        done += 1;
        counts.add(&ending.counts);
        if let Some(violation) = ending.violation {
            violations.push(violation);
            if !orders.keep_going {
                stop.store(true, Ordering::Relaxed);
            }
        }
    }
    (done, counts, violations)
}

fn print(seeds: u64, violations: u64, counts: &Counts) {
    println!("seeds={seeds}");
    println!("violations={violations}");
    println!("crashes={}", counts.crashes);
    println!("faults={}", counts.faults);
    println!("truncations={}", counts.truncations);
    println!("takeovers={}", counts.takeovers);
    println!("lost_tails={}", counts.lost_tails);
    println!("deltas_folded={}", counts.deltas_folded);
    println!("reads_checked={}", counts.reads_checked);
}

/// A violation, and the fewest faults found that still bring it about.
fn say(violation: &Violation) {
    println!("{violation}");
    let short = shorten(violation);
    println!(
        "shortened to {} faults in {} runs:",
        short.ending.injected.len(),
        short.runs
    );
    for (number, at, what) in &short.ending.injected {
        println!("  #{number} {at:?} {what}");
    }
    let trace = &short.ending.trace;
    for line in trace.iter().skip(trace.len().saturating_sub(LINES)) {
        println!("  {line}");
    }
    if let Some(violation) = &short.ending.violation {
        println!("  {violation}");
    }
}
