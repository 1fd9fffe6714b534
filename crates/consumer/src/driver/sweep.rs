//! [`Sweep`]: a slow look at the heads of all grains that rest, as a net.
//!
//! A feed names what moves. What it cannot name is a head that went back unseen: a server that lost the
//! tail of its log and cannot show it (L11). So the heads of the grains that rest are looked at in turn,
//! a read's worth at a time, each grain once in an interval; what stands otherwise is polled, and its
//! actor decides. Nothing is confirmed by it.

use std::time::Duration;

use gleaner_actor::{Event, Moment};
use gleaner_core::{Error, Head};

use super::ops;
use super::shard::Shard;
use super::slots::Slot;
use crate::reach::Asked;

pub(super) struct Sweep {
    /// How long one pass over all grains takes.
    interval: Duration,
    /// When the next heads are looked at; none while they are.
    due: Option<Moment>,
    /// Where the pass has come.
    next: usize,
}

impl Sweep {
    pub(super) fn new(interval: Duration, now: Moment) -> Self {
        Self {
            interval,
            due: Some(now.plus(interval)),
            next: 0,
        }
    }

    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Looks at nothing any more.
    pub(super) fn end(&mut self) {
        self.due = None;
    }
}

impl Shard {
    /// Asks for the next heads, if it is time.
    pub(super) fn begin_sweep(&mut self, now: Moment) {
        if self.sweep.due.is_none_or(|due| due > now) {
            return;
        }
        let (chunk, places) = (self.tools.settings.grains_per_read, self.slots.places());
        let (mut slots, mut grains) = (Vec::new(), Vec::new());
        let mut at = self.sweep.next;
        while at < places && slots.len() < chunk {
            if let Some(number) = self.slots.at(at)
                && let Some(slot) = self.slots.get(number)
                && slot.asleep().is_some()
                && let Some(grain) = self.grain(number)
            {
                slots.push(number);
                grains.push(grain);
            }
            at += 1;
        }
        self.sweep.next = if at < places { at } else { 0 };
        if slots.is_empty() {
            self.sweep_again(now);
            return;
        }
        self.sweep.due = None;
        self.ops
            .push(ops::heads(self.tools.log.clone(), slots, grains));
    }

    /// Sets when to go on, so that the pass takes its interval whatever the number of grains.
    fn sweep_again(&mut self, now: Moment) {
        if self.closing {
            return;
        }
        let reads = self
            .slots
            .len()
            .div_ceil(self.tools.settings.grains_per_read);
        let reads = u32::try_from(reads).unwrap_or(u32::MAX).max(1);
        self.sweep.due = Some(now.plus(self.sweep.interval / reads));
    }

    pub(super) fn swept(
        &mut self,
        slots: Vec<u32>,
        result: Result<Vec<Result<Option<Head>, Error>>, Error>,
    ) {
        self.sweep_again(self.now());
        let heads = match result {
            Ok(heads) => heads,
            Err(error) => {
                self.tools.shared.failed(Asked::Reads, &error);
                return;
            }
        };
        self.tools.shared.answered(Asked::Reads);
        for (number, head) in slots.into_iter().zip(heads) {
            let head = match head {
                Ok(head) => head,
                Err(error) => {
                    self.tools.shared.erred(Asked::Reads, &error);
                    continue;
                }
            };
            let Some(rest) = self.slots.get(number).and_then(Slot::asleep) else {
                continue;
            };
            let nothing = rest.cursor() == gleaner_core::Cursor::ZERO;
            if !head.map_or(nothing, |head| rest.is_at(&head)) {
                self.tell(number, &Event::PollNow);
            }
        }
    }
}
