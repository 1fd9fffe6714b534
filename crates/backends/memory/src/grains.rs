//! [`Grains`]: the histories, found by id and listed in order.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use gleaner_core::GrainId;

use crate::history::History;

/// A grain is found by its hash, in a miss or two of the cache whatever their number; a tree of ids
/// alone keeps them in the order of `list_heads`.
///
/// Also holds grains that were claimed and have no entry yet. None is ever removed by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grains {
    histories: HashMap<GrainId, History, foldhash::fast::RandomState>,
    order: BTreeSet<GrainId>,
}

impl Grains {
    pub(crate) fn get(&self, grain: &GrainId) -> Option<&History> {
        self.histories.get(grain)
    }

    pub(crate) fn get_mut(&mut self, grain: &GrainId) -> Option<&mut History> {
        self.histories.get_mut(grain)
    }

    pub(crate) fn insert(&mut self, grain: GrainId, history: History) {
        self.order.insert(grain.clone());
        self.histories.insert(grain, history);
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty() && self.histories.is_empty()
    }

    /// In order, from a bound on.
    pub(crate) fn from<'a>(
        &'a self,
        from: Bound<&GrainId>,
    ) -> impl Iterator<Item = (&'a GrainId, &'a History)> {
        self.order
            .range::<GrainId, _>((from, Bound::Unbounded))
            .filter_map(|grain| Some((grain, self.histories.get(grain)?)))
    }
}
