//! [`Pace`]: so many a second, and what was reached.

use std::time::Duration;

use crate::time::nanos;

/// Says how many are due by now. It does not forget what is overdue, so that the rate is kept over
/// the whole time wherever it can be reached.
#[derive(Debug, Clone)]
pub struct Pace {
    began: u64,
    for_nanos: u64,
    per_second: u32,
    done: u64,
}

/// What a [`Pace`] came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// How many were done.
    pub done: u64,
    /// How many a second that is.
    pub per_second: f64,
}

impl Pace {
    /// Starts now, at `per_second`, for so long.
    pub fn start(per_second: u32, seconds: f64) -> Self {
        Self {
            began: nanos(),
            for_nanos: Duration::from_secs_f64(seconds.max(0.0)).as_nanos() as u64,
            per_second,
            done: 0,
        }
    }

    /// How many are due now; none once the time is up.
    pub fn due(&self) -> Option<u64> {
        let elapsed = nanos() - self.began;
        if elapsed >= self.for_nanos {
            return None;
        }
        let owed = u128::from(elapsed) * u128::from(self.per_second) / 1_000_000_000;
        Some((owed as u64).saturating_sub(self.done))
    }

    /// Some are done.
    pub fn did(&mut self, some: u64) {
        self.done += some;
    }

    /// What it came to so far.
    pub fn reached(&self) -> Reached {
        let elapsed = (nanos() - self.began).max(1);
        Reached {
            done: self.done,
            per_second: self.done as f64 * 1e9 / elapsed as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_the_time_at_the_rate_less_what_was_done() {
        let mut pace = Pace::start(1_000_000_000, 100.0);
        let first = pace.due().unwrap();
        pace.did(first);
        while pace.due() == Some(0) {}
        assert!(pace.due().unwrap() > 0);
        assert_eq!(Pace::start(1, 0.0).due(), None);
    }
}
