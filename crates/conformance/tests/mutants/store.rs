//! A replica store in memory, written anew for the kit, into which one fault can be planted.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gleaner_conformance::StoreFactory;
use gleaner_core::{
    Advance, Binding, Entry, Error, Expected, Filter, Fold, FoldError, Generation, GrainId, Kind,
    LogId, Mark, Outcome, Rebase, Replica, ReplicaCell, ReplicaPage, ReplicaStore, Result, Stop,
    StopReason,
};
use parking_lot::Mutex;

use crate::faults::StoreFault::{self, *};

const MAX_STATE: usize = 1 << 16;

#[derive(Debug, Default, Clone)]
pub(crate) struct State {
    rows: BTreeMap<GrainId, Arc<Replica>>,
    absent: u64,
    bound: Option<LogId>,
    /// The first replica of each grain, as a cache that is never told.
    first: BTreeMap<GrainId, Arc<Replica>>,
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

/// A replica while a run is applied to it.
struct Working {
    replica: Option<Replica>,
    applied: usize,
    stop: Option<Stop>,
}

impl Plain {
    fn is(&self, fault: StoreFault) -> bool {
        self.fault == Some(fault)
    }

    fn mark(state: &State, grain: &GrainId) -> Mark {
        state.rows.get(grain).map_or_else(
            || Mark::absent(Generation::new(state.absent)),
            |row| row.mark(),
        )
    }

    fn step(&self, now: Option<&Replica>, entry: &Entry) -> Result<Option<Bytes>, StopReason> {
        if let Some(fold) = &self.fold
            && entry.schema() > fold.newest_schema()
            && !self.is(NewerSchemasAreTaken)
        {
            let newest = fold.newest_schema();
            return Err(StopReason::Schema {
                schema: entry.schema(),
                newest,
            });
        }
        let state = match entry.kind() {
            Kind::Tombstone => return Ok(None),
            Kind::FullState => match now.and_then(|now| now.state.as_ref()) {
                Some(old) if self.is(WholeStatesAreAppended) => {
                    [old.as_ref(), entry.payload().as_ref()].concat().into()
                }
                _ => entry.payload().clone(),
            },
            Kind::Delta => {
                let Some(fold) = &self.fold else {
                    return Err(StopReason::NoFold);
                };
                let fits = now.is_some_and(|now| {
                    (now.cursor.is_just_below(entry.cursor()) || self.is(DeltasLeap))
                        && (entry.prev() == Some(now.digest) || self.is(DeltasFollowAnything))
                        || self.is(DeltasAreNeverChecked)
                });
                let state = now.and_then(|now| now.state.clone());
                let Some(state) = state.filter(|_| fits) else {
                    if self.is(DeltasMakeAState) && now.is_none() {
                        return Ok(Some(entry.payload().clone()));
                    }
                    return Err(StopReason::Gap);
                };
                if self.is(PanicsEscape) {
                    return fold
                        .fold(entry.grain(), &state, entry)
                        .map(Some)
                        .map_err(StopReason::Fold);
                }
                catch_unwind(AssertUnwindSafe(|| fold.fold(entry.grain(), &state, entry)))
                    .unwrap_or_else(|panic| {
                        let said = panic.downcast_ref::<&str>().copied().unwrap_or_default();
                        Err(FoldError::new(format!("the fold panicked: {said}")))
                    })
                    .map_err(StopReason::Fold)?
            }
        };
        if state.len() > MAX_STATE && !self.is(LargeStatesAreTaken) {
            return Err(StopReason::TooLarge {
                size: state.len(),
                limit: MAX_STATE,
            });
        }
        Ok(Some(state))
    }

    fn work(
        &self,
        current: Option<&Replica>,
        log: &LogId,
        generation: Generation,
        entries: &[Entry],
    ) -> Working {
        let mut done = Working {
            replica: None,
            applied: 0,
            stop: None,
        };
        for entry in entries {
            let now = done.replica.as_ref().or(current);
            let old = now.is_some_and(|now| match self.fault {
                Some(EntriesAtTheCursorApply) => entry.cursor() < now.cursor,
                Some(OlderEpochsApply) => entry.sequence() <= now.cursor.sequence,
                Some(OlderStatesApply) => entry.cursor() <= now.cursor && !entry.kind().is_base(),
                _ => entry.cursor() <= now.cursor,
            });
            if old {
                continue;
            }
            match self.step(now, entry) {
                Ok(state) => {
                    let digest = match now {
                        Some(now) if self.is(DigestsStay) => now.digest,
                        _ => entry.digest(),
                    };
                    let state = match now {
                        Some(now) if self.is(TombstonesKeepTheState) && state.is_none() => {
                            now.state.clone()
                        }
                        _ => state,
                    };
                    done.replica = Some(Replica {
                        state,
                        cursor: entry.cursor(),
                        digest,
                        generation,
                        log: log.clone(),
                        schema: entry.schema(),
                        written_at: entry.written_at(),
                    });
                    done.applied += 1;
                }
                Err(why) => {
                    done.stop.get_or_insert(Stop {
                        at: entry.cursor(),
                        why,
                    });
                    if self.is(GapsAreSkipped) {
                        continue;
                    }
                    if self.is(CursorsRunAhead)
                        && let (Some(replica), Some(last)) = (&mut done.replica, entries.last())
                    {
                        replica.cursor = last.cursor();
                    }
                    if self.is(StoppedRunsAreDropped) {
                        done.replica = None;
                        done.applied = 0;
                    }
                    break;
                }
            }
        }
        done
    }

