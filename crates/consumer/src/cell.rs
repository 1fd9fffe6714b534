//! [`GrainCell`]: what the driver tells readers of one grain, without a lock.

use std::sync::atomic::Ordering;

use gleaner_actor::{Health, Moment};

use crate::Reading;
use crate::stirred::Stirred;
use crate::sync::{AtomicU32, AtomicU64};

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
///
/// A cell is a place: when its grain is unfollowed, another may get it. Each that does is another
/// tenant, and the number of the tenant is in the word that a reader loads last. What was confirmed
/// for a later tenant was released after that tenant's number, so a reader that saw it sees the number
/// too, and knows that it is not its grain's.
///
/// 32 bytes: there are a million.
#[derive(Debug)]
pub(crate) struct GrainCell {
    /// Health, [`PENDING`] and [`GONE`]; the feed; the tenant.
    flags: AtomicU64,
    /// How often what had been confirmed was taken back.
    revoked: AtomicU32,
    stirred: Stirred,
    /// Confirmed by the grain's own `catch_up`.
    own: Confirmed,
}

const HEALTH: u64 = 0x0f;
const GONE: u64 = 0x40;
const PENDING: u64 = 0x80;
const FEED: u32 = 16;
const TENANT: u32 = 32;

/// The number of a feed; see [`crate::feeds::Feeds`].
pub(crate) type FeedNumber = u16;

/// No feed speaks for the grain.
const NO_FEED: FeedNumber = FeedNumber::MAX;

/// What a reader takes from a cell before it takes the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) health: Health,
    pub(crate) confirmed: Option<Reading>,
    pub(crate) gone: bool,
    revoked: u32,
}

impl GrainCell {
    /// A place that no grain has had yet.
    pub(crate) fn vacant() -> Self {
        Self {
            flags: AtomicU64::new(GONE | PENDING),
            revoked: AtomicU32::new(0),
            stirred: Stirred::new(),
            own: Confirmed::never(),
        }
    }

    /// Driver: a grain gets the place, as the next tenant; returns its number.
    pub(crate) fn open(&self, feed: Option<FeedNumber>) -> u32 {
        let tenant = tenant(self.flags.load(Ordering::Relaxed)).wrapping_add(1);
        self.own.revoke();
        let flags = u64::from(Health::Bootstrapping.code())
            | PENDING
            | u64::from(feed.unwrap_or(NO_FEED)) << FEED
            | u64::from(tenant) << TENANT;
        self.flags.store(flags, Ordering::Release);
        tenant
    }

    /// The tenant that has the place, or had it last.
    pub(crate) fn tenant(&self) -> u32 {
        tenant(self.flags.load(Ordering::Acquire))
    }

    /// The feed that speaks for the grain while it is not pending.
    pub(crate) fn feed(&self) -> Option<FeedNumber> {
        feed(self.flags.load(Ordering::Relaxed))
    }

    /// Driver: how the grain stands now, and whether the feed speaks for it.
    pub(crate) fn set(&self, health: Health, pending: bool) {
        let pending = if pending { PENDING } else { 0 };
        let kept = self.flags.load(Ordering::Relaxed) & !(HEALTH | GONE | PENDING);
        let flags = kept | u64::from(health.code()) | pending;
        self.flags.store(flags, Ordering::Release);
    }

    /// Driver: something about the grain has changed.
    pub(crate) fn stir(&self, now: Moment) {
        self.stirred.note(now);
    }

    /// For how long nothing about the grain has changed.
    #[cfg(feature = "metrics")]
    pub(crate) fn still_for(&self, now: Moment) -> std::time::Duration {
        self.stirred.still_for(now)
    }

    /// Whether the grain is not in step.
    #[cfg(feature = "metrics")]
    pub(crate) fn is_pending(&self) -> bool {
        self.flags.load(Ordering::Acquire) & PENDING != 0
    }

    /// Driver: the grain is not followed any more; readers that hold the cell look for another.
    pub(crate) fn retire(&self) {
        let flags = self.flags.load(Ordering::Relaxed) | GONE | PENDING;
        self.flags.store(flags, Ordering::Release);
    }

    /// Driver: the grain's own answer confirms.
    pub(crate) fn confirm(&self, t0: Reading) {
        self.own.raise(t0);
    }

    /// Driver: the feed speaks for the grain no more, as the grain is about to be pending or the follower
    /// ends. What it has confirmed stays confirmed.
    pub(crate) fn keep(&self, feed: Option<&Confirmed>) {
        if self.flags.load(Ordering::Relaxed) & PENDING == 0
            && let Some(t0) = feed.and_then(Confirmed::get)
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

    /// Reader: T0, then pending, then (by the caller) the state. `feed` is what the grain's feed has
    /// confirmed, `of` the tenant that is asked for.
    pub(crate) fn standing(&self, feed: Option<&Confirmed>, of: u32) -> Standing {
        let revoked = self.revoked.load(Ordering::Acquire);
        let feed = feed.and_then(Confirmed::get);
        let own = self.own.get();
        let flags = self.flags.load(Ordering::Acquire);
        let feed = if flags & PENDING == 0 { feed } else { None };
        let confirmed = match (own, feed) {
            (Some(own), Some(feed)) if feed.monotonic > own.monotonic => Some(feed),
            (None, feed) => feed,
            (own, _) => own,
        };
        Standing {
            health: health(flags),
            confirmed,
            gone: flags & GONE != 0 || tenant(flags) != of,
            revoked,
        }
    }
}

fn health(flags: u64) -> Health {
    Health::from_code(u8::try_from(flags & HEALTH).unwrap_or_default())
}

fn tenant(flags: u64) -> u32 {
    u32::try_from(flags >> TENANT).unwrap_or_default()
}

fn feed(flags: u64) -> Option<FeedNumber> {
    let number = u16::try_from(flags >> FEED & u64::from(u16::MAX)).unwrap_or(NO_FEED);
    (number != NO_FEED).then_some(number)
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
        let (feed, cell) = (Confirmed::never(), GrainCell::vacant());
        let tenant = cell.open(Some(7));
        assert_eq!(cell.feed(), Some(7));
        let confirmed = || cell.standing(Some(&feed), tenant).confirmed;
        feed.raise(at(50));
        assert_eq!(confirmed(), None);
        cell.set(Health::Live, false);
        assert_eq!(confirmed(), Some(at(50)));
        cell.confirm(at(60));
        assert_eq!(confirmed(), Some(at(60)));
        cell.set(Health::Live, true);
        feed.raise(at(70));
        assert_eq!(confirmed(), Some(at(60)));
        assert_eq!(cell.feed(), Some(7));
    }

    #[test]
    fn c5_what_confirms_a_later_tenant_is_not_an_earlier_ones() {
        let cell = GrainCell::vacant();
        let first = cell.open(None);
        cell.confirm(at(10));
        cell.retire();
        assert!(cell.standing(None, first).gone);
        let second = cell.open(None);
        assert_ne!(first, second);
        assert_eq!(cell.standing(None, second).confirmed, None);
        cell.confirm(at(20));
        let (former, latter) = (cell.standing(None, first), cell.standing(None, second));
        assert!(former.gone && !latter.gone);
        assert_eq!(latter.confirmed, Some(at(20)));
    }

    #[test]
    fn a_cell_is_32_bytes() {
        assert_eq!(size_of::<GrainCell>(), 32);
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
