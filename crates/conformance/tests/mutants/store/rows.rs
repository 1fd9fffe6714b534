//! S1 to S3, S6 and S7: what a run does to a row.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use gleaner_core::{
    Advance, Entry, FoldError, Generation, GrainId, Kind, LogId, Mark, Outcome, Replica, Result,
    Stamp, Stop, StopReason,
};

use super::{MAX_STATE, Plain, State};
use crate::faults::StoreFault::*;

/// A replica while a run is applied to it.
pub(super) struct Working {
    pub(super) replica: Option<Replica>,
    pub(super) applied: usize,
    pub(super) stop: Option<Stop>,
}

impl Plain {
    pub(super) fn step(
        &self,
        now: Option<&Replica>,
        entry: &Entry,
    ) -> Result<Option<Bytes>, StopReason> {
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
            Kind::FullState => match now.and_then(Replica::state) {
                Some(old) if self.is(WholeStatesAreAppended) => {
                    [old, entry.payload().as_ref()].concat().into()
                }
                _ => entry.payload().clone(),
            },
            Kind::Delta => {
                let Some(fold) = &self.fold else {
                    return Err(StopReason::NoFold);
                };
                let fits = now.is_some_and(|now| {
                    (now.cursor().is_just_below(entry.cursor()) || self.is(DeltasLeap))
                        && (entry.prev() == Some(now.digest()) || self.is(DeltasFollowAnything))
                        || self.is(DeltasAreNeverChecked)
                });
                let state = now.and_then(Replica::state);
                let Some(state) = state.filter(|_| fits) else {
                    if self.is(DeltasMakeAState) && now.is_none() {
                        return Ok(Some(entry.payload().clone()));
                    }
                    return Err(StopReason::Gap);
                };
                if self.is(PanicsEscape) {
                    return fold
                        .fold(entry.grain(), state, entry)
                        .map(Some)
                        .map_err(StopReason::Fold);
                }
                catch_unwind(AssertUnwindSafe(|| fold.fold(entry.grain(), state, entry)))
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

    pub(super) fn work(
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
                Some(EntriesAtTheCursorApply) => entry.cursor() < now.cursor(),
                Some(OlderEpochsApply) => entry.sequence() <= now.cursor().sequence,
                Some(OlderStatesApply) => entry.cursor() <= now.cursor() && !entry.kind().is_base(),
                _ => entry.cursor() <= now.cursor(),
            });
            if old {
                continue;
            }
            match self.step(now, entry) {
                Ok(state) => {
                    let digest = match now {
                        Some(now) if self.is(DigestsStay) => now.digest(),
                        _ => entry.digest(),
                    };
                    let state = match now {
                        Some(now) if self.is(TombstonesKeepTheState) && state.is_none() => {
                            now.state().map(Bytes::copy_from_slice)
                        }
                        _ => state,
                    };
                    let stamp = Stamp {
                        cursor: entry.cursor(),
                        digest,
                        generation,
                        log: log.clone(),
                        schema: entry.schema(),
                        written_at: entry.written_at(),
                    };
                    done.replica = Some(Replica::new(stamp, state.as_deref()));
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
                        let mut stamp = replica.stamp();
                        stamp.cursor = last.cursor();
                        *replica = Replica::new(stamp, replica.state());
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

    pub(super) fn put(&self, state: &mut State, grain: &GrainId, replica: Replica) {
        let ended = !replica.is_present();
        if ended && self.is(TombstonesForgetTheCursor) {
            state.rows.remove(grain);
            return;
        }
        state
            .first
            .entry(grain.clone())
            .or_insert_with(|| replica.clone());
        if self.is(RowsEndAtNul) {
            let end = grain.grain_key().split('\0').next().unwrap_or_default();
            let cut = GrainId::new(grain.grain_type(), end);
            state.rows.extend(cut.map(|cut| (cut, replica.clone())));
        }
        state.rows.insert(grain.clone(), replica);
    }

    pub(super) fn apply_one(&self, state: &mut State, log: &LogId, run: &Advance) -> Outcome {
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
        let done = self.work(current.as_ref(), log, mark.generation, &run.entries);
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
    pub(super) async fn torn(&self, log: &LogId, run: &Advance) -> Outcome {
        for entry in &run.entries {
            let (mark, current) = {
                let state = self.state.lock();
                (
                    Self::mark(&state, &run.grain),
                    state.rows.get(&run.grain).cloned(),
                )
            };
            let one = std::slice::from_ref(entry);
            let done = self.work(current.as_ref(), log, mark.generation, one);
            if let (Some(new), Some(old)) = (&done.replica, &current) {
                let half = Replica::new(old.stamp(), new.state());
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
    pub(super) async fn racing(&self, log: &LogId, run: &Advance) -> Outcome {
        let mut copy = self.state.lock().clone();
        let outcome = self.apply_one(&mut copy, log, run);
        crate::a_bad_moment().await;
        if let Some(row) = copy.rows.get(&run.grain).filter(|_| outcome.applied > 0) {
            self.put(&mut self.state.lock(), &run.grain, row.clone());
        }
        outcome
    }
}
