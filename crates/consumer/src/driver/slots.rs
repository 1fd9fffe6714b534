//! [`Slots`]: the actors of one shard, densely stored and named by small integers.

use std::sync::Arc;

use gleaner_actor::{GrainActor, Health, Jitter, Policy, Reply, Rest};
use gleaner_core::{Cursor, Head};
use tokio::sync::oneshot;

use crate::cell::GrainCell;
use crate::clock::Reading;
use crate::control::ControlError;
use crate::directory::{CHUNK, CellRef, index};

/// One followed grain in its shard: 32 bytes while it rests. Its id is in the directory.
pub(super) struct Slot {
    stance: Stance,
}

enum Stance {
    /// It rests in step, as most do at any moment.
    Asleep {
        timer: u32,
        policy: PolicyNumber,
        rest: Rest,
    },
    Awake(Box<Awake>),
}

/// The number of a policy: 0 is the follower's own, others are of grains with an interval of their own.
pub(super) type PolicyNumber = u16;

/// A grain that something is the matter with, or was just now.
pub(super) struct Awake {
    pub(super) actor: GrainActor,
    /// Which setting of its timer counts; older ones in the queue are void.
    pub(super) timer: u32,
    pub(super) policy: PolicyNumber,
    /// Whether the store has said once where the replica stands.
    pub(super) loaded: bool,
    /// Whether it was said that the store cannot read the replica.
    pub(super) unloadable: bool,
    /// The head that a listing named, until the first load.
    pub(super) listed: Option<(Head, Reading)>,
    /// What only few grains have at a time.
    pub(super) asked: Option<Box<Asked>>,
}

/// Who waits for what of a grain.
#[derive(Default)]
pub(super) struct Asked {
    /// Waits for the actor's reply.
    pub(super) decide: Option<oneshot::Sender<Result<Reply, ControlError>>>,
    /// Wait until nothing is in flight.
    pub(super) quiet: Vec<oneshot::Sender<Result<(), ControlError>>>,
    /// Wait until the grain is gone.
    pub(super) gone: Vec<oneshot::Sender<()>>,
    /// To be followed again once it is gone.
    pub(super) refollow: Option<Refollow>,
}

impl Asked {
    fn is_empty(&self) -> bool {
        self.decide.is_none()
            && self.quiet.is_empty()
            && self.gone.is_empty()
            && self.refollow.is_none()
    }
}

/// How a grain is to be followed again.
#[derive(Clone, Copy)]
pub(super) struct Refollow {
    pub(super) feed: Option<crate::cell::FeedNumber>,
    pub(super) policy: PolicyNumber,
}

impl Awake {
    pub(super) fn new(actor: GrainActor, policy: PolicyNumber) -> Self {
        Self {
            actor,
            timer: 0,
            policy,
            loaded: false,
            unloadable: false,
            listed: None,
            asked: None,
        }
    }

    pub(super) fn asked(&mut self) -> &mut Asked {
        self.asked.get_or_insert_default()
    }

    fn sleeps(&self) -> Option<Stance> {
        let rest = self.actor.rest()?;
        let nobody = self.asked.as_ref().is_none_or(|asked| asked.is_empty());
        let quiet = self.loaded && self.listed.is_none() && nobody;
        quiet.then_some(Stance::Asleep {
            timer: self.timer,
            policy: self.policy,
            rest,
        })
    }
}

impl Slot {
    pub(super) fn new(awake: Awake) -> Self {
        Self {
            stance: Stance::Awake(Box::new(awake)),
        }
    }

    /// The actor; one that sleeps is woken first.
    pub(super) fn wake(&mut self, with: impl FnOnce(PolicyNumber) -> Waking) -> Option<&mut Awake> {
        if let Stance::Asleep {
            timer,
            policy,
            rest,
        } = self.stance
        {
            let waking = with(policy);
            let actor = rest.wake(waking.policy, waking.jitter, waking.fed);
            self.stance = Stance::Awake(Box::new(Awake {
                timer,
                loaded: true,
                unloadable: false,
                ..Awake::new(actor, policy)
            }));
        }
        self.awake()
    }

