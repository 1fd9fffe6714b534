//! [`MemoryReplicaStore`]: replicas in a concurrent map, read without copying.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use gleaner_core::replica::{Advanced, Rules, Under, advance, refuse_apply, refuse_rebase};
use gleaner_core::{
    Advance, Binding, Expected, Filter, Fold, Generation, GrainId, Limits, LogId, Mark, Outcome,
    Rebase, Replica, ReplicaHandle, ReplicaPage, ReplicaStore, Result, StopReason,
};
use parking_lot::RwLock;

use crate::slots::Slots;

/// Keeps replicas for as long as its last clone lives. Clones share the replicas; fold and bound are
/// each clone's own, so that a test can start a second process on the same store with another fold.
///
/// # Concurrency
/// Readers take no lock but the map's, a handle not even that, and get the replica of one moment by
/// reference count (S4). Writers of one grain follow one another: each holds that grain's lock from
/// reading the former replica until the new one is in its place, and what a call decides (log,
/// generation, cursor, whether a Delta fits) is decided under it. Grains do not wait for each other.
/// No call awaits anything, so none can be cancelled half-way (S5).
///
/// Generations: the store's own is raised above a replica's before that replica disappears, under the
/// grain's lock. Whoever sees the grain gone sees the raised generation, and an apply that was on its
/// way carries a lower one (S8). The store has one such number for all grains that it does not have:
/// removing one grain makes a first apply of another that is on its way answer `Moved`, and its caller
/// loads the cursor again.
///
/// An apply and a rebase hold the binding for reading from their check to their end, so that `bind`
/// falls before or after them (S9).
#[derive(Clone)]
pub struct MemoryReplicaStore {
    shared: Arc<Shared>,
    fold: Option<Arc<dyn Fold>>,
    max_state: usize,
}

#[derive(Debug, Default)]
struct Shared {
    slots: Arc<Slots>,
    /// The generation of every grain that the store does not have.
    absent: AtomicU64,
    bound: RwLock<Option<LogId>>,
}

impl MemoryReplicaStore {
    /// An empty store, bound to no log, without a fold: `FullState`s and Tombstones only.
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
            fold: None,
            max_state: Limits::DEFAULT_MAX_PAYLOAD,
        }
    }

    /// Sets how Deltas are folded.
    #[must_use]
    pub fn with_fold(mut self, fold: Arc<dyn Fold>) -> Self {
        self.fold = Some(fold);
        self
    }

    /// Sets the largest state kept, in bytes; a larger one stops its run. Default:
    /// [`Limits::DEFAULT_MAX_PAYLOAD`], so that no `FullState` of a log with default limits is refused.
    #[must_use]
    pub fn with_max_state(mut self, bytes: usize) -> Self {
        self.max_state = bytes;
        self
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            fold: self.fold.as_deref(),
            max_state: self.max_state,
        }
    }

    fn apply_one(&self, log: &LogId, bound: Option<&LogId>, run: &Advance) -> Outcome {
        let Some(slot) = self.shared.slots.place(&run.grain) else {
            let mark = self.shared.mark(None);
            return Outcome::unmoved(mark, &run.entries, StopReason::Moved);
        };
        let outcome = {
            let writing = slot.write();
            let current = writing.current();
            let mark = self.shared.mark(current.as_ref());
            #[cfg(gleaner_plant)]
            let run = &planted_run(run, &mark);
            if let Some(why) = refuse_apply(&mark, bound, log, run) {
                Outcome::unmoved(mark, &run.entries, why)
            } else {
                let under = Under {
                    log,
                    generation: mark.generation,
                    rules: self.rules(),
                };
                let Advanced {
                    replica,
                    applied,
                    stop,
                } = advance(current.as_ref(), under, &run.entries);
                let mark = replica.as_ref().map_or(mark, Replica::mark);
                #[cfg(gleaner_plant)]
                let replica = replica.and_then(planted);
                if replica.is_some() {
                    writing.put(replica);
                }
                Outcome {
                    mark,
                    applied,
                    stop,
                }
            }
        };
        drop(slot);
        outcome
    }

    fn rebase_one(&self, log: &LogId, bound: Option<&LogId>, rebase: &Rebase) -> Outcome {
        let entries = &rebase.entries;
        let Some(slot) = self.shared.slots.place(&rebase.grain) else {
            let mark = self.shared.mark(None);
            return Outcome::unmoved(mark, &rebase.entries, StopReason::Moved);
        };
        let outcome = {
            let writing = slot.write();
            let mark = self.shared.mark(writing.current().as_ref());
            if let Some(why) = refuse_rebase(&mark, bound, log, rebase) {
                Outcome::unmoved(mark, entries, why)
            } else {
                let under = Under {
                    log,
                    generation: mark.generation.next(),
                    rules: self.rules(),
                };
                #[cfg(gleaner_plant)]
                let under = if gleaner_core::plant::Plant::RebaseKeepsTheGeneration.is_planted() {
                    Under {
                        generation: mark.generation,
                        ..under
                    }
                } else {
                    under
                };
                match advance(None, under, entries) {
                    Advanced {
                        replica: Some(replica),
                        applied,
                        stop: None,
                    } => {
                        let mark = replica.mark();
                        writing.put(Some(replica));
                        Outcome {
                            mark,
                            applied,
                            stop: None,
                        }
                    }
                    // All of the run or nothing.
                    Advanced { stop, .. } => Outcome {
                        mark,
                        applied: 0,
                        stop,
                    },
                }
            }
        };
        drop(slot);
        outcome
    }
}

