//! [`Judged`]: what core says of one grain's run against the head and fence that were found.

use gleaner_core::append::judge_run;
use gleaner_core::{Appended, Entry, Fence, Head, Limits};

use crate::append::Run;
use crate::error::BACKEND;
use crate::long::Found;

/// What one grain's run writes, by core's word.
pub(crate) struct Judged<'a> {
    /// As they are after the writes.
    pub(crate) head: Option<Head>,
    pub(crate) fence: Option<Fence>,
    pub(crate) writes: Vec<&'a Entry>,
}

impl<'a> Judged<'a> {
    /// And how the run is answered once that is written.
    pub(crate) fn of(run: &Run<'a>, found: Option<&Found>, limits: &Limits) -> (Appended, Self) {
        let mut head = found.and_then(|found| found.head);
        let mut fence = found.and_then(|found| found.fence);
        let mut writes = Vec::new();
        let answer = judge_run(
            run.grain,
            &run.entries,
            &mut head,
            &mut fence,
            limits,
            BACKEND,
            |entry| writes.push(entry),
        );
        let judged = Self {
            head,
            fence,
            writes,
        };
        (answer, judged)
    }
}