    /// The actor, if it is awake.
    pub(super) fn awake(&mut self) -> Option<&mut Awake> {
        match &mut self.stance {
            Stance::Awake(awake) => Some(awake),
            Stance::Asleep { .. } => None,
        }
    }

    /// Where it rests, if it sleeps.
    pub(super) fn asleep(&self) -> Option<Rest> {
        match &self.stance {
            Stance::Asleep { rest, .. } => Some(*rest),
            Stance::Awake(_) => None,
        }
    }

    /// Puts it to sleep if it rests and nothing is the matter.
    pub(super) fn sleep(&mut self) {
        if let Stance::Awake(awake) = &self.stance
            && let Some(asleep) = awake.sleeps()
        {
            self.stance = asleep;
        }
    }

    pub(super) fn into_awake(self) -> Option<Box<Awake>> {
        match self.stance {
            Stance::Awake(awake) => Some(awake),
            Stance::Asleep { .. } => None,
        }
    }

    pub(super) fn timer(&self) -> u32 {
        match &self.stance {
            Stance::Awake(awake) => awake.timer,
            Stance::Asleep { timer, .. } => *timer,
        }
    }

    pub(super) fn cursor(&self) -> Cursor {
        match &self.stance {
            Stance::Awake(awake) => awake.actor.cursor(),
            Stance::Asleep { rest, .. } => rest.cursor(),
        }
    }

    pub(super) fn health(&self) -> Health {
        match &self.stance {
            Stance::Awake(awake) => awake.actor.health(),
            Stance::Asleep { .. } => Health::Live,
        }
    }

    pub(super) fn is_in_step(&self) -> bool {
        match &self.stance {
            Stance::Awake(awake) => awake.actor.is_in_step(),
            Stance::Asleep { .. } => true,
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        match &self.stance {
            Stance::Awake(awake) => awake.actor.is_busy(),
            Stance::Asleep { .. } => false,
        }
    }
}

/// What an actor is woken with.
pub(super) struct Waking {
    pub(super) policy: Arc<Policy>,
    pub(super) jitter: Jitter,
    pub(super) fed: bool,
}

/// The slots of the stripes that one shard owns, beside their cells, by the numbers that the directory
/// gives out: stripe `number % stripes` is the shard's if `stripe % shards` is the shard's own.
pub(super) struct Slots {
    stripes: u32,
    shards: u32,
    shard: u32,
    owned: Vec<Vec<Row>>,
    len: usize,
}

/// The slots of one chunk of cells.
struct Row {
    cells: CellRef,
    slots: Vec<Option<Slot>>,
}

impl Slots {
    pub(super) fn new(stripes: u32, shards: u32, shard: u32) -> Self {
        let owned = stripes.div_ceil(shards.max(1));
        Self {
            stripes: stripes.max(1),
            shards: shards.max(1),
            shard,
            owned: (0..owned).map(|_| Vec::new()).collect(),
            len: 0,
        }
    }

    fn place(&self, number: u32) -> (usize, usize, usize) {
        let stripe = number % self.stripes / self.shards;
        let row = index(number / self.stripes);
        (index(stripe), row / CHUNK, row % CHUNK)
    }

