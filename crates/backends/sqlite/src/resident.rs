//! [`Residents`]: the replicas that are held in memory beside the file.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use gleaner_core::{GrainId, Replica, ReplicaHandle, ReplicaPlaces, ReplicaSlot};

/// One grain's place in memory.
#[derive(Default)]
struct Slot {
    replica: ReplicaSlot,
    /// Whether `replica` is what the file holds; false until it was read or written once.
    loaded: AtomicBool,
}

/// What is known of a grain without asking the file.
pub(crate) enum Known {
    /// What the file holds: a replica or none.
    Loaded(Option<Replica>),
    /// It has not been read yet.
    Not,
}

/// The resident replicas by grain.
///
/// # Concurrency
/// Only the store's writer thread changes what is known, and only after a commit: fills from the file
/// are done by that thread too, inside a transaction, so that an older row never takes a newer one's
/// place. Readers load one pointer. A slot leaves the map only when it is empty and the map's is the
/// last reference, judged under the map's lock for it; so a handle that outlives a removal sees what
/// is applied later.
#[derive(Default)]
pub(crate) struct Residents {
    slots: DashMap<GrainId, Arc<Slot>, foldhash::fast::RandomState>,
}

impl fmt::Debug for Residents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Residents")
            .field("grains", &self.slots.len())
            .finish_non_exhaustive()
    }
}

impl Residents {
    pub(crate) fn known(&self, grain: &GrainId) -> Known {
        match self.slots.get(grain) {
            Some(slot) if slot.loaded.load(Ordering::Acquire) => Known::Loaded(slot.replica.load()),
            _ => Known::Not,
        }
    }

    pub(crate) fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.slots.get(grain)?.replica.load()
    }

    /// For the writer's thread, after a commit: what the file holds now.
    pub(crate) fn put(&self, grain: &GrainId, replica: Option<Replica>) {
        let gone = replica.is_none();
        match self.slots.get(grain) {
            Some(slot) => {
                slot.replica.store(replica);
                slot.loaded.store(true, Ordering::Release);
            }
            None if gone => return,
            None => {
                let slot = self.slots.entry(grain.clone()).or_default();
                slot.replica.store(replica);
                slot.loaded.store(true, Ordering::Release);
            }
        }
        if gone {
            self.tidy(grain);
        }
    }

    /// For the writer's thread: the file is another one, nothing is known any more.
    pub(crate) fn forget(&self) {
        for slot in &self.slots {
            slot.loaded.store(false, Ordering::Release);
            slot.replica.store(None);
        }
    }

    /// A lasting way to a grain's slot.
    pub(crate) fn handle(self: &Arc<Self>, grain: &GrainId) -> ReplicaHandle {
        let slot = Arc::clone(&self.slots.entry(grain.clone()).or_default());
        let cell = Cell {
            slot,
            _tidy: Tidy {
                residents: Arc::clone(self),
                grain: grain.clone(),
            },
        };
        ReplicaHandle::new(Arc::new(cell), 0)
    }

    fn tidy(&self, grain: &GrainId) {
        self.slots.remove_if(grain, |_, slot| {
            Arc::strong_count(slot) == 1 && slot.replica.is_empty()
        });
    }
}

/// A handle: the slot itself, without the map.
struct Cell {
    // In this order: the reference goes first, then its place is tidied.
    slot: Arc<Slot>,
    _tidy: Tidy,
}

impl ReplicaPlaces for Cell {
    fn load(&self, _: u64) -> Option<Replica> {
        self.slot.replica.load()
    }
}

/// Lets an empty slot go when its last handle does.
struct Tidy {
    residents: Arc<Residents>,
    grain: GrainId,
}

impl Drop for Tidy {
    fn drop(&mut self) {
        self.residents.tidy(&self.grain);
    }
}
