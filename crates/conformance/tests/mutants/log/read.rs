//! L6, L7, L8: what is read, and what is cut off.

use gleaner_core::{
    Budget, Caught, Cursor, Entry, Error, ErrorKind, GrainId, Head, Page, Result, Run,
};

use super::{NAME, Plain, State};
use crate::faults::LogFault::*;

impl Plain {
    /// Entry by entry, each in a moment of its own.
    pub(super) async fn truncate_in_steps(&self, place: &GrainId, before: Cursor) {
        loop {
            {
                let mut state = self.state.lock();
                let Some(grain) = state.grains.get_mut(place) else {
                    return;
                };
                let base = grain
                    .entries
                    .iter()
                    .rposition(|entry| entry.kind().is_base() && entry.cursor() <= before);
                if base.unwrap_or(0) < 2 {
                    return;
                }
                grain.entries.remove(0);
                grain.floor = grain.entries.first().map_or(grain.floor, Entry::cursor);
            }
            crate::a_bad_moment().await;
        }
    }

    pub(super) fn head(&self, state: &State, grain: &GrainId) -> Option<Head> {
        let grain = state.grains.get(&self.place(grain))?;
        if self.is(HeadsAreStale) {
            grain.former.or(grain.head)
        } else {
            grain.head
        }
    }

    pub(super) fn read(
        &self,
        state: &State,
        grain: &GrainId,
        after: Cursor,
        budget: Budget,
    ) -> Result<Page> {
        let Some(stored) = state.grains.get(&self.place(grain)) else {
            if self.is(UnknownGrainsFail) {
                return Err(Error::permanent(NAME, "no such grain").of(grain));
            }
            return Ok(Page::default());
        };
        let zero = after == Cursor::ZERO && !self.is(ZeroIsBelowTheFloor);
        if !zero && after < stored.floor && !self.is(BelowTheFloorIsServed) {
            let kind = ErrorKind::Truncated {
                floor: stored.floor,
            };
            return Err(Error::new(kind, NAME, "truncated").of(grain));
        }
        let rest: Vec<&Entry> = stored
            .entries
            .iter()
            .filter(|entry| {
                entry.cursor() > after || (self.is(ReadsIncludeAfter) && entry.cursor() == after)
            })
            .collect();
        let mut left = match self.fault {
            Some(ReadsIgnoreTheLimit) => Budget::new(usize::MAX, budget.bytes()),
            Some(ReadsIgnoreBytes) => Budget::new(budget.entries(), usize::MAX),
            _ => budget,
        };
        let mut page = Page::default();
        for entry in &rest {
            let first = page.entries.is_empty() && !self.is(SmallBudgetsGiveNothing);
            if !left.take(entry.payload().len(), first) {
                break;
            }
            page.entries.push((*entry).clone());
        }
        page.more = match self.fault {
            Some(MoreIsNeverSaid) => false,
            Some(MoreIsSaidOfAFullPage) => page.entries.len() == budget.entries(),
            _ => page.entries.len() < rest.len(),
        };
        Ok(page)
    }

    /// L8 for one grain.
    pub(super) fn run(
        &self,
        state: &State,
        (grain, cursor): &(GrainId, Cursor),
        budget: &mut Budget,
        served: &mut bool,
    ) -> Result<Caught> {
        let empty = |head| {
            Caught::Run(Run {
                head,
                entries: Vec::new(),
                complete: true,
            })
        };
        let Some(kept) = state.grains.get(&self.place(grain)) else {
            return Ok(if self.is(StrangersAreDeferred) {
                Caught::Deferred
            } else {
                empty(None)
            });
        };
        let Some(head) = kept.head.filter(|head| *cursor < head.cursor) else {
            return Ok(empty(kept.head));
        };
        if self.is(CatchUpIsTruncated) && *cursor != Cursor::ZERO && *cursor < kept.floor {
            let kind = ErrorKind::Truncated { floor: kept.floor };
            return Err(Error::new(kind, NAME, "truncated").of(grain));
        }
        let from_base = match self.fault {
            Some(RunsNeverSkip) => false,
            Some(RunsAlwaysBeginAtTheBase) => true,
            _ => head.base > *cursor,
        };
        let all: Vec<&Entry> = kept
            .entries
            .iter()
            .filter(|entry| {
                entry.cursor() >= head.base && from_base || entry.cursor() > *cursor && !from_base
            })
            .collect();
        if !*served && self.is(TheFirstIsDeferred) && budget.entries() == 1 {
            *served = true;
            return Ok(Caught::Deferred);
        }
        let mut entries = Vec::new();
        let mut own = *budget;
        let left = if self.is(EachGrainHasTheBudget) {
            &mut own
        } else {
            budget
        };
        for entry in &all {
            let first = (!*served || self.is(EachGrainHasTheBudget) && entries.is_empty())
                && !self.is(RunsAreCutToNothing);
            if !left.take(entry.payload().len(), first) {
                break;
            }
            *served = true;
            entries.push((*entry).clone());
        }
        if self.is(RunsLeaveOutADelta) && entries.len() > 2 {
            entries.remove(1);
        }
        if entries.is_empty() && !self.is(RunsAreCutToNothing) {
            return Ok(Caught::Deferred);
        }
        let complete = entries
            .last()
            .is_some_and(|last| last.cursor() >= head.cursor)
            || self.is(CompleteIsAlwaysSaid);
        let head = if self.is(RunsNameAnOlderHead) {
            kept.former.unwrap_or(head)
        } else {
            head
        };
        Ok(Caught::Run(Run {
            head: Some(head),
            entries,
            complete,
        }))
    }
}
