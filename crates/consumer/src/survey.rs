//! A walk over the cells of all followed grains: how old each is, seen from outside the driver.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use gleaner_actor::Health;
use gleaner_core::GrainId;

use crate::cell::Standing;
use crate::shared::Shared;

/// Where a grain stands in the directory: its stripe, its row there, and which tenant of the row it is.
type Place = (usize, usize, u32);

/// One grain, as the walk finds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    place: Place,
    pub(crate) standing: Standing,
    /// Whether it is not in step.
    #[cfg(feature = "metrics")]
    pub(crate) pending: bool,
    /// For how long neither its cursor, its health nor its being in step has changed.
    #[cfg(feature = "metrics")]
    pub(crate) still_for: Duration,
}

/// Visits every followed grain, some at a time. An age that is counted to a reading of the clock in or
/// after the visit is not too small (C5). No lock is held but to copy a stripe's list of chunks.
///
/// Cost: some nanoseconds for each place; there are as many as there ever were followed grains at once.
pub(crate) fn each(shared: &Shared, mut visit: impl FnMut(&[Seen])) {
    let mut seen: Vec<Seen> = Vec::new();
    for stripe in 0..shared.directory.stripes() {
        let mut row = 0;
        for chunk in shared.directory.chunks(stripe) {
            #[cfg(feature = "metrics")]
            let moment = shared.now();
            for cell in chunk.iter() {
                let tenant = cell.tenant();
                let standing = shared.standing(cell, tenant);
                if !standing.gone {
                    seen.push(Seen {
                        place: (stripe, row, tenant),
                        standing,
                        #[cfg(feature = "metrics")]
                        pending: cell.is_pending(),
                        #[cfg(feature = "metrics")]
                        still_for: cell.still_for(moment),
                    });
                }
                row += 1;
            }
            visit(&seen);
            seen.clear();
        }
    }
}

/// A grain that is among the worst so far, by how bad it is: never confirmed, or how old it was when the
/// walk began; grains that one page confirmed are equally old, and their place decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Bad {
    never: bool,
    old: Duration,
    /// The first of equals is kept: to put each next one in its place would cost the most in the common
    /// case, in which all are equal.
    place: Reverse<Place>,
}

/// The grains that are worst off, worst first: those that were never confirmed, then by age.
pub(crate) fn worst(shared: &Shared, most: usize) -> Vec<(GrainId, Option<Duration>, Health)> {
    let began = shared.clock.read();
    let mut kept: BinaryHeap<Reverse<Bad>> = BinaryHeap::new();
    each(shared, |seen| {
        for one in seen {
            let confirmed = one.standing.confirmed;
            let bad = Bad {
                never: confirmed.is_none(),
                old: confirmed.map_or(Duration::ZERO, |t0| began.since(t0)),
                place: Reverse(one.place),
            };
            let full = kept.len() >= most;
            if full && kept.peek().is_none_or(|Reverse(least)| bad <= *least) {
                continue;
            }
            kept.push(Reverse(bad));
            if full {
                kept.pop();
            }
        }
    });
    let stands = |bad: Bad| {
        let Reverse((stripe, row, tenant)) = bad.place;
        // Unfollowed meanwhile: it is worst off no more.
        let (grain, cell) = shared.directory.grain(stripe, row, tenant)?;
        let standing = shared.standing(cell.cell()?, tenant);
        // After the standing, so that no age is too small.
        let now = shared.clock.read();
        let age = standing.confirmed.map(|t0| now.since(t0));
        Some((grain, age, standing.health))
    };
    let kept = kept.into_sorted_vec().into_iter();
    let mut found: Vec<_> = kept.filter_map(|Reverse(bad)| stands(bad)).collect();
    // What was confirmed meanwhile is not so bad any more.
    found.sort_by_key(|(_, age, _)| age.map(Reverse));
    found
}