    /// Puts a slot where the directory has its cell.
    pub(super) fn insert(&mut self, number: u32, cell: &CellRef, slot: Slot) {
        let (stripe, chunk, at) = self.place(number);
        let Some(rows) = self.owned.get_mut(stripe) else {
            return;
        };
        // The directory gives out the rows of a stripe from the first on.
        if rows.len() == chunk {
            rows.push(Row {
                cells: cell.clone(),
                slots: Vec::with_capacity(CHUNK),
            });
        }
        let Some(row) = rows.get_mut(chunk) else {
            return;
        };
        while row.slots.len() <= at {
            row.slots.push(None);
        }
        if let Some(place) = row.slots.get_mut(at) {
            self.len += usize::from(place.is_none());
            *place = Some(slot);
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Slot> {
        let (stripe, chunk, at) = self.place(number);
        let row = self.owned.get_mut(stripe)?.get_mut(chunk)?;
        let slot = row.slots.get_mut(at)?.take();
        self.len -= usize::from(slot.is_some());
        slot
    }

    pub(super) fn get(&self, number: u32) -> Option<&Slot> {
        let (stripe, chunk, at) = self.place(number);
        let row = self.owned.get(stripe)?.get(chunk)?;
        row.slots.get(at)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<(&mut Slot, &GrainCell)> {
        let (stripe, chunk, at) = self.place(number);
        let row = self.owned.get_mut(stripe)?.get_mut(chunk)?;
        let slot = row.slots.get_mut(at)?.as_mut()?;
        Some((slot, row.cells.beside(at)?))
    }

    pub(super) fn cell(&self, number: u32) -> Option<&GrainCell> {
        let (stripe, chunk, at) = self.place(number);
        self.owned.get(stripe)?.get(chunk)?.cells.beside(at)
    }

    /// The numbers in use at this moment, place by place.
    pub(super) fn all(&self) -> Vec<u32> {
        (0..self.places())
            .filter_map(|place| self.at(place))
            .collect()
    }

    /// How many places there are to walk through.
    pub(super) fn places(&self) -> usize {
        let chunks = self.owned.iter().map(Vec::len).max().unwrap_or(0);
        chunks * CHUNK * self.owned.len()
    }

    /// The number at a place, if it is in use.
    pub(super) fn at(&self, place: usize) -> Option<u32> {
        let (row, stripe) = (place / self.owned.len(), place % self.owned.len());
        let rows = self.owned.get(stripe)?.get(row / CHUNK)?;
        rows.slots.get(row % CHUNK)?.as_ref()?;
        let row = u32::try_from(row).ok()?;
        let stripe = u32::try_from(stripe).ok()? * self.shards + self.shard;
        row.checked_mul(self.stripes)?.checked_add(stripe)
    }

    /// How many are in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gleaner_core::GrainId;

    use super::*;
    use crate::directory::Directory;

    #[test]
    fn a_grain_at_rest_is_32_bytes() {
        assert_eq!(size_of::<Option<Slot>>(), 32);
    }

    #[test]
    fn shards_share_the_numbers_of_a_directory() {
        for (stripes, shards) in [(1, 1), (7, 2), (64, 3)] {
            let directory = Directory::new(stripes as usize, Some(1));
            let mut all: Vec<_> = (0..shards)
                .map(|shard| Slots::new(stripes, shards, shard))
                .collect();
            let policy = Arc::new(Policy::default());
            let mut given = BTreeSet::new();
            for key in 0..3_000 {
                let grain = GrainId::new("plane", key.to_string()).unwrap();
                let (number, cell) = directory.register(&grain, None).unwrap();
                let actor = GrainActor::new(policy.clone(), Jitter::new(1), true);
                let shard = directory.stripe_of(&grain) % shards as usize;
                let slot = Slot::new(Awake::new(actor, 0));
                all[shard].insert(number, &cell, slot);
                given.insert(number);
            }
            let found: BTreeSet<u32> = all.iter().flat_map(Slots::all).collect();
            assert_eq!(found, given);
            for number in &given {
                let slots = all.iter_mut().find(|slots| slots.get(*number).is_some());
                let slots = slots.unwrap();
                let grain = directory.grain_of(*number).unwrap();
                assert_eq!(directory.number(&grain), Some(*number));
                slots.cell(*number).unwrap().retire();
                let cell = directory.find(&grain).unwrap();
                assert!(cell.cell().unwrap().standing(None, cell.tenant).gone);
                assert!(slots.remove(*number).is_some() && slots.get(*number).is_none());
            }
            assert!(
                all.iter()
                    .all(|slots| slots.is_empty() && slots.all().is_empty())
            );
        }
    }
}
