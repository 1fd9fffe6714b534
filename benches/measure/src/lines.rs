//! What a side prints for the driver.

use std::io::Write;

/// What a side prints when its preparation is done and its clock starts.
pub const BEGIN: &str = "begin";

/// Says that the preparation is done: the driver's patience for the side counts from here.
pub fn begin() {
    println!("{BEGIN}");
    let _ = std::io::stdout().flush();
}

/// Prints one `name=value`, a plain decimal.
pub fn line(name: &str, value: f64) {
    println!("{name}={}", decimal(value));
    let _ = std::io::stdout().flush();
}

/// A plain decimal without an exponent or needless zeros.
pub fn decimal(value: f64) -> String {
    let text = format!("{value:.9}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

/// The value below which `part` (0.0 to 1.0) of the samples lie; none without samples.
pub fn quantile(samples: &mut [f64], part: f64) -> Option<f64> {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().checked_sub(1)?;
    let place = (last as f64 * part.clamp(0.0, 1.0)).round() as usize;
    samples.get(place).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_plain() {
        assert_eq!(decimal(3.0), "3");
        assert_eq!(decimal(0.000_000_12), "0.00000012");
        assert_eq!(decimal(1e15), "1000000000000000");
        assert_eq!(decimal(-0.0), "0");
    }

    #[test]
    fn quantiles_are_samples() {
        let mut samples = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(quantile(&mut samples, 0.5), Some(3.0));
        assert_eq!(quantile(&mut samples, 1.0), Some(5.0));
        assert_eq!(quantile(&mut [], 0.5), None);
    }
}
