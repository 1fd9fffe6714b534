//! [`GrainCell`]: what the driver tells readers of one grain, without a lock.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gleaner_actor::{Health, Moment};

use crate::Reading;
use crate::sync::{AtomicU8, AtomicU32, AtomicU64};

/// The moment T0 up to which something was confirmed; written by the driver alone.
///
/// Two words, written wall first and read monotonic first. A reader that falls between two writes sees
/// the older monotonic time with the newer wall time: the age that it then computes is at least that of
/// the newer confirmation, whose state it will see too, since both words are released after the state
/// and acquired before it. It is never too small (C5).
#[derive(Debug)]
pub(crate) struct Confirmed {
    monotonic: AtomicU64,
    wall: AtomicU64,
}

/// The monotonic word before the first confirmation; no T0 is so late.
const NEVER: u64 = u64::MAX;

impl Confirmed {
    pub(crate) fn never() -> Self {
        Self {
            monotonic: AtomicU64::new(NEVER),
            wall: AtomicU64::new(0),
        }
    }

    /// Publishes a later T0; an earlier one changes nothing.
    pub(crate) fn raise(&self, t0: Reading) {
        let known = self.monotonic.load(Ordering::Relaxed);
        if known != NEVER && known >= t0.monotonic.as_nanos() {
            return;
        }
        self.wall.store(t0.wall.as_nanos(), Ordering::Release);
        self.monotonic
            .store(t0.monotonic.as_nanos(), Ordering::Release);
    }

    /// Takes back what was published.
    fn revoke(&self) {
        self.monotonic.store(NEVER, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Option<Reading> {
        let monotonic = self.monotonic.load(Ordering::Acquire);
        let wall = self.wall.load(Ordering::Acquire);
        (monotonic != NEVER).then(|| Reading {
            monotonic: Moment::from_nanos(monotonic),
            wall: Moment::from_nanos(wall),
        })
    }
}

/// One followed grain, as readers see it.
///
/// The driver marks a grain pending *before* it publishes a T0 that does not cover it; a reader takes
/// T0 first, then pending, then the state (C5). So a reader that sees a T0 sees every mark that came
/// before it, and then a state at least as new. A replica that is set back is the one exception: what
/// was confirmed is revoked before, and the reader looks for that last ([`Self::still`]).
#[derive(Debug)]
pub(crate) struct GrainCell {
    /// Health in the low bits, [`PENDING`] and [`GONE`] above.
    flags: AtomicU8,
    /// How often what had been confirmed was taken back.
    revoked: AtomicU32,
    /// Confirmed by the grain's own `catch_up`.
    own: Confirmed,
    /// Confirmed by the feed that covers the grain, if one does.
    feed: Option<Arc<Confirmed>>,
}

const PENDING: u8 = 0x80;
const GONE: u8 = 0x40;
const HEALTH: u8 = 0x0f;

/// What a reader takes from a cell before it takes the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) health: Health,
    pub(crate) confirmed: Option<Reading>,
    pub(crate) gone: bool,
    revoked: u32,
}

impl GrainCell {
    pub(crate) fn new(feed: Option<Arc<Confirmed>>) -> Self {
        let flags = Health::Bootstrapping.code() | PENDING;
        Self {
            flags: AtomicU8::new(flags),
            revoked: AtomicU32::new(0),
            own: Confirmed::never(),
            feed,
        }
    }

    /// The cell of a grain that is not followed.
    pub(crate) fn retired() -> Arc<Self> {
        let cell = Self::new(None);
        cell.retire();
        Arc::new(cell)
    }

    /// Driver: how the grain stands now, and whether the feed speaks for it.
    pub(crate) fn set(&self, health: Health, pending: bool) {
        let pending = if pending { PENDING } else { 0 };
        self.flags.store(health.code() | pending, Ordering::Release);
    }

    /// Driver: the grain is not followed any more; readers that hold the cell look for another.
    pub(crate) fn retire(&self) {
        self.flags.fetch_or(GONE | PENDING, Ordering::Release);
    }

    /// Driver: the grain's own answer confirms.
    pub(crate) fn confirm(&self, t0: Reading) {
        self.own.raise(t0);
    }

    /// Driver: the follower ends. What its feed has confirmed stays confirmed, though nothing will be
    /// any more.
    pub(crate) fn keep(&self) {
        if self.flags.load(Ordering::Relaxed) & PENDING == 0
            && let Some(t0) = self.feed.as_ref().and_then(|feed| feed.get())
        {
            self.own.raise(t0);
        }
    }

    /// Driver: the replica is about to be set back, so that it will not hold what it was confirmed to
    /// hold. Called before the store is told; the grain is pending.
    pub(crate) fn revoke(&self) {
        // In this order: a reader that has the new count sees nothing confirmed from before, one that
        // has the former count sees the new one once it has a state that was set back.
        self.own.revoke();
        self.revoked.fetch_add(1, Ordering::AcqRel);
    }

    /// Reader: what `standing`, taken before the state, says once the state is taken. Whoever has a
    /// state that was set back sees here that it was.
    pub(crate) fn still(&self, standing: Standing) -> Standing {
        let same = self.revoked.load(Ordering::Acquire) == standing.revoked;
        Standing {
            confirmed: standing.confirmed.filter(|_| same),
            ..standing
        }
    }

    /// Reader: T0, then pending, then (by the caller) the state.
    pub(crate) fn standing(&self) -> Standing {
        let revoked = self.revoked.load(Ordering::Acquire);
        let feed = self.feed.as_ref().and_then(|feed| feed.get());
        let own = self.own.get();
        let flags = self.flags.load(Ordering::Acquire);
        let feed = if flags & PENDING == 0 { feed } else { None };
        let confirmed = match (own, feed) {
            (Some(own), Some(feed)) if feed.monotonic > own.monotonic => Some(feed),
            (None, feed) => feed,
            (own, _) => own,
        };
        Standing {
            health: Health::from_code(flags & HEALTH),
            confirmed,
            gone: flags & GONE != 0,
            revoked,
        }
    }
}

#[cfg(all(test, gleaner_loom))]
mod models;

#[cfg(all(test, not(gleaner_loom)))]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Reading {
        Reading {
            monotonic: Moment::from_nanos(nanos),
            wall: Moment::from_nanos(nanos),
        }
    }

    #[test]
    fn c5_a_pending_grain_is_not_confirmed_by_the_feed() {
        let feed = Arc::new(Confirmed::never());
        let cell = GrainCell::new(Some(feed.clone()));
        feed.raise(at(50));
        assert_eq!(cell.standing().confirmed, None);
        cell.set(Health::Live, false);
        assert_eq!(cell.standing().confirmed, Some(at(50)));
        cell.confirm(at(60));
        assert_eq!(cell.standing().confirmed, Some(at(60)));
        cell.set(Health::Live, true);
        feed.raise(at(70));
        assert_eq!(cell.standing().confirmed, Some(at(60)));
    }

    #[test]
    fn a_confirmation_never_falls() {
        let confirmed = Confirmed::never();
        confirmed.raise(at(0));
        assert_eq!(confirmed.get(), Some(at(0)));
        confirmed.raise(at(9));
        confirmed.raise(at(5));
        assert_eq!(confirmed.get(), Some(at(9)));
    }
}
