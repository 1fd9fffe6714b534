//! [`Bootstrap`]: how far a follower is with what it was told to follow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::counts::{Counts, Turned};

/// How far a follower is with comparing what it follows with the log for the first time.
///
/// Time and rate are of one round. A round begins with a [`follow_all`](crate::Follower::follow_all)
/// that comes while none goes on (of a follower that was never told a filter: with a grain), and ends
/// when all filters are listed and all grains compared; its numbers then stay as they are until the next.
/// Grains that a feed names later are counted in `done` and `total` and begin no round.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bootstrap {
    /// Whether every filter that the follower has been told of has been listed; true if there is none.
    pub listed: bool,
    /// Followed grains that have been compared with the log once: all whose health is not
    /// `Bootstrapping`, as [`ready`](crate::Follower::ready) counts them.
    pub done: usize,
    /// Followed grains so far. Grows while filters are listed; then it changes with new grains and
    /// unfollowed ones alone.
    pub total: usize,
    /// Since the round began, or how long it took.
    pub elapsed: Duration,
    /// Grains done a second, on the average of the round; 0 before the first.
    pub rate: f64,
    /// How long the rest takes at that rate: zero when all is done. None until `listed`, as nobody knows
    /// how much is to come, and while none is done.
    pub eta: Option<Duration>,
}

/// The rounds of one follower.
///
/// # Concurrency
/// The lead begins and ends listings, shards tell when the last bootstrapping grain is done. Whichever of
/// the two comes last ends the round: each writes what it knows before it looks at the other's.
#[derive(Debug)]
pub(crate) struct Rounds {
    listed: AtomicBool,
    round: Mutex<Round>,
}

#[derive(Debug, Default)]
struct Round {
    /// A filter was followed.
    filters: bool,
    began: Option<Instant>,
    /// How many were done before it began.
    before: usize,
    /// When it ended, and how many were done then.
    ended: Option<(Instant, usize)>,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            listed: AtomicBool::new(true),
            round: Mutex::default(),
        }
    }
}

impl Rounds {
    /// Lead: a filter begins to be listed.
    pub(crate) fn listing(&self, counts: &Counts) {
        let mut round = self.round.lock();
        self.listed.store(false, Ordering::SeqCst);
        round.filters = true;
        round.begin(counts);
    }

    /// Lead: every filter has been listed.
    pub(crate) fn all_listed(&self, counts: &Counts) {
        if !self.listed.swap(true, Ordering::SeqCst) {
            self.end(counts);
        }
    }

    /// Shard: the number of bootstrapping grains has come to nothing, or risen from it.
    pub(crate) fn turned(&self, turned: Turned, counts: &Counts) {
        if turned.began {
            let mut round = self.round.lock();
            if round.began.is_none() || !round.filters {
                round.begin(counts);
            }
        }
        if turned.ended {
            self.end(counts);
        }
    }

    fn end(&self, counts: &Counts) {
        let mut round = self.round.lock();
        let progress = counts.progress();
        if self.listed.load(Ordering::SeqCst)
            && progress.bootstrapping == 0
            && round.began.is_some()
            && round.ended.is_none()
        {
            round.ended = Some((Instant::now(), progress.followed));
        }
    }

    pub(crate) fn look(&self, counts: &Counts) -> Bootstrap {
        let round = self.round.lock();
        // Before the counts: what was listed has been counted.
        let listed = self.listed.load(Ordering::SeqCst);
        let progress = counts.progress();
        let total = progress.followed;
        let done = total - progress.bootstrapping;
        let (until, by_then) = round.ended.unwrap_or_else(|| (Instant::now(), done));
        let elapsed = round.began.map_or(Duration::ZERO, |began| {
            until.saturating_duration_since(began)
        });
        let rate = if elapsed.is_zero() {
            0.0
        } else {
            float(by_then.saturating_sub(round.before)) / elapsed.as_secs_f64()
        };
        let left = total - done;
        let eta = if !listed {
            None
        } else if left == 0 {
            Some(Duration::ZERO)
        } else if rate > 0.0 {
            Duration::try_from_secs_f64(float(left) / rate).ok()
        } else {
            None
        };
        Bootstrap {
            listed,
            done,
            total,
            elapsed,
            rate,
            eta,
        }
    }
}

impl Round {
    /// Begins, unless a round goes on.
    fn begin(&mut self, counts: &Counts) {
        if self.began.is_some() && self.ended.is_none() {
            return;
        }
        let progress = counts.progress();
        self.began = Some(Instant::now());
        self.before = progress.followed - progress.bootstrapping;
        self.ended = None;
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate of 2^53 grains is as good in 53 bits"
)]
const fn float(grains: usize) -> f64 {
    grains as f64
}
