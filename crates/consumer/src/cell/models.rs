//! C5 under every order of driver and reader that the memory model allows.
//!
//! The cell is the real one. Beside it stands what the driver and the store are to it: a state, here
//! only its number, published with release and read with acquire, as stores publish replicas.

use std::sync::Arc;

use gleaner_actor::{Health, Moment};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::{Confirmed, GrainCell};
use crate::Reading;

const fn at(monotonic: u64, wall: u64) -> Reading {
    Reading {
        monotonic: Moment::from_nanos(monotonic),
        wall: Moment::from_nanos(wall),
    }
}

/// The store: which state it shows.
struct State(AtomicU64);

impl State {
    fn new(number: u64) -> Self {
        Self(AtomicU64::new(number))
    }

    fn put(&self, number: u64) {
        self.0.store(number, Ordering::Release);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A confirmation is of one moment, or old: with the wall clock set back between the first and the
/// second, and the machine suspended after it, the first's wall time with the second's monotonic time
/// would give an age of almost nothing.
#[test]
fn c5_no_torn_confirmation_gives_an_age_that_is_too_small() {
    const T0: [Reading; 3] = [at(10, 1_000), at(20, 510), at(30, 520)];
    const NOW: Reading = at(31, 920);
    loom::model(|| {
        let confirmed = Arc::new((Confirmed::never(), State::new(0)));
        let driver = {
            let confirmed = confirmed.clone();
            thread::spawn(move || {
                for (number, t0) in (1..).zip(T0) {
                    confirmed.1.put(number);
                    confirmed.0.raise(t0);
                }
            })
        };
        let seen = confirmed.0.get();
        let state = confirmed.1.get();
        if let Some(seen) = seen {
            let age = NOW.since(seen);
            let shown = T0.iter().take(usize::try_from(state).unwrap());
            let least = shown.map(|t0| NOW.since(*t0)).min();
            assert!(
                least.is_some_and(|least| age >= least),
                "{seen:?} is {age:?} old, and state {state} at least {least:?}"
            );
        }
        driver.join().unwrap();
    });
}

/// A feed's T0 does not speak for a grain that the page named: whoever sees it sees the mark, or the
/// state that the mark waited for.
#[test]
fn c5_a_feeds_confirmation_is_not_seen_without_the_mark_that_came_before() {
    loom::model(|| {
        let feed = Arc::new(Confirmed::never());
        let cell = GrainCell::new(Some(feed.clone()));
        // In step with entry 1, as the first page said.
        cell.set(Health::Live, false);
        feed.raise(at(10, 10));
        let grain = Arc::new((cell, State::new(1)));
        let driver = {
            let grain = grain.clone();
            thread::spawn(move || {
                // The page at 20 names the grain: entry 2. Then its own catch-up, sent at 30.
                grain.0.set(Health::Live, true);
                feed.raise(at(20, 20));
                grain.1.put(2);
                grain.0.confirm(at(30, 30));
                grain.0.set(Health::Live, false);
            })
        };
        let standing = grain.0.standing();
        let state = grain.1.get();
        let standing = grain.0.still(standing);
        if let Some(t0) = standing.confirmed {
            let needed = if t0 == at(10, 10) { 1 } else { 2 };
            assert!(state >= needed, "state {state} is confirmed at {t0:?}");
        }
        assert_eq!(standing.health, Health::Live);
        driver.join().unwrap();
    });
}

/// A replica that is set back: what was confirmed of it is revoked before, and no reader has the state
/// that was set back with the age of the one before it.
#[test]
fn c5_a_replica_that_is_set_back_is_not_seen_with_its_former_age() {
    loom::model(|| {
        let feed = Arc::new(Confirmed::never());
        let cell = GrainCell::new(Some(feed.clone()));
        cell.set(Health::Live, false);
        cell.confirm(at(10, 10));
        feed.raise(at(11, 11));
        let grain = Arc::new((cell, State::new(7)));
        let driver = {
            let grain = grain.clone();
            thread::spawn(move || {
                // Misfit at 8: rebased to the log's base at 5, then caught up to 9.
                grain.0.set(Health::Live, true);
                grain.0.revoke();
                grain.1.put(5);
                grain.1.put(9);
                grain.0.confirm(at(20, 20));
                grain.0.set(Health::Live, false);
            })
        };
        let standing = grain.0.standing();
        let state = grain.1.get();
        let standing = grain.0.still(standing);
        if let Some(t0) = standing.confirmed {
            let needed = if t0 == at(20, 20) { 9 } else { 7 };
            assert!(state >= needed, "state {state} is confirmed at {t0:?}");
        }
        driver.join().unwrap();
    });
}

/// A grain that is not followed any more is seen as gone by whoever finds its feed going on.
#[test]
fn a_retired_cell_is_not_confirmed_by_a_feed_that_goes_on() {
    loom::model(|| {
        let feed = Arc::new(Confirmed::never());
        let cell = Arc::new(GrainCell::new(Some(feed.clone())));
        cell.set(Health::Live, false);
        feed.raise(at(10, 10));
        let driver = {
            let cell = cell.clone();
            thread::spawn(move || {
                cell.retire();
                feed.raise(at(20, 20));
            })
        };
        let standing = cell.standing();
        let late = standing.confirmed == Some(at(20, 20));
        assert!(!late, "a page after the end confirms");
        driver.join().unwrap();
        assert!(cell.standing().gone);
    });
}
