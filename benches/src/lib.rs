//! Measurements: what the sanity figures share, the comparison ([`versus`]), and what is timed or
//! counted step by step ([`subjects`]).

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "measurements are quotients of counts and nanoseconds, far below 2^52"
)]

pub mod subjects;
pub mod versus;

use std::fmt::Display;

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

/// The value below which `part` (0.0 to 1.0) of the samples lie; zero without samples.
pub fn quantile(samples: &mut [f64], part: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index into a slice of samples, far below 2^52"
    )]
    let place = (last as f64 * part.clamp(0.0, 1.0)).round() as usize;
    samples.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert!((quantile(&mut samples, 0.5) - 3.0).abs() < f64::EPSILON);
        assert!((quantile(&mut samples, 1.0) - 5.0).abs() < f64::EPSILON);
        assert!(quantile(&mut [], 0.5).abs() < f64::EPSILON);
    }
}