impl Shared {
    /// The mark of a replica, or of a grain that the store does not have. The replica is looked for
    /// first: its generation is raised before it is gone.
    fn mark(&self, replica: Option<&Replica>) -> Mark {
        replica.map_or_else(
            || Mark::absent(Generation::new(self.absent.load(Ordering::SeqCst))),
            Replica::mark,
        )
    }

    /// Removes a replica if `wanted` says so; whether it did.
    fn remove_if(&self, grain: &GrainId, wanted: impl FnOnce(&Replica) -> bool) -> bool {
        let Some(slot) = self.slots.find(grain) else {
            return false;
        };
        let removed = {
            let writing = slot.write();
            match writing.current() {
                Some(replica) if wanted(&replica) => {
                    let above = replica.generation().next().get();
                    self.absent.fetch_max(above, Ordering::SeqCst);
                    writing.put(None);
                    true
                }
                _ => false,
            }
        };
        drop(slot);
        removed
    }
}

#[cfg(gleaner_plant)]
fn planted_run(run: &Advance, mark: &Mark) -> Advance {
    let mut run = run.clone();
    if gleaner_core::plant::Plant::LateApplyAfterRebase.is_planted() {
        run.generation = mark.generation;
    }
    run
}

#[cfg(gleaner_plant)]
fn planted(replica: Replica) -> Option<Replica> {
    use gleaner_core::plant::Plant;
    let mut stamp = replica.stamp();
    let mut state = replica.state();
    if Plant::TombstoneForgetsTheCursor.is_planted() && state.is_none() {
        stamp.cursor = gleaner_core::Cursor::ZERO;
    }
    if Plant::TornReplica.is_planted() && stamp.cursor.sequence.get() % 16 == 0 {
        state = state.map(|state| state.get(..state.len() / 2).unwrap_or_default());
    }
    Some(Replica::new(stamp, state))
}

impl Default for MemoryReplicaStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryReplicaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplicaStore")
            .field("shared", &self.shared)
            .field("fold", &self.fold.is_some())
            .field("max_state", &self.max_state)
            .finish()
    }
}

#[async_trait]
impl ReplicaStore for MemoryReplicaStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        let mut bound = self.shared.bound.write();
        match bound.as_ref() {
            Some(other) if other != log && replacing != Some(other) => {
                Ok(Binding::Foreign { log: other.clone() })
            }
            _ => {
                *bound = Some(log.clone());
                Ok(Binding::Bound)
            }
        }
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let bound = self.shared.bound.read();
        Ok(runs
            .iter()
            .map(|run| self.apply_one(log, bound.as_ref(), run))
            .collect())
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let bound = self.shared.bound.read();
        Ok(self.rebase_one(log, bound.as_ref(), &rebase))
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        Ok(self.shared.remove_if(grain, |replica| {
            replica.cursor() == expected.cursor && replica.generation() == expected.generation
        }))
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        let removed = grains
            .iter()
            .filter(|grain| self.shared.remove_if(grain, |_| true))
            .count();
        Ok(removed as u64)
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        Ok(self.peek(grain))
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        Ok(grains
            .iter()
            .map(|grain| self.shared.mark(self.peek(grain).as_ref()))
            .collect())
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        let limit = limit.max(1);
        let mut page = ReplicaPage::default();
        let mut after = after.cloned();
        // Empty slots are passed over; one replica beyond the page tells whether there is a next.
        loop {
            let wanted = limit.saturating_add(1);
            let (ids, stopped) = self.shared.slots.ids(filter, after.as_ref(), wanted);
            let cut = ids.len() < wanted;
            for grain in ids {
                let Some(replica) = self.peek(&grain) else {
                    continue;
                };
                if page.replicas.len() == limit {
                    page.next = page.replicas.last().map(|(last, _)| last.clone());
                    return Ok(page);
                }
                page.replicas.push((grain, replica));
            }
            if cut || stopped.is_none() {
                // The end, or many that the filter leaves out: the caller decides whether to go on.
                page.next = stopped;
                return Ok(page);
            }
            after = stopped;
        }
    }

    fn is_resident(&self) -> bool {
        true
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.shared.slots.load(grain)
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        self.shared.slots.handle(grain)
    }
}

#[cfg(test)]
mod tests;
