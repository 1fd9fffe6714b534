//! A replica store in memory, written anew for the kit, into which one fault can be planted.

mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use gleaner_conformance::StoreFactory;
use gleaner_core::{
    Advance, Binding, Entry, Error, Expected, Filter, Fold, Generation, GrainId, LogId, Mark,
    Outcome, Rebase, Replica, ReplicaHandle, ReplicaPage, ReplicaPlaces, ReplicaStore, Result,
    Stop, StopReason,
};
use parking_lot::Mutex;

use crate::faults::StoreFault::{self, *};
use crate::log::like;

const MAX_STATE: usize = 1 << 16;

#[derive(Debug, Default, Clone)]
pub(crate) struct State {
    rows: BTreeMap<GrainId, Replica>,
    absent: u64,
    bound: Option<LogId>,
    /// The first replica of each grain, as a cache that is never told.
    first: BTreeMap<GrainId, Replica>,
}

/// The store. Clones are one store.
#[derive(Clone)]
pub(crate) struct Plain {
    fault: Option<StoreFault>,
    state: Arc<Mutex<State>>,
    fold: Option<Arc<dyn Fold>>,
}

/// Opens the store with a fault, or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stores(pub(crate) Option<StoreFault>);

impl StoreFactory for Stores {
    type Guard = Plain;
    type Store = Plain;

    async fn open(&self, fold: Option<Arc<dyn Fold>>) -> (Plain, Plain) {
        let plain = Plain {
            fault: self.0,
            state: Arc::default(),
            fold,
        };
        (plain.clone(), plain)
    }

    async fn reopen(&self, guard: &Plain, fold: Option<Arc<dyn Fold>>) -> Option<Plain> {
        let mut state = guard.state.lock();
        match self.0 {
            Some(ReopeningLosesRows) => {
                state.rows.pop_last();
            }
            Some(ReopeningForgetsGenerations) => state.absent = 0,
            Some(ReopeningForgetsTheBinding) => state.bound = None,
            _ => {}
        }
        Some(Plain {
            fold,
            ..guard.clone()
        })
    }

    fn max_state(&self) -> usize {
        MAX_STATE
    }
}

impl Plain {
    fn is(&self, fault: StoreFault) -> bool {
        self.fault == Some(fault)
    }

    /// Which grain a removal or a rebase falls upon.
    fn meant(&self, state: &State, grain: &GrainId, fault: StoreFault) -> GrainId {
        if self.is(fault) {
            like(&state.rows, grain)
        } else {
            grain.clone()
        }
    }

    fn mark(state: &State, grain: &GrainId) -> Mark {
        state.rows.get(grain).map_or_else(
            || Mark::absent(Generation::new(state.absent)),
            gleaner_core::Replica::mark,
        )
    }

    fn seen(state: &State, grain: &GrainId) -> Option<Replica> {
        state.rows.get(grain).cloned()
    }
}

struct Cell {
    store: Plain,
    grain: GrainId,
    taken: Option<Replica>,
}

impl ReplicaPlaces for Cell {
    fn load(&self, _: u64) -> Option<Replica> {
        let state = self.store.state.lock();
        match self.store.fault {
            Some(HandlesAreFrozen) => self.taken.clone(),
            Some(HandlesOutliveRemoval) => state
                .rows
                .get(&self.grain)
                .or_else(|| state.first.get(&self.grain))
                .cloned(),
            _ => Plain::seen(&state, &self.grain),
        }
    }
}

