//! C5 under every order of driver and reader that the memory model allows.
//!
//! The cell is the real one. Beside it stands what the driver and the store are to it: a state, here
//! only its number, published with release and read with acquire, as stores publish replicas.

use std::sync::Arc;

use gleaner_actor::{Health, Moment};
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::{Confirmed, GrainCell, Standing};
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

/// Driver and reader side by side, each once as the thread that begins. Loom looks for other orders
/// from the last access to a word only: where the reader begins, a word that the driver loads before
/// it stores (as `raise` does) hides the reader's load from the store. Where the driver begins, every
/// load of the reader takes every value that it may.
fn side_by_side<W: Send + Sync + 'static>(world: fn() -> W, driver: fn(&W), reader: fn(&W)) {
    for (first, second) in [(driver, reader), (reader, driver)] {
        loom::model(move || {
            let world = Arc::new(world());
            let other = {
                let world = world.clone();
                thread::spawn(move || second(&world))
            };
            first(&world);
            other.join().unwrap();
        });
    }
}

/// A grain with a feed, live and in step, and its state.
struct Grain {
    cell: GrainCell,
    feed: Confirmed,
    state: State,
    tenant: u32,
}

impl Grain {
    fn new(state: u64) -> Self {
        let (feed, cell) = (Confirmed::never(), GrainCell::vacant());
        let tenant = cell.open(Some(0));
        cell.set(Health::Live, false);
        feed.raise(at(10, 10));
        let state = State::new(state);
        Self {
            cell,
            feed,
            state,
            tenant,
        }
    }

    fn standing(&self) -> Standing {
        self.cell.standing(Some(&self.feed), self.tenant)
    }

    /// As every reader reads.
    fn read(&self) -> (Standing, u64) {
        let standing = self.standing();
        let state = self.state.get();
        (self.cell.still(standing), state)
    }
}

/// A confirmation is of one moment, or old: with the wall clock set back between the first and the
/// second, and the machine suspended after it, the first's wall time with the second's monotonic time
/// would give an age of almost nothing.
#[test]
fn c5_no_torn_confirmation_gives_an_age_that_is_too_small() {
    const T0: [Reading; 3] = [at(10, 1_000), at(20, 510), at(30, 520)];
    const NOW: Reading = at(31, 920);
    side_by_side(
        || (Confirmed::never(), State::new(0)),
        |(confirmed, state)| {
            for (number, t0) in (1..).zip(T0) {
                state.put(number);
                confirmed.raise(t0);
            }
        },
        |(confirmed, state)| {
            let seen = confirmed.get();
            let state = state.get();
            if let Some(seen) = seen {
                let age = NOW.since(seen);
                let shown = T0.iter().take(usize::try_from(state).unwrap());
                let least = shown.map(|t0| NOW.since(*t0)).min();
                assert!(
                    least.is_some_and(|least| age >= least),
                    "{seen:?} is {age:?} old, and state {state} at least {least:?}"
                );
            }
        },
    );
}

/// A feed's T0 does not speak for a grain that the page named: whoever sees it sees the mark, or the
/// state that the mark waited for.
#[test]
fn c5_a_feeds_confirmation_is_not_seen_without_the_mark_that_came_before() {
    side_by_side(
        // In step with entry 1, as the page at 10 said.
        || Grain::new(1),
        |grain| {
            // The page at 20 names the grain: entry 2. Then its own catch-up, sent at 30.
            grain.cell.keep(Some(&grain.feed));
            grain.cell.set(Health::Live, true);
            grain.feed.raise(at(20, 20));
            grain.state.put(2);
            grain.cell.confirm(at(30, 30));
            grain.cell.set(Health::Live, false);
        },
        |grain| {
            let (standing, state) = grain.read();
            if let Some(t0) = standing.confirmed {
                let needed = if t0 == at(10, 10) { 1 } else { 2 };
                assert!(state >= needed, "state {state} is confirmed at {t0:?}");
            }
            assert_eq!(standing.health, Health::Live);
        },
    );
}

/// A replica that is set back: what was confirmed of it is revoked before, and no reader has the state
/// that was set back with the age of the one before it.
#[test]
fn c5_a_replica_that_is_set_back_is_not_seen_with_its_former_age() {
    side_by_side(
        || {
            let grain = Grain::new(7);
            grain.cell.confirm(at(11, 11));
            grain
        },
        |grain| {
            // A misfit at 8: rebased to the log's base at 5, then caught up to 9.
            grain.feed.raise(at(15, 15));
            grain.cell.keep(Some(&grain.feed));
            grain.cell.set(Health::Live, true);
            grain.cell.revoke();
            grain.state.put(5);
            grain.state.put(9);
            grain.cell.confirm(at(20, 20));
            grain.cell.set(Health::Live, false);
        },
        |grain| {
            let (standing, state) = grain.read();
            if let Some(t0) = standing.confirmed {
                let needed = if t0 == at(20, 20) { 9 } else { 7 };
                assert!(state >= needed, "state {state} is confirmed at {t0:?}");
            }
        },
    );
}

/// An entry that came unasked confirms nothing, and what the feed had confirmed is kept under the apply.
/// A reader that looked for what was kept before it was, and for the mark after, may be told less.
#[test]
fn c5_an_entry_that_came_unasked_does_not_confirm() {
    side_by_side(
        || Grain::new(1),
        |grain| {
            // Entry 2 comes and is applied; then the page at 20, which holds it, and names it or not.
            grain.cell.keep(Some(&grain.feed));
            grain.cell.set(Health::Live, true);
            grain.state.put(2);
            grain.cell.set(Health::Live, false);
            grain.feed.raise(at(20, 20));
        },
        |grain| {
            let (standing, state) = grain.read();
            if let Some(t0) = standing.confirmed {
                let needed = if t0 == at(10, 10) { 1 } else { 2 };
                assert!(state >= needed, "state {state} is confirmed at {t0:?}");
            }
        },
    );
}

/// A grain that is not followed any more is not confirmed by a feed that goes on for the others.
#[test]
fn a_retired_cell_is_not_confirmed_by_a_feed_that_goes_on() {
    side_by_side(
        || Grain::new(1),
        |grain| {
            grain.cell.retire();
            grain.feed.raise(at(20, 20));
        },
        |grain| {
            let standing = grain.standing();
            assert_ne!(standing.confirmed, Some(at(20, 20)));
            assert!(standing.gone || standing.confirmed == Some(at(10, 10)));
        },
    );
}

/// A cell that another grain has got: what is confirmed of that one is not taken for the former's.
#[test]
fn c5_what_is_confirmed_of_the_next_tenant_is_not_the_formers() {
    side_by_side(
        || Grain::new(1),
        |grain| {
            grain.cell.retire();
            grain.cell.open(None);
            grain.cell.confirm(at(20, 20));
            grain.cell.set(Health::Live, false);
        },
        |grain| {
            let standing = grain.standing();
            assert!(standing.gone || standing.confirmed != Some(at(20, 20)));
        },
    );
}