    fn put(&self, state: &mut State, grain: &GrainId, replica: Replica) {
        let ended = replica.state.is_none();
        if ended && self.is(TombstonesForgetTheCursor) {
            state.rows.remove(grain);
            return;
        }
        let replica = Arc::new(replica);
        state
            .first
            .entry(grain.clone())
            .or_insert_with(|| Arc::clone(&replica));
        state.rows.insert(grain.clone(), replica);
    }

    fn apply_one(&self, state: &mut State, log: &LogId, run: &Advance) -> Outcome {
        let mark = Self::mark(state, &run.grain);
        let at = run.entries.first().map_or(mark.cursor, Entry::cursor);
        let stopped = |why, mark: &Mark| Outcome {
            mark: mark.clone(),
            applied: 0,
            stop: Some(Stop { at, why }),
        };
        let bound = state.bound.as_ref() == Some(log) || self.is(AnyLogApplies);
        let owned = mark.log.as_ref().is_none_or(|owner| owner == log)
            || self.is(AnyLogApplies)
            || self.is(AnyReplicaTakesTheBoundLog)
            || (self.is(HigherBasesHealForeigners)
                && run.entries.first().is_some_and(|first| {
                    first.kind().is_base() && first.epoch() > mark.cursor.epoch
                }));
        if !bound || !owned {
            return stopped(StopReason::ForeignLog, &mark);
        }
        let late = match self.fault {
            Some(GenerationsAreIgnored) => false,
            Some(OnlyOlderGenerationsAreLate) => run.generation < mark.generation,
            Some(GenerationsOfTheAbsentAreIgnored) if mark.log.is_none() => false,
            _ => run.generation != mark.generation,
        };
        if late {
            return stopped(StopReason::Moved, &mark);
        }
        let current = state.rows.get(&run.grain).cloned();
        let done = self.work(current.as_deref(), log, mark.generation, &run.entries);
        if let Some(replica) = done.replica {
            self.put(state, &run.grain, replica);
        }
        Outcome {
            mark: Self::mark(state, &run.grain),
            applied: done.applied,
            stop: done.stop,
        }
    }

    /// State first, cursor later.
    async fn torn(&self, log: &LogId, run: &Advance) -> Outcome {
        for entry in &run.entries {
            let (mark, current) = {
                let state = self.state.lock();
                (
                    Self::mark(&state, &run.grain),
                    state.rows.get(&run.grain).cloned(),
                )
            };
            let one = std::slice::from_ref(entry);
            let done = self.work(current.as_deref(), log, mark.generation, one);
            if let (Some(new), Some(old)) = (&done.replica, &current) {
                let half = Replica {
                    state: new.state.clone(),
                    ..(**old).clone()
                };
                self.put(&mut self.state.lock(), &run.grain, half);
            }
            if let Some(new) = done.replica {
                crate::a_bad_moment().await;
                self.put(&mut self.state.lock(), &run.grain, new);
            }
        }
        let mark = Self::mark(&self.state.lock(), &run.grain);
        Outcome {
            mark,
            applied: run.entries.len(),
            stop: None,
        }
    }

    /// Read, folded, and written over whatever is there by then.
    async fn racing(&self, log: &LogId, run: &Advance) -> Outcome {
        let mut copy = self.state.lock().clone();
        let outcome = self.apply_one(&mut copy, log, run);
        crate::a_bad_moment().await;
        if let Some(row) = copy.rows.get(&run.grain).filter(|_| outcome.applied > 0) {
            self.put(&mut self.state.lock(), &run.grain, (**row).clone());
        }
        outcome
    }

    fn seen(state: &State, grain: &GrainId) -> Option<Arc<Replica>> {
        state.rows.get(grain).cloned()
    }
}

struct Cell {
    store: Plain,
    grain: GrainId,
    taken: Option<Arc<Replica>>,
}

impl ReplicaCell for Cell {
    fn load(&self) -> Option<Arc<Replica>> {
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
        let grain = &rebase.grain;
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

    async fn get(&self, grain: &GrainId) -> Result<Option<Arc<Replica>>> {
        let state = self.state.lock();
        if self.is(GetsAreCached)
            && let Some(first) = state.first.get(grain)
        {
            return Ok(Some(Arc::clone(first)));
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
        let mut all: Vec<(GrainId, Arc<Replica>)> = state
            .rows
            .iter()
            .filter(|(grain, _)| filter.includes(grain))
            .filter(|(grain, _)| after.is_none_or(|after| *grain > after))
            .filter(|(_, row)| row.state.is_some() || !self.is(ListsLeaveOutTheDead))
            .map(|(grain, row)| (grain.clone(), Arc::clone(row)))
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

    fn peek(&self, grain: &GrainId) -> Option<Arc<Replica>> {
        let state = self.state.lock();
        if self.is(PeeksAreFrozen) {
            return state.first.get(grain).cloned();
        }
        Self::seen(&state, grain)
    }

    fn handle(&self, grain: &GrainId) -> Option<Arc<dyn ReplicaCell>> {
        let taken = self.peek(grain);
        if self.is(HandlesNeedAState) && taken.is_none() {
            return None;
        }
        Some(Arc::new(Cell {
            store: self.clone(),
            grain: grain.clone(),
            taken,
        }))
    }
}
