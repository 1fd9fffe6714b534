//! [`Judged`]: what core says of one grain's run against the head and fence that were found.

use gleaner_core::append::{Verdict, judge, landed};
use gleaner_core::{Appended, Cursor, Entry, Error, Fence, Head, Limits};

use crate::append::Run;
use crate::error::BACKEND;
use crate::long::Found;

/// What core says of one grain's run.
pub(crate) struct Judged<'a> {
    landed: usize,
    refused: Option<Error>,
    /// As they are after the writes.
    pub(crate) head: Option<Head>,
    pub(crate) fence: Option<Fence>,
    pub(crate) writes: Vec<&'a Entry>,
}

impl<'a> Judged<'a> {
    pub(crate) fn of(run: &Run<'a>, found: Option<&Found>, limits: &Limits) -> Self {
        let mut judged = Self {
            landed: 0,
            refused: None,
            head: found.and_then(|found| found.head),
            fence: found.and_then(|found| found.fence),
            writes: Vec::new(),
        };
        judged.landed = landed(judged.head.as_ref(), &run.entries);
        // The entry that equals the head is judged once more: it may be fenced by now (L2).
        let resumes = judged.landed.saturating_sub(1);
        for (at, entry) in run.entries.iter().enumerate().skip(resumes) {
            let verdict = judge(
                judged.head.as_ref(),
                judged.fence.as_ref(),
                entry,
                limits,
                BACKEND,
            );
            match verdict {
                Ok(Verdict::Retry(_)) => {}
                Ok(Verdict::Write(head, fence)) => {
                    judged.writes.push(entry);
                    judged.head = Some(head);
                    judged.fence = fence;
                }
                Err(error) => {
                    judged.refused = Some(error);
                    break;
                }
            }
            judged.landed = judged.landed.max(at + 1);
        }
        judged
    }

    pub(crate) fn answer(&self, run: &Run<'_>) -> Appended {
        let result = match (&self.refused, self.head) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(head)) => Ok(head),
            (None, None) => {
                Err(Error::invalid(BACKEND, "no entry was given").at(run.grain, Cursor::ZERO))
            }
        };
        Appended {
            grain: run.grain.clone(),
            landed: self.landed,
            result,
        }
    }
}
