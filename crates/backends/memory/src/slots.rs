//! [`Slots`]: where each grain's replica lives, and the ways to it.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use gleaner_core::{Filter, GrainId, Replica, ReplicaPlaces};

use crate::SCAN;
use crate::sync::{Counted, Map, Mutex, MutexGuard, Pointer};

/// One grain's place. Readers swap nothing and wait for nobody; writers hold `writing` from the read
/// of the former replica until the new one has taken its place.
#[derive(Default)]
pub(crate) struct Slot {
    replica: Pointer,
    writing: Mutex<()>,
}

impl Slot {
    pub(crate) fn load(&self) -> Option<Replica> {
        self.replica.load()
    }

    /// The right to change it.
    pub(crate) fn write(&self) -> Writing<'_> {
        Writing {
            slot: self,
            _guard: self.writing.lock(),
        }
    }

    fn is_empty(&self) -> bool {
        self.replica.is_empty()
    }
}

/// A slot whose only writer is the holder.
pub(crate) struct Writing<'a> {
    slot: &'a Slot,
    _guard: MutexGuard<'a, ()>,
}

impl Writing<'_> {
    pub(crate) fn current(&self) -> Option<Replica> {
        self.slot.load()
    }

    pub(crate) fn put(&self, replica: Option<Replica>) {
        self.slot.replica.store(replica);
    }
}

/// The slots of all grains, by id and in order.
///
/// # Concurrency
/// A slot is found in the map by all who want it, and is cloned out of it before it is locked: no
/// guard of the map is held while a fold runs, so a slow fold delays its own grain alone. A grain has
/// one slot for as long as anyone holds it: an empty slot leaves the map only when the map's is the
/// last reference, judged under the map's lock for that slot, without which no new reference can be
/// had. So a handle that was taken before the first state, or that outlived a removal, sees what is
/// applied later. Whoever is done with a slot that may be empty tidies up behind itself; two that are
/// done at the same instant may leave an empty slot behind, which is used again, or tidied, by the
/// next.
///
/// `order` changes with the map's membership, under the map's lock for that id (map before order,
/// never the other way), and not with a replica's state. It costs one more pointer to the id and makes a page of a listing cost what the page holds.
#[derive(Default)]
pub(crate) struct Slots {
    map: Map<Counted<Slot>>,
    order: Mutex<BTreeSet<GrainId>>,
}

impl Slots {
    pub(crate) fn find(&self, grain: &GrainId) -> Option<Counted<Slot>> {
        self.map.get(grain).map(|slot| Counted::clone(&slot))
    }

    /// The replica, without another reference to its slot.
    pub(crate) fn load(&self, grain: &GrainId) -> Option<Replica> {
        self.map.get(grain).and_then(|slot| slot.load())
    }

    /// The slot, made if there is none.
    pub(crate) fn place(&self, grain: &GrainId) -> Counted<Slot> {
        if let Some(slot) = self.find(grain) {
            return slot;
        }
        let made = self.map.entry(grain.clone()).or_insert_with(|| {
            self.order.lock().insert(grain.clone());
            Counted::default()
        });
        Counted::clone(&made)
    }

    /// Gives a slot back, and lets it go if it is empty and nobody else holds it.
    pub(crate) fn give_back(&self, grain: &GrainId, slot: Counted<Slot>) {
        let empty = slot.is_empty();
        drop(slot);
        if empty {
            self.tidy(grain);
        }
    }

    fn tidy(&self, grain: &GrainId) {
        self.map.remove_if_mut(grain, |_, slot| {
            // `get_mut` also makes what the last holder put there visible, which a look at the
            // count alone does not.
            let idle = Counted::get_mut(slot).is_some_and(|slot| slot.is_empty());
            if idle {
                self.order.lock().remove(grain);
            }
            idle
        });
    }

    /// Up to `limit` ids in the filter, in order, strictly after `after`, and where the scan stopped;
    /// none if it came to the end of what the filter allows. Some ids may be of empty slots.
    pub(crate) fn ids(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> (Vec<GrainId>, Option<GrainId>) {
        let mut ids = Vec::new();
        let Some(first) = filter.first() else {
            return (ids, None);
        };
        let from = match after {
            Some(after) if *after >= first => Bound::Excluded(after),
            _ => Bound::Included(&first),
        };
        let mut passed = 0;
        let order = self.order.lock();
        let within = order
            .range::<GrainId, _>((from, Bound::Unbounded))
            .take_while(|grain| !filter.is_past(grain));
        for grain in within {
            if filter.includes(grain) {
                ids.push(grain.clone());
            } else {
                passed += 1;
            }
            if ids.len() == limit || passed == SCAN {
                return (ids, Some(grain.clone()));
            }
        }
        (ids, None)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.map.len(), self.order.lock().len());
        self.map.len()
    }
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("grains", &self.map.len())
            .finish_non_exhaustive()
    }
}

/// A handle: the slot itself, without the map.
pub(crate) struct Cell {
    // In this order: the reference goes first, then its place is tidied.
    slot: Counted<Slot>,
    _tidy: Tidy,
}

impl Cell {
    pub(crate) fn new(slots: &Arc<Slots>, grain: &GrainId) -> Self {
        Self {
            slot: slots.place(grain),
            _tidy: Tidy {
                slots: Arc::clone(slots),
                grain: grain.clone(),
            },
        }
    }
}

impl ReplicaPlaces for Cell {
    fn load(&self, _: u64) -> Option<Replica> {
        self.slot.load()
    }
}

/// Lets an empty slot go when its last handle does.
struct Tidy {
    slots: Arc<Slots>,
    grain: GrainId,
}

impl Drop for Tidy {
    fn drop(&mut self) {
        self.slots.tidy(&self.grain);
    }
}

#[cfg(all(test, gleaner_loom))]
mod models;
