//! [`Policy`]: how often to poll and how long to back off; [`Jitter`]: by how much to vary it.

use std::time::Duration;

/// How an actor waits. Shared by all actors that wait alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    poll_interval: Duration,
    jitter: f64,
    backoff_min: Duration,
    backoff_max: Duration,
}

impl Default for Policy {
    /// 1 s between polls: what people mean by "near real time" when no hint comes. 10 % jitter: those who
    /// began together lie anywhere in an interval after some 200 polls. Backoff from 100 ms (a restarted server is found
    /// soon) to 30 s (a dead one is left in peace).
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(1),
            jitter: 0.1,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
        }
    }
}

impl Policy {
    /// The shortest interval and backoff: below a millisecond polling is a busy loop.
    pub const SHORTEST: Duration = Duration::from_millis(1);

    /// Sets the time between polls of a grain that is in step; at least [`Self::SHORTEST`].
    #[must_use]
    pub fn with_poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval.max(Self::SHORTEST);
        self
    }

    /// Sets by how large a part every wait is varied: 0.0 to 1.0. A wait after a failure both ways; one
    /// between polls is only made shorter, since the interval bounds how stale a grain may get.
    #[must_use]
    pub fn with_jitter(mut self, part: f64) -> Self {
        self.jitter = if part.is_finite() {
            part.clamp(0.0, 1.0)
        } else {
            0.0
        };
        self
    }

    /// Sets the first and the longest wait after failures; each failure in a row doubles it.
    #[must_use]
    pub fn with_backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff_min = min.max(Self::SHORTEST);
        self.backoff_max = max.max(self.backoff_min);
        self
    }

    /// The time between polls.
    pub const fn poll_interval(&self) -> Duration {
        self.poll_interval
    }

    /// The longest wait after failures, jitter not counted.
    pub const fn backoff_max(&self) -> Duration {
        self.backoff_max
    }

    /// The next wait of a grain that is in step.
    pub(crate) fn rest(&self, jitter: &mut Jitter) -> Duration {
        jitter.shorten(self.poll_interval, self.jitter)
    }

    /// How long so many failures in a row last, jitter not counted.
    pub(crate) fn span(&self, failures: u8) -> Duration {
        (1..=failures).map(|failures| self.steady(failures)).sum()
    }

    /// The wait after `failures` failures in a row (1 for the first).
    pub(crate) fn backoff(&self, failures: u8, jitter: &mut Jitter) -> Duration {
        jitter.vary(self.steady(failures), self.jitter)
    }

    fn steady(&self, failures: u8) -> Duration {
        let doublings = u32::from(failures.saturating_sub(1)).min(20);
        self.backoff_min
            .saturating_mul(1 << doublings)
            .min(self.backoff_max)
    }
}

/// A seeded source of jitter: the same seed gives the same waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(u32);

impl Jitter {
    /// A source from a seed; any will do.
    pub const fn new(seed: u32) -> Self {
        Self(seed)
    }

    /// `wait` varied by at most `part` of it, up or down; never below [`Policy::SHORTEST`].
    fn vary(&mut self, wait: Duration, part: f64) -> Duration {
        let unit = self.unit() * 2.0 - 1.0;
        scaled(wait, 1.0 + unit * part)
    }

    /// `wait` less at most `part` of it; never below [`Policy::SHORTEST`].
    fn shorten(&mut self, wait: Duration, part: f64) -> Duration {
        let unit = self.unit();
        scaled(wait, 1.0 - unit * part)
    }

    /// The next number from 0 to 1.
    fn unit(&mut self) -> f64 {
        // A Weyl sequence through a 32-bit finaliser: four bytes of state, and no pattern that a
        // population of polls could fall into step by.
        self.0 = self.0.wrapping_add(0x9e37_79b9);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 16)).wrapping_mul(0x7feb_352d);
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x846c_a68b);
        bits ^= bits >> 16;
        f64::from(bits) / f64::from(u32::MAX)
    }
}

fn scaled(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor.max(0.0))
        .unwrap_or(Duration::MAX)
        .max(Policy::SHORTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_in_its_band_and_repeats_with_its_seed() {
        let policy = Policy::default();
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            (0..1000)
                .map(|_| policy.rest(&mut jitter))
                .collect::<Vec<_>>()
        };
        let waits = draw(7);
        assert_eq!(waits, draw(7));
        assert_ne!(waits, draw(8));
        let millis = Duration::from_millis;
        // A poll comes early or in time, never late.
        assert!(
            waits
                .iter()
                .all(|wait| (millis(900)..=millis(1000)).contains(wait))
        );
        assert!(waits.iter().any(|wait| *wait < millis(910)));
        assert!(waits.iter().any(|wait| *wait > millis(990)));
        let mut jitter = Jitter::new(7);
        let waits: Vec<Duration> = (0..1000).map(|_| policy.backoff(1, &mut jitter)).collect();
        assert!(
            waits
                .iter()
                .all(|wait| (millis(90)..=millis(110)).contains(wait))
        );
        assert!(waits.iter().any(|wait| *wait < millis(92)));
        assert!(waits.iter().any(|wait| *wait > millis(108)));
    }

    #[test]
    fn no_wait_is_so_short_that_it_spins() {
        let policy = Policy::default().with_jitter(1.0);
        let mut jitter = Jitter::new(3);
        let shortest = (0..100_000).map(|_| policy.rest(&mut jitter)).min();
        assert_eq!(shortest, Some(Policy::SHORTEST));
    }

    #[test]
    fn backoff_doubles_up_to_its_ceiling() {
        let policy = Policy::default().with_jitter(0.0);
        let mut jitter = Jitter::new(0);
        let waits: Vec<u128> = (1..=11)
            .map(|failures| policy.backoff(failures, &mut jitter).as_millis())
            .collect();
        assert_eq!(
            waits,
            [
                100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000
            ]
        );
        assert_eq!(policy.backoff(u8::MAX, &mut jitter), policy.backoff_max());
    }
}
