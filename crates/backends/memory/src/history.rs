//! [`History`]: all that the log keeps of one grain.

use std::collections::VecDeque;

use gleaner_core::append::{judge_claim, judge_run};
use gleaner_core::{
    Appended, Budget, Caught, Claim, Cursor, Entry, Error, ErrorKind, Fence, GrainId, Head, Limits,
    Page, Result, Run, Truncation, run_after,
};

use crate::BACKEND;
use crate::feed::Row;

/// How many entries are looked at one by one from the end.
const NEAR: usize = 4;

/// One grain's head, fence, floor and the entries that are left, in ascending order.
///
/// The first entry is a base: a first append is one (L2 (5)), and `truncate` leaves one (L7).
#[derive(Debug, Default, Clone)]
pub(crate) struct History {
    head: Option<Head>,
    fence: Option<Fence>,
    /// `ZERO` until something was removed.
    floor: Cursor,
    entries: VecDeque<Entry>,
    /// Where the grain stands in the feed.
    pub(crate) row: Row,
}

impl History {
    pub(crate) fn head(&self) -> Option<Head> {
        self.head
    }

    /// L2, L3 for the entries of this grain in a batch, and whether the head has moved.
    pub(crate) fn append(
        &mut self,
        grain: &GrainId,
        entries: &[&Entry],
        limits: &Limits,
    ) -> (Appended, bool) {
        let mut moved = false;
        let kept = &mut self.entries;
        let appended = judge_run(
            grain,
            entries,
            &mut self.head,
            &mut self.fence,
            limits,
            BACKEND,
            |entry| {
                if kept.capacity() == 0 {
                    // Most grains of a large population have one entry between truncations.
                    kept.reserve_exact(1);
                }
                kept.push_back(entry.clone());
                moved = true;
            },
        );
        (appended, moved)
    }

    /// L4.
    pub(crate) fn claim(&mut self, claim: &Claim) -> Result<Option<Head>> {
        self.fence = Some(judge_claim(self.fence.as_ref(), claim, BACKEND)?);
        Ok(self.head)
    }

    /// L6.
    pub(crate) fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        if after < self.floor && after != Cursor::ZERO {
            let kind = ErrorKind::Truncated { floor: self.floor };
            return Err(Error::new(kind, BACKEND, "this history was truncated").at(grain, after));
        }
        let mut budget = budget;
        let mut served = false;
        let entries = self.take(after, &mut budget, &mut served);
        let more = self.index_after(after) + entries.len() < self.entries.len();
        Ok(Page { entries, more })
    }

    /// L8. `served` says whether the budget has given out an entry yet, of whichever grain.
    pub(crate) fn catch_up(
        &self,
        cursor: Cursor,
        budget: &mut Budget,
        served: &mut bool,
    ) -> Caught {
        let head = self.head;
        let after = head.and_then(|head| run_after(cursor, &head));
        let (Some(head), Some(after)) = (head, after) else {
            return Caught::Run(Run {
                head,
                entries: Vec::new(),
                complete: true,
            });
        };
        if *served && budget.is_spent() {
            return Caught::Deferred;
        }
        let entries = self.take(after, budget, served);
        let Some(last) = entries.last() else {
            return Caught::Deferred;
        };
        let complete = last.cursor() >= head.cursor;
        Caught::Run(Run {
            head: Some(head),
            entries,
            complete,
        })
    }

    /// L7.
    pub(crate) fn truncate(&mut self, before: Cursor) -> Truncation {
        let base = self
            .entries
            .iter()
            .rposition(|entry| {
                #[cfg(gleaner_plant)]
                if gleaner_core::plant::Plant::CutInsideDeltas.is_planted() {
                    return entry.cursor() <= before;
                }
                entry.kind().is_base() && entry.cursor() <= before
            })
            .unwrap_or(0);
        let removed = self.entries.drain(..base).count();
        if removed > 0 {
            self.floor = self.entries.front().map_or(self.floor, Entry::cursor);
        }
        Truncation {
            removed: removed as u64,
            floor: self.floor,
        }
    }

    /// Drops the entries above a cursor, as a restored backup does; whether there were any.
    pub(crate) fn lose_tail(&mut self, above: Cursor) -> bool {
        let kept = self.index_after(above);
        let lost = kept < self.entries.len();
        self.entries.truncate(kept);
        if lost {
            let base = self.entries.iter().rfind(|entry| entry.kind().is_base());
            self.head = self.entries.back().zip(base).map(|(last, base)| Head {
                cursor: last.cursor(),
                digest: last.digest(),
                kind: last.kind(),
                base: base.cursor(),
            });
        }
        lost
    }

    /// Where what follows a cursor begins. Most who ask are near the end, and a search from there meets
    /// one entry or two where one by halves meets many.
    fn index_after(&self, after: Cursor) -> usize {
        let follows = |entry: &&Entry| entry.cursor() > after;
        let near = self.entries.iter().rev().take(NEAR).take_while(follows);
        let near = near.count();
        if near < NEAR {
            return self.entries.len() - near;
        }
        self.entries
            .partition_point(|entry| entry.cursor() <= after)
    }

    /// Entries after a cursor while the budget lasts.
    fn take(&self, after: Cursor, budget: &mut Budget, served: &mut bool) -> Vec<Entry> {
        self.entries
            .range(self.index_after(after)..)
            .take_while(|entry| {
                let fits = budget.take(entry.payload().len(), !*served);
                *served |= fits;
                fits
            })
            .cloned()
            .collect()
    }
}
