//! A process that measures, and what several runs of it came to.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use gleaner_measure::{BEGIN, decimal};

use crate::Outcome;
use crate::versus::metric::median;

/// How long a process may take from the start of its clock.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// How long it may take to prepare. One that takes longer has failed.
const PREPARATION: Duration = Duration::from_secs(600);

/// What became of a process.
pub(crate) enum Measured {
    /// What it printed, in that order.
    Numbers(Vec<(String, f64)>),
    /// Its clock had started, and it was ended.
    Late,
}

/// Runs a process once, called `name` in errors, and takes the `name=value` lines that it prints.
pub(crate) fn measure(mut command: Command, name: &str) -> Outcome<Measured> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("a process has no output")?;
    let (tell, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                break;
            }
        }
    });
    let mut numbers = Vec::new();
    let mut deadline = Instant::now() + PREPARATION;
    let mut begun = false;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line == BEGIN => {
                begun = true;
                deadline = Instant::now() + PATIENCE;
            }
            Ok(line) => {
                let read = line
                    .split_once('=')
                    .and_then(|(metric, value)| Some((metric, value.parse::<f64>().ok()?)))
                    .filter(|(_, value)| value.is_finite());
                let (metric, value) = read.ok_or(format!("{name} said: {line}"))?;
                numbers.push((metric.to_owned(), value));
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                if begun {
                    return Ok(Measured::Late);
                }
                return Err(format!("{name} was not prepared after {PREPARATION:?}").into());
            }
        }
    }
    let status = child.wait()?;
    if status.success() && !numbers.is_empty() {
        return Ok(Measured::Numbers(numbers));
    }
    Err(format!("{name} failed: {status}").into())
}

/// Prints the median of what some runs came to, the smallest and the largest; none of no runs.
pub(crate) fn print(name: &str, values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let (middle, least, most) = (median(values)?, values.first()?, values.last()?);
    println!("{name}={}", decimal(middle));
    println!("{name}.min={}", decimal(*least));
    println!("{name}.max={}", decimal(*most));
    Some(middle)
}
