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
    /// None if it was never confirmed.
    pub(crate) age: Option<Duration>,
    /// Whether it is not in step.
    #[cfg(feature = "metrics")]
    pub(crate) pending: bool,
    /// For how long neither its cursor, its health nor its being in step has changed.
    #[cfg(feature = "metrics")]
    pub(crate) still_for: Duration,
}

/// Visits every followed grain. The clock is read after a chunk of standings, so that no age is too small
/// (C5). No lock is held but for the copy of a stripe's list of chunks.
///
/// Cost: some nanoseconds a grain that was ever followed at once with the others; a place that is free
/// costs as much.
pub(crate) fn each(shared: &Shared, mut visit: impl FnMut(&Seen)) {
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
                        age: None,
                        #[cfg(feature = "metrics")]
                        pending: cell.is_pending(),
                        #[cfg(feature = "metrics")]
                        still_for: cell.still_for(moment),
                    });
                }
                row += 1;
            }
            let now = shared.clock.read();
            for mut one in seen.drain(..) {
                one.age = one.standing.confirmed.map(|t0| now.since(t0));
                visit(&one);
            }
        }
    }
}

/// The grains that are worst off, worst first: those that were never confirmed, then by age.
pub(crate) fn worst(shared: &Shared, most: usize) -> Vec<(GrainId, Option<Duration>, Health)> {
    let mut kept: BinaryHeap<Reverse<(bool, Duration, Place, u8)>> = BinaryHeap::new();
    each(shared, |seen| {
        let (never, age) = (seen.age.is_none(), seen.age.unwrap_or_default());
        let one = (never, age, seen.place, seen.standing.health.code());
        if kept.len() >= most && kept.peek().is_none_or(|Reverse(best)| one <= *best) {
            return;
        }
        kept.push(Reverse(one));
        if kept.len() > most {
            kept.pop();
        }
    });
    let kept = kept.into_sorted_vec().into_iter();
    kept.filter_map(|Reverse((never, age, (stripe, row, tenant), health))| {
        // Unfollowed meanwhile: it is worst off no more.
        let grain = shared.directory.grain(stripe, row, tenant)?;
        Some((grain, (!never).then_some(age), Health::from_code(health)))
    })
    .collect()
}
