//! [`Grain`]: one grain's head, fence, floor and entries, and what is asked of them.

use gleaner::append::{Verdict, judge, judge_claim, landed};
use gleaner::{
    Appended, Budget, Claim, Cursor, Entry, Error, ErrorKind, Fence, GrainId, Head, Page, Result,
    Truncation,
};

use crate::frames::Record;
use crate::log::{BACKEND, limits};

/// What is left of one grain's history. The first entry is a base (L2 (5), L7).
#[derive(Debug, Default)]
pub(crate) struct Grain {
    pub(crate) head: Option<Head>,
    fence: Option<Fence>,
    /// `ZERO` until something was removed.
    floor: Cursor,
    entries: Vec<Entry>,
}

impl Grain {
    /// L2 and L3: core's rule decides each entry; what it lets in goes to `written`.
    pub(crate) fn append(
        &mut self,
        id: &GrainId,
        entries: &[&Entry],
        written: &mut Vec<Record>,
    ) -> Appended {
        let mut landed = landed(self.head.as_ref(), entries);
        let mut result = Err(Error::invalid(BACKEND, "no entries").of(id));
        // The entry that equals the head is judged again: after a higher claim it is fenced.
        let again = landed.saturating_sub(1);
        for (at, entry) in entries.iter().enumerate().skip(again) {
            let (head, fence) = (self.head.as_ref(), self.fence.as_ref());
            result = match judge(head, fence, entry, &limits(), BACKEND) {
                Ok(Verdict::Retry(head)) => Ok(head),
                Ok(Verdict::Write(head, _)) => {
                    self.put(entry);
                    written.push(Record::Entry((*entry).clone()));
                    Ok(head)
                }
                Err(refused) => Err(refused),
            };
            if result.is_err() {
                break;
            }
            landed = at + 1;
        }
        Appended {
            grain: id.clone(),
            landed,
            result,
        }
    }

    /// An entry behind the others, as `judge` lets it in: in a call, and when the file is read.
    pub(crate) fn put(&mut self, entry: &Entry) {
        let base = match &self.head {
            Some(head) if !entry.kind().is_base() => head.base,
            _ => entry.cursor(),
        };
        self.head = Some(Head {
            cursor: entry.cursor(),
            digest: entry.digest(),
            kind: entry.kind(),
            base,
        });
        if self.fence.is_none_or(|fence| entry.epoch() > fence.epoch) {
            self.fence = Some(Fence {
                epoch: entry.epoch(),
                writer: entry.writer(),
            });
        }
        self.entries.push(entry.clone());
    }

    pub(crate) fn put_fence(&mut self, fence: Fence) {
        self.fence = Some(fence);
    }

    pub(crate) fn put_floor(&mut self, floor: Cursor) {
        self.floor = floor;
    }

    /// L4.
    pub(crate) fn claim(
        &mut self,
        claim: &Claim,
        written: &mut Vec<Record>,
    ) -> Result<Option<Head>> {
        let fence = judge_claim(self.fence.as_ref(), claim, BACKEND)?;
        if self.fence.replace(fence) != Some(fence) {
            written.push(Record::Fence(claim.grain.clone(), fence));
        }
        Ok(self.head)
    }

    /// L6.
    pub(crate) fn read_from(
        &self,
        id: &GrainId,
        after: Cursor,
        mut budget: Budget,
    ) -> Result<Page> {
        if after < self.floor && after != Cursor::ZERO {
            let kind = ErrorKind::Truncated { floor: self.floor };
            return Err(Error::new(kind, BACKEND, "this history was truncated").at(id, after));
        }
        let behind = self.entries.iter().filter(|entry| entry.cursor() > after);
        let mut page = Page::default();
        for entry in behind {
            if !budget.take(entry.payload().len(), page.entries.is_empty()) {
                page.more = true;
                break;
            }
            page.entries.push(entry.clone());
        }
        Ok(page)
    }

    /// L7.
    pub(crate) fn truncate(&mut self, before: Cursor) -> Truncation {
        let base = self
            .entries
            .iter()
            .rposition(|entry| entry.kind().is_base() && entry.cursor() <= before)
            .unwrap_or(0);
        let removed = self.entries.drain(..base).count();
        if let (1.., Some(first)) = (removed, self.entries.first()) {
            self.floor = first.cursor();
        }
        Truncation {
            removed: removed as u64,
            floor: self.floor,
        }
    }

    /// All of it, in the order in which it is read back.
    pub(crate) fn records(&self, id: &GrainId, records: &mut Vec<Record>) {
        records.extend(self.fence.map(|fence| Record::Fence(id.clone(), fence)));
        if self.floor != Cursor::ZERO {
            records.push(Record::Floor(id.clone(), self.floor));
        }
        records.extend(self.entries.iter().cloned().map(Record::Entry));
    }
}
