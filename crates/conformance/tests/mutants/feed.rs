//! The change feed of the kit's own log, with a fault or without.

use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{
    ChangeFeed, Changes, Entry, Error, Filter, Identity, Kind, Moved, Position, Pushed, PushedRun,
    Result,
};

use crate::faults::LogFault::*;
use crate::log::{Plain, State, copy, like};

/// How far a start lies ahead, with that fault.
const AHEAD: u64 = 40;

impl Plain {
    fn number(&self, state: &State, since: &Position, filter: &Filter) -> Result<u64> {
        let identity = if self.is(AnyIdentityIsServed) {
            since.identity()
        } else {
            &state.identity
        };
        let own_type = since.filter().only_type() == filter.only_type();
        let asked = if self.is(WiderFiltersAreServed) || (own_type && self.is(OnlyTypesAreBound)) {
            since.filter()
        } else {
            filter
        };
        let number = match since.counters(identity, asked, "mutant")? {
            [number] => *number,
            _ => return Err(Error::expired("mutant", "no position of this feed")),
        };
        // Starts that lie ahead have to be served to do their harm.
        let beyond = number > state.counter + if self.is(StartsLieAhead) { AHEAD } else { 0 };
        if beyond && !self.is(BeyondTheEndIsServed) {
            return Err(Error::expired("mutant", "beyond the end"));
        }
        Ok(number)
    }

    fn position(state: &State, filter: &Filter, number: u64) -> Position {
        Position::new(state.identity.clone(), filter.clone(), vec![number])
    }
}

impl Plain {
    /// What is sent of these entries: a run a grain.
    fn runs<'a>(
        &self,
        filter: &Filter,
        written: impl Iterator<Item = &'a Entry>,
    ) -> Vec<PushedRun> {
        let mut runs: Vec<PushedRun> = Vec::new();
        for entry in written {
            if !self.is(PushesIgnoreTheFilter) && !self.passes(filter, entry.grain()) {
                continue;
            }
            let mut entry = entry.clone();
            if self.is(PushesAreAltered) && entry.kind() == Kind::Delta {
                let mut draft = copy(&entry);
                draft.payload = "another".into();
                entry = draft.seal();
            }
            match runs.iter_mut().find(|run| run.grain == *entry.grain()) {
                Some(run) => run.entries.push(entry),
                None => runs.push(PushedRun {
                    grain: entry.grain().clone(),
                    entries: vec![entry],
                }),
            }
        }
        for run in &mut runs {
            if self.is(PushesLeaveOutADelta) && run.entries.len() > 2 {
                run.entries.remove(1);
            }
        }
        runs
    }
}

#[async_trait]
impl ChangeFeed for Plain {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        let state = self.state.lock();
        let ahead = if self.is(StartsLieAhead) { AHEAD } else { 0 };
        Ok(Self::position(&state, filter, state.counter + ahead))
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        let (mut page, snapshot) = {
            let state = self.state.lock();
            let since = self.number(&state, since, filter)?;
            let mut rows: Vec<(u64, Moved)> = state
                .grains
                .values()
                .filter(|grain| grain.moved_at > since)
                .filter_map(|grain| {
                    let (id, head) = (grain.id.clone()?, grain.head?);
                    let head = if self.is(NamesCarryTheFirstHead) {
                        grain.first.unwrap_or(head)
                    } else {
                        head
                    };
                    let id = if self.is(NamesAreFolded) {
                        like(&state.grains, &id)
                    } else {
                        id
                    };
                    Some((grain.moved_at, Moved { grain: id, head }))
                })
                .collect();
            rows.sort_by_key(|(at, _)| *at);
            let limit = if self.is(PagesIgnoreTheLimit) {
                usize::MAX
            } else {
                limit
            };
            let limit = if self.is(ALimitOfNothingStops) {
                limit
            } else {
                limit.max(1)
            };
            let more = rows.len() > limit;
            rows.truncate(limit);
            let last = rows.last().map_or(since, |(at, _)| *at);
            let mut next = if more { last } else { state.counter.max(since) };
            if self.is(CutPagesGoToTheEnd) {
                next = state.counter;
            }
            let moved: Vec<Moved> = rows
                .into_iter()
                .map(|(_, moved)| moved)
                .filter(|moved| self.passes(filter, &moved.grain))
                .filter(|moved| {
                    !self.is(APrefixLosesTheWholeKey)
                        || filter.only_prefix() != Some(moved.grain.grain_key())
                })
                .filter(|moved| {
                    moved.grain.grain_type() != "odd"
                        || !self.is(AFilterLosesItsOwn)
                        || filter.only_type().is_none()
                })
                .collect();
            let sparse = moved.is_empty() && self.is(SparsePagesSayComplete);
            let page = Changes {
                moved,
                next: Self::position(&state, filter, next),
                complete: !more || sparse || self.is(PagesAlwaysSayComplete),
                age: Duration::ZERO,
            };
            (page, state.counter)
        };
        if self.is(NextIsOfALaterMoment) && page.complete {
            // What is appended here lies between the page and its `next`.
            crate::a_bad_moment().await;
            let state = self.state.lock();
            page.next = Self::position(&state, filter, state.counter.max(snapshot));
        }
        if self.is(PagesNeverSayComplete) {
            page.complete = false;
        }
        Ok(page)
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        let mut moved = self.moved.subscribe();
        let at_end = {
            let state = self.state.lock();
            self.number(&state, since, since.filter())
                .is_ok_and(|number| number >= state.counter)
        };
        let expired = {
            let state = self.state.lock();
            self.number(&state, since, since.filter()).is_err()
        };
        if self.is(WaitsNeverWake) && at_end {
            tokio::time::sleep(at_most).await;
        } else if self.is(WaitsHaveNoDeadline) && (at_end || expired) {
            let _ = moved.changed().await;
        } else if at_end || self.is(WaitsSleepOverWhatIsThere) {
            let _ = tokio::time::timeout(at_most, moved.changed()).await;
        }
    }

    async fn pushed(&self, filter: &Filter) -> Pushed {
        let mut moved = self.moved.subscribe();
        let from = self.state.lock().written.len();
        loop {
            let _ = moved.changed().await;
            let state = self.state.lock();
            let new = state.written.iter().skip(from);
            let runs = self.runs(filter, new);
            if !runs.is_empty() {
                let identity = if self.is(PushesNameAnotherLog) {
                    Identity::new(state.identity.log.clone(), "another history")
                } else {
                    state.identity.clone()
                };
                return Pushed { identity, runs };
            }
        }
    }
}
