//! [`Settings`]: what a follower may be told, with defaults that say why.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use gleaner_actor::Policy;
use gleaner_core::Budget;

use crate::clock::{Clock, SystemClock};

/// How a follower polls, reads and waits. The builders have a setter for each.
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | poll interval | 1 s | "near real time" when no hint comes; one query for all grains with a feed |
/// | jitter | 10 % | unties followers that started together: after some 200 polls they lie anywhere in an interval; a poll comes early, never late |
/// | backoff | 100 ms to 30 s, doubling | a restarted server is found soon, a dead one left in peace |
/// | call timeout | 30 s | a lost answer costs a while, and not for ever; the call is made again |
/// | hints | on | a change is seen in milliseconds instead of an interval; over a network in one trip where the log sends entries |
/// | grains per read | 1,000 | a few milliseconds of work for every backend |
/// | budget of a read | 4,096 entries, 16 MiB | bounds the memory of an answer; one entry always fits |
/// | reads in flight | 4 | keeps a log busy over a network without flooding it |
/// | names per page | 1,024 | a page of a feed or listing, under a hundred kilobytes; larger ones gain nothing |
/// | shards | the cores that there are, at most as many as reads in flight | actors of distinct shards run at once |
/// | sweep | 10 min | finds a lost tail that a server cannot show; a million grains cost 2 `heads` calls a second |
#[derive(Clone)]
pub struct Settings {
    pub(crate) policy: Policy,
    pub(crate) call_timeout: Duration,
    pub(crate) hints: bool,
    pub(crate) feed: bool,
    pub(crate) grains_per_read: usize,
    pub(crate) budget: Budget,
    pub(crate) reads_in_flight: usize,
    pub(crate) names_per_page: usize,
    pub(crate) shards: Option<usize>,
    /// It follows one grain for ever.
    pub(crate) alone: bool,
    pub(crate) sweep: Duration,
    pub(crate) seed: Option<u32>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What its metrics are labelled with.
    #[cfg(feature = "metrics")]
    pub(crate) name: String,
    /// How often it samples itself.
    #[cfg(feature = "metrics")]
    pub(crate) sample_every: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            call_timeout: Duration::from_secs(30),
            hints: true,
            feed: true,
            grains_per_read: 1_000,
            budget: Budget::new(4_096, 16 << 20),
            reads_in_flight: 4,
            names_per_page: 1_024,
            shards: None,
            alone: false,
            sweep: Duration::from_secs(600),
            seed: None,
            clock: Arc::new(SystemClock::default()),
            #[cfg(feature = "metrics")]
            name: "default".to_owned(),
            #[cfg(feature = "metrics")]
            sample_every: None,
        }
    }
}

impl Settings {
    /// Where the jitter begins: drawn for each follower unless it is set, or all that start together, or
    /// find their server again together, would go on waiting alike.
    pub(crate) fn jitter_seed(&self) -> u32 {
        let drawn = || {
            let bits = RandomState::new().build_hasher().finish();
            u32::try_from(bits >> 32).unwrap_or_default()
        };
        self.seed.unwrap_or_else(drawn)
    }

    /// How many shards there are; each has a read in flight at least.
    pub(crate) fn shards(&self) -> u32 {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let shards = match self.shards {
            _ if self.alone => 1,
            Some(shards) => shards,
            None => cores(),
        };
        u32::try_from(shards.clamp(1, self.reads_in_flight.clamp(1, MOST_SHARDS))).unwrap_or(1)
    }

    /// How many of the reads in flight are a shard's.
    pub(crate) fn reads_of_shard(&self, number: u32) -> usize {
        let shards = self.shards();
        let index = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let rest = self.reads_in_flight % index(shards);
        self.reads_in_flight / index(shards) + usize::from(index(number) < rest)
    }

    /// How many stripes the directory has: one for a single grain.
    pub(crate) fn stripes(&self) -> usize {
        if self.alone { 1 } else { MOST_SHARDS }
    }
}

/// More shards than this gain nothing: it is also the number of the directory's stripes, of which a
/// shard owns one at least.
const MOST_SHARDS: usize = 64;

/// How often one grain is polled by itself; none as often as its follower polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Interval(pub(crate) Option<Duration>);

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("policy", &self.policy)
            .field("call_timeout", &self.call_timeout)
            .field("hints", &self.hints)
            .field("feed", &self.feed)
            .field("grains_per_read", &self.grains_per_read)
            .field("budget", &self.budget)
            .field("reads_in_flight", &self.reads_in_flight)
            .field("names_per_page", &self.names_per_page)
            .field("shards", &self.shards)
            .field("sweep", &self.sweep)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// The setters that both builders share.
macro_rules! setters {
    () => {
        /// Sets the time between polls; at least 1 ms. It bounds how stale a replica can get while the
        /// log answers. Default 1 s.
        pub fn poll_interval(mut self, interval: std::time::Duration) -> Self {
            self.settings.policy = self.settings.policy.with_poll_interval(interval);
            self
        }

        /// Sets by how large a part, 0.0 to 1.0, each wait is varied: shorter between polls, up or down
        /// after failures. Default 0.1.
        pub fn jitter(mut self, part: f64) -> Self {
            self.settings.policy = self.settings.policy.with_jitter(part);
            self
        }

        /// Sets the first and the longest wait after failures in a row. Default 100 ms and 30 s.
        pub fn backoff(mut self, min: std::time::Duration, max: std::time::Duration) -> Self {
            self.settings.policy = self.settings.policy.with_backoff(min, max);
            self
        }

        /// Sets after how long a call of log or store that was not answered is given up, and made again
        /// after a backoff; at least 1 ms. Default 30 s.
        pub fn call_timeout(mut self, limit: std::time::Duration) -> Self {
            self.settings.call_timeout = limit.max(std::time::Duration::from_millis(1));
            self
        }

        /// Sets how much one read may bring back. Default 4,096 entries and 16 MiB of payload.
        pub fn read_budget(mut self, budget: gleaner_core::Budget) -> Self {
            self.settings.budget = budget;
            self
        }

        /// Sets the seed of the jitter, and of which shard a grain is in, for runs that repeat. Default:
        /// drawn, for each follower another.
        pub fn seed(mut self, seed: u32) -> Self {
            self.settings.seed = Some(seed);
            self
        }

        /// Sets the clocks that ages are counted on. Default: the machine's.
        pub fn clock(mut self, clock: std::sync::Arc<dyn crate::Clock>) -> Self {
            self.settings.clock = clock;
            self
        }

        /// Sets the label `follower` of its metrics. Default `default`; followers of one process need
        /// names of their own, or they overwrite each other's gauges.
        #[cfg(feature = "metrics")]
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.settings.name = name.into();
            self
        }

        /// Sets that it samples itself this often, at least 1 ms, and once more at a shutdown; for the
        /// first time after that long: install the recorder before. Default: never.
        #[cfg(feature = "metrics")]
        pub fn sample_every(mut self, period: std::time::Duration) -> Self {
            self.settings.sample_every = Some(period.max(std::time::Duration::from_millis(1)));
            self
        }
    };
}

pub(crate) use setters;

/// How long the longest single wait of a driver may be: one that is due later is set again. Keeps far
/// deadlines within what a timer can hold.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_do_not_wait_alike_unless_they_are_told_to() {
        let drawn = || Settings::default().jitter_seed();
        assert_ne!(drawn(), drawn());
        let set = Settings {
            seed: Some(7),
            ..Settings::default()
        };
        assert_eq!(set.jitter_seed(), 7);
    }
}
