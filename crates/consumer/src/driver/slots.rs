//! [`Slots`]: the actors, densely stored and named by small integers.

use std::sync::Arc;

use gleaner_actor::{GrainActor, Reply};
use gleaner_core::{GrainId, Head};
use tokio::sync::oneshot;

use crate::cell::GrainCell;
use crate::clock::Reading;
use crate::control::ControlError;

/// One followed grain in the driver.
pub(super) struct Slot {
    pub(super) grain: GrainId,
    pub(super) actor: GrainActor,
    pub(super) cell: Arc<GrainCell>,
    /// The feed that covers it.
    pub(super) feed: Option<usize>,
    /// Which setting of its timer counts; older ones in the queue are void.
    pub(super) timer: u32,
    /// Whether the store has said once where the replica stands.
    pub(super) loaded: bool,
    /// What only few grains have at a time.
    pub(super) extra: Option<Box<Extra>>,
}

#[derive(Default)]
pub(super) struct Extra {
    /// The head that a listing named, until the first load.
    pub(super) listed: Option<(Head, Reading)>,
    /// Waits for the actor's reply.
    pub(super) decide: Option<oneshot::Sender<Result<Reply, ControlError>>>,
    /// Wait until nothing is in flight.
    pub(super) quiet: Vec<oneshot::Sender<Result<(), ControlError>>>,
    /// Wait until the grain is gone.
    pub(super) gone: Vec<oneshot::Sender<()>>,
    /// To be followed again once it is gone.
    pub(super) refollow: bool,
}

impl Slot {
    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

/// A slab: a slot's number stays its own until it is removed, and is then given out again.
#[derive(Default)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
}

impl Slots {
    /// Stores what `build` makes of its future number; none beyond 2^32 grains.
    pub(super) fn insert(&mut self, build: impl FnOnce(u32) -> Slot) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            let place = usize::try_from(number)
                .ok()
                .and_then(|at| self.slots.get_mut(at))?;
            *place = Some(build(number));
            return Some(number);
        }
        let number = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Some(build(number)));
        Some(number)
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Slot> {
        let slot = usize::try_from(number)
            .ok()
            .and_then(|at| self.slots.get_mut(at))?
            .take();
        if slot.is_some() {
            self.free.push(number);
        }
        slot
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        usize::try_from(number)
            .ok()
            .and_then(|at| self.slots.get(at))?
            .as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        usize::try_from(number)
            .ok()
            .and_then(|at| self.slots.get_mut(at))?
            .as_mut()
    }

    /// The numbers in use at this moment.
    pub(super) fn all(&self) -> Vec<u32> {
        (0..self.end())
            .filter(|number| self.get(*number).is_some())
            .collect()
    }

    /// One above the highest number ever given out.
    pub(super) fn end(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    /// How many are in use.
    pub(super) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.len() == self.free.len()
    }
}