#[async_trait]
impl ReplicaStore for Plain {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        let mut state = self.state.lock();
        match &state.bound {
            Some(other)
                if other != log
                    && replacing != Some(other)
                    && !(self.is(AnyReplacingBinds) && replacing.is_some())
                    && !self.is(EveryBindingBinds) =>
            {
                Ok(Binding::Foreign { log: other.clone() })
            }
            _ => {
                if self.is(BindingAgainClears) && state.bound.is_some() {
                    state.rows.clear();
                }
                state.bound = Some(log.clone());
                Ok(Binding::Bound)
            }
        }
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for run in &runs {
            let outcome = match self.fault {
                Some(StateComesBeforeCursor | DroppedAppliesAreTorn) => self.torn(log, run).await,
                Some(AppliesRace) => self.racing(log, run).await,
                _ => self.apply_one(&mut self.state.lock(), log, run),
            };
            let failed = matches!(
                &outcome.stop,
                Some(Stop {
                    why: StopReason::Fold(_),
                    ..
                })
            );
            if failed && self.is(AFailedFoldFailsTheCall) {
                return Err(Error::permanent("mutant", "a fold failed"));
            }
            let stopped = outcome.stop.is_some();
            outcomes.push(outcome);
            if stopped && self.is(AStopEndsTheCall) {
                for run in runs.iter().skip(outcomes.len()) {
                    let mark = Self::mark(&self.state.lock(), &run.grain);
                    outcomes.push(Outcome {
                        mark,
                        applied: 0,
                        stop: None,
                    });
                }
                break;
            }
        }
        if self.is(OutcomesAreReversed) {
            outcomes.reverse();
        }
        Ok(outcomes)
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let grain = &self.meant(&self.state.lock(), &rebase.grain, RebasesIgnoreCase);
        let mark = Self::mark(&self.state.lock(), grain);
        if self.is(RebasesRace) {
            crate::a_bad_moment().await;
        }
        let at = rebase.entries.first().map_or(mark.cursor, Entry::cursor);
        let stopped = |why| Outcome {
            mark: mark.clone(),
            applied: 0,
            stop: Some(Stop { at, why }),
        };
        let bound = self.state.lock().bound.as_ref() == Some(log);
        if !bound && !self.is(AnyLogRebases) {
            return Ok(stopped(StopReason::ForeignLog));
        }
        let expected = match self.fault {
            Some(RebasesIgnoreTheCursor) => rebase.expected.generation == mark.generation,
            Some(RebasesIgnoreTheGeneration) => rebase.expected.cursor == mark.cursor,
            _ => rebase.expected == Expected::from(&mark),
        };
        if !expected {
            return Ok(stopped(StopReason::Moved));
        }
        let based = rebase
            .entries
            .first()
            .is_some_and(|first| first.kind().is_base());
        if !based && !self.is(RebasesNeedNoBase) {
            return Ok(stopped(StopReason::NoBase));
        }
        let generation = if self.is(RebasesKeepTheGeneration) {
            mark.generation
        } else {
            mark.generation.next()
        };
        if self.is(RebasesRemoveFirst) {
            self.state.lock().rows.remove(grain);
            crate::a_bad_moment().await;
        }
        let mut state = self.state.lock();
        if !self.is(RebasesRace)
            && !self.is(RebasesRemoveFirst)
            && Self::mark(&state, grain) != mark
        {
            return Ok(stopped(StopReason::Moved));
        }
        let done = self.work(None, log, generation, &rebase.entries);
        if done.stop.is_some() && !self.is(RebasesStopHalfWay) {
            return Ok(Outcome {
                mark,
                applied: 0,
                stop: done.stop,
            });
        }
        if let Some(replica) = done.replica {
            self.put(&mut state, grain, replica);
        }
        let mark = Self::mark(&state, grain);
        Ok(Outcome {
            mark,
            applied: done.applied,
            stop: done.stop,
        })
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        let mut state = self.state.lock();
        let grain = &self.meant(&state, grain, RemovalsIgnoreCase);
        let mark = Self::mark(&state, grain);
        let right = expected == Expected::from(&mark) || self.is(RemovesIgnoreTheExpected);
        if mark.log.is_none() || !right {
            return Ok(self.is(RemovesAlwaysSayYes));
        }
        state.rows.remove(grain);
        if !self.is(RemovesDoNotRaise) {
            state.absent = state.absent.max(mark.generation.get() + 1);
        }
        Ok(true)
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        let mut state = self.state.lock();
        let mut removed = 0;
        if self.is(PruningRemovesAll) && !grains.is_empty() {
            removed = state.rows.len() as u64;
            state.rows.clear();
        }
        for grain in grains {
            let generation = Self::mark(&state, grain).generation;
            if state.rows.remove(grain).is_some() {
                removed += 1;
                if !self.is(PrunesDoNotRaise) {
                    state.absent = state.absent.max(generation.get() + 1);
                }
            }
        }
        Ok(removed)
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        let state = self.state.lock();
        if self.is(GetsAreCached)
            && let Some(first) = state.first.get(grain)
        {
            return Ok(Some(first.clone()));
        }
        Ok(Self::seen(&state, grain))
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        let state = self.state.lock();
        let mut marks: Vec<Mark> = grains
            .iter()
            .map(|grain| Self::mark(&state, grain))
            .collect();
        if self.is(MarksLeaveOutStrangers) {
            marks.retain(|mark| mark.log.is_some());
        }
        Ok(marks)
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        let state = self.state.lock();
        let mut all: Vec<(GrainId, Replica)> = state
            .rows
            .iter()
            .filter(|(grain, _)| match self.fault {
                Some(ListsIgnoreThePrefix) => filter.clone().key_prefix("").includes(grain),
                Some(ListsIgnoreTheSlices) => filter.clone().slices(0..1024).includes(grain),
                _ => filter.includes(grain),
            })
            .filter(|(grain, _)| after.is_none_or(|after| *grain > after))
            .filter(|(_, row)| row.state().is_some() || !self.is(ListsLeaveOutTheDead))
            .map(|(grain, row)| (grain.clone(), row.clone()))
            .collect();
        if self.is(ListsAreByKey) {
            all.sort_by(|(a, _), (b, _)| a.grain_key().cmp(b.grain_key()));
        }
        let limit = limit.max(1);
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().map(|(grain, _)| grain.clone()).filter(|_| more);
        Ok(ReplicaPage {
            replicas: all,
            next,
        })
    }

    fn is_resident(&self) -> bool {
        true
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        let state = self.state.lock();
        if self.is(PeeksAreFrozen) {
            return state.first.get(grain).cloned();
        }
        Self::seen(&state, grain)
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        let taken = self.peek(grain);
        if self.is(HandlesNeedAState) && taken.is_none() {
            return None;
        }
        let cell = Cell {
            store: self.clone(),
            grain: grain.clone(),
            taken,
        };
        Some(ReplicaHandle::new(Arc::new(cell), 0))
    }
}
