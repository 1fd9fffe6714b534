//! What a number is: which direction is better, and how finely it can be told.

use gleaner_measure::resolution_nanos;

/// Which direction is better, for metrics that both sides have and that say who is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// Times, processor time, bytes: theirs over ours.
    Lower,
    /// Rates: ours over theirs.
    Higher,
}

impl Better {
    /// Above 1 where ours is better; the denominator is at least `floor`, what can be told apart.
    pub(crate) fn ratio(self, ours: f64, theirs: f64, floor: f64) -> f64 {
        match self {
            Self::Lower => theirs.max(0.0) / ours.max(floor),
            Self::Higher => ours.max(0.0) / theirs.max(floor),
        }
    }
}

/// None for counts, and for what is only there to judge another number by.
fn better(metric: &str) -> Option<Better> {
    match metric.rsplit('.').next()? {
        "seconds"
        | "cpu_seconds_per_second"
        | "p50_ms"
        | "p99_ms"
        | "max_ms"
        | "bytes_per_grain"
        | "payload_bytes_read" => Some(Better::Lower),
        "reads_per_second" | "states_per_second" => Some(Better::Higher),
        _ => None,
    }
}

/// The ratio, above 1 where ours is better; its denominator is never below what can be told apart.
pub(crate) fn ratio(metric: &str, grains: u32, ours: f64, theirs: f64) -> Option<f64> {
    Some(better(metric)?.ratio(ours, theirs, resolution(metric, grains)))
}

/// What can be told apart of a metric.
pub(crate) fn resolution(metric: &str, grains: u32) -> f64 {
    let nanos = f64::from(u32::try_from(resolution_nanos()).unwrap_or(u32::MAX));
    match metric.rsplit('.').next().unwrap_or_default() {
        name if name.ends_with("_ms") => nanos / 1e6,
        // Resident memory is counted in pages.
        "bytes_per_grain" => 4096.0 / f64::from(grains.max(1)),
        "payload_bytes_read" => 1.0,
        _ => nanos / 1e9,
    }
}

/// The metric that must be alike on both sides for this one to be compared: the rate of the writer
/// beside which it was measured.
pub(crate) fn beside(metric: &str) -> String {
    match metric.strip_suffix("reads_per_second") {
        Some(way) => format!("{way}updates_per_second"),
        None => "appends_per_second".to_owned(),
    }
}

/// Whether two rates are near enough for what was measured beside them to be compared: within 5 %.
pub(crate) fn comparable(ours: f64, theirs: f64) -> bool {
    (ours - theirs).abs() <= 0.05 * ours.max(theirs)
}

/// The middle of some numbers: of an even count, the mean of the two in the middle.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: Option<f64>, two: f64) -> bool {
        one.is_some_and(|one| (one - two).abs() < 1e-9 * two.abs().max(1.0))
    }

    #[test]
    fn above_one_is_better_for_us() {
        assert!(near(ratio("seconds", 1, 1.0, 100.0), 100.0));
        assert!(near(
            ratio("by_id.1_threads.quiet.reads_per_second", 1, 3.0, 1.0),
            3.0
        ));
        assert_eq!(ratio("lost", 1, 0.0, 100.0), None);
        assert_eq!(ratio("fsync_p50_ms", 1, 1.0, 1.0), None);
    }

    #[test]
    fn denominators_have_a_floor() {
        for metric in [
            "seconds",
            "bytes_per_grain",
            "cpu_seconds_per_second",
            "states_per_second",
        ] {
            let ratio = ratio(metric, 1000, 0.0, 0.0).unwrap();
            assert!(ratio.is_finite(), "{metric}");
        }
        assert!(near(ratio("bytes_per_grain", 4096, -3.0, 1000.0), 1000.0));
    }

    #[test]
    fn medians_are_in_the_middle() {
        assert!(near(median(&[1.0, 2.0, 9.0]), 2.0));
        assert!(near(median(&[1.0, 2.0]), 1.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_read_is_compared_beside_its_own_writer() {
        assert_eq!(
            beside("handle.2_threads.writer.reads_per_second"),
            "handle.2_threads.writer.updates_per_second"
        );
        assert_eq!(beside("p99_ms"), "appends_per_second");
    }

    #[test]
    fn five_percent_apart_is_the_last_that_is_compared() {
        assert!(comparable(2000.0, 1901.0));
        assert!(!comparable(2000.0, 700.0));
    }
}
