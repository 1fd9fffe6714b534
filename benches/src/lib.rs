//! Measurements: what the sanity figures share, the comparison ([`versus`]), a leader and its follower
//! over the network ([`wire`]), logs on real servers ([`servers`]), and what is timed or counted step by step ([`subjects`]).

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "measurements are quotients of counts and nanoseconds, far below 2^52"
)]

mod runs;
pub mod servers;
pub mod subjects;
pub mod versus;
pub mod wire;

use std::fmt::Display;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Prints the median, the smallest and the largest of several runs, a line each, in plain decimals.
///
/// # Panics
/// Without a run.
pub fn print_runs(name: &str, mut runs: Vec<f64>) {
    runs.sort_by(f64::total_cmp);
    let at = |place: usize| runs.get(place).copied();
    let (Some(median), Some(least), Some(most)) =
        (at(runs.len() / 2), at(0), at(runs.len().saturating_sub(1)))
    else {
        panic!("{name} was not run");
    };
    line(&format!("{name}.median"), format!("{median:.3}"));
    line(&format!("{name}.min"), format!("{least:.3}"));
    line(&format!("{name}.max"), format!("{most:.3}"));
}

/// Prints one `name=value`.
pub fn line(name: &str, value: impl Display) {
    println!("{name}={value}");
}
