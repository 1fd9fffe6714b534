//! [`Slots`]: where each grain's replica lives, and the ways to it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use gleaner_core::{Filter, GrainId, Replica, ReplicaHandle, ReplicaPlaces};

use crate::SCAN;
use crate::places::{Places, Slot, Writing};
use crate::sync::{Map, Mutex, map};

/// The slots of all grains, by id and in order.
///
/// # Concurrency
/// A slot's place is found in the map by all who want it, and is held before the map's lock for that
/// id is let go: no lock of the map is held while a fold runs, so a slow fold delays its own grain
/// alone. A grain has one place for as long as anyone holds it: an empty slot leaves the map, and its
/// place is given to another grain, only when nobody holds it, judged under the map's lock for that
/// id, without which nobody can begin to. So a handle that was taken before the first state, or that
/// outlived a removal, sees what is applied later. Whoever is done with a slot that may be empty
/// tidies up behind itself.
///
/// A handle knows its place and not its grain. Of an empty slot that is held the grain stands in
/// `vacant`, put there under the map's lock for the id and before the holders are counted: either who
/// puts it there sees that the last holder has gone, or the last holder finds it there.
///
/// `order` changes with the map's membership, under the map's lock for that id (locks are taken in the
/// order map, vacant, order, places), and not with a replica's state. It costs one more pointer
/// to the id and makes a page of a listing cost what the page holds.
pub(crate) struct Slots {
    map: Map<u64>,
    places: Places,
    order: Mutex<BTreeSet<GrainId>>,
    vacant: Mutex<BTreeMap<u64, GrainId>>,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            map: map(),
            places: Places::default(),
            order: Mutex::default(),
            vacant: Mutex::default(),
        }
    }
}

/// A grain's slot, held until it is given back.
pub(crate) struct Held<'a> {
    slots: &'a Slots,
    grain: &'a GrainId,
    slot: &'a Slot,
}

impl Held<'_> {
    pub(crate) fn write(&self) -> Writing<'_> {
        self.slot.write()
    }
}

/// Lets the slot go if it is empty and nobody else holds it.
impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.slot.let_go();
        // Looked at when it is let go: who empties it from now on finds it so. It may be another
        // grain's by now; then there is nothing to tidy under this id.
        if self.slot.is_empty() {
            self.slots.tidy(self.grain);
        }
    }
}

impl Slots {
    pub(crate) fn find<'a>(&'a self, grain: &'a GrainId) -> Option<Held<'a>> {
        let place = self.map.get(grain)?;
        self.held(grain, *place)
    }

    /// To be called under the map's lock for the grain.
    fn held<'a>(&'a self, grain: &'a GrainId, place: u64) -> Option<Held<'a>> {
        let slot = self.places.at(place)?;
        slot.hold();
        Some(Held {
            slots: self,
            grain,
            slot,
        })
    }

    /// The replica, without a hold on its slot.
    pub(crate) fn load(&self, grain: &GrainId) -> Option<Replica> {
        let place = self.map.get(grain)?;
        self.places.at(*place)?.load()
    }

    /// The slot, made if there is none. None only beyond what any machine holds.
    pub(crate) fn place<'a>(&'a self, grain: &'a GrainId) -> Option<Held<'a>> {
        if let Some(held) = self.find(grain) {
            return Some(held);
        }
        let place = self.map.entry(grain.clone()).or_insert_with(|| {
            self.order.lock().insert(grain.clone());
            self.places.take()
        });
        self.held(grain, *place)
    }

    /// A lasting hold on a grain's slot, made if there is none.
    pub(crate) fn handle(self: &Arc<Self>, grain: &GrainId) -> Option<ReplicaHandle> {
        let place = {
            let place = self.map.entry(grain.clone()).or_insert_with(|| {
                self.order.lock().insert(grain.clone());
                self.places.take()
            });
            let slot = self.places.at(*place)?;
            slot.hold();
            if slot.is_empty() {
                self.vacant.lock().insert(*place, grain.clone());
            }
            *place
        };
        let places: Arc<dyn ReplicaPlaces> = Arc::<Self>::clone(self);
        Some(ReplicaHandle::new(places, place))
    }

    /// Removes an empty slot that nobody holds.
    fn tidy(&self, grain: &GrainId) {
        self.map.remove_if_mut(grain, |_, place| {
            let Some(slot) = self.places.at(*place) else {
                return false;
            };
            let mut vacant = self.vacant.lock();
            if !slot.is_empty() {
                vacant.remove(place);
                return false;
            }
            vacant.insert(*place, grain.clone());
            if slot.is_held() {
                return false;
            }
            vacant.remove(place);
            self.order.lock().remove(grain);
            self.places.give_back(*place);
            true
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
        assert!(self.vacant.lock().len() <= self.map.len());
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

impl ReplicaPlaces for Slots {
    fn load(&self, place: u64) -> Option<Replica> {
        self.places.at(place)?.load()
    }

    fn release(&self, place: u64) {
        if let Some(slot) = self.places.at(place) {
            slot.let_go();
        }
        let vacant = self.vacant.lock().get(&place).cloned();
        if let Some(grain) = vacant {
            self.tidy(&grain);
        }
    }
}

#[cfg(all(test, gleaner_loom))]
mod models;
