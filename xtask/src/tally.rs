//! [`Tally`]: how many passed, failed, were skipped.

use std::fmt;
use std::ops::AddAssign;

/// Counts of one step or of all; printed as the last line of `cargo xtask test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// A check counts as one test.
    pub(crate) fn of_check(good: bool) -> Self {
        Self {
            passed: u64::from(good),
            failed: u64::from(!good),
            skipped: 0,
        }
    }

    /// The same results where a skip is a failure: servers were required.
    pub(crate) fn with_skips_failed(self, skipped_for_want_of_a_server: u64) -> Self {
        let moved = skipped_for_want_of_a_server.min(self.skipped);
        Self {
            passed: self.passed,
            failed: self.failed + moved,
            skipped: self.skipped - moved,
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_reads_as_promised() {
        let mut tally = Tally::of_check(true);
        tally += Tally::of_check(false);
        assert_eq!(tally.to_string(), "1 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn required_servers_turn_their_skips_alone_into_failures() {
        let tally = Tally {
            passed: 5,
            failed: 1,
            skipped: 3,
        };
        assert_eq!(
            tally.with_skips_failed(2).to_string(),
            "5 passed, 3 failed, 1 skipped"
        );
    }
}
