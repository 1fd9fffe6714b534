//! Answers of the log, and what follows from them: the other half of [`GrainQueue`].

use std::sync::Arc;

use gleaner_core::{Cursor, Draft, Error, ErrorKind, Fence, Head, Kind, Result, Sequence};

use crate::error::{PublishError, Unsent};
#[cfg(any(test, gleaner_plant))]
use crate::fault::Fault;
use crate::queue::{GrainQueue, Pending, Phase, Stamp};

/// How often a head that should not be there is looked at again before the grain stops. Each time
/// waits longer, and one is enough unless the log goes on losing its tail.
const MAX_CONFLICTS: u32 = 6;

/// What the sender does with the grain next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Next {
    /// Nothing is left.
    #[default]
    Rest,
    /// There is more, or something else, to do now.
    Send,
    /// The same again, after a wait.
    Later,
}

/// What an answer settles.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Every number up to this one is durable, by itself or by the one that took its place.
    pub(crate) done: Option<Sequence>,
    /// The numbers up to this one that are not done failed.
    pub(crate) failed: Option<(Sequence, Error)>,
    /// The grain stopped: whatever is open failed with this.
    pub(crate) stopped: Option<PublishError>,
    /// Entries that landed, for compaction.
    pub(crate) landed: Vec<(Cursor, Kind)>,
    /// Bytes to give back.
    pub(crate) freed: usize,
    /// The log is not as it had acknowledged: what was there, and what is there now (P5).
    pub(crate) lost: Option<(Cursor, Option<Cursor>)>,
    pub(crate) next: Next,
}

impl GrainQueue {
    /// The answer to this grain's unit.
    pub(crate) fn answer(&mut self, landed: usize, result: Result<()>) -> Settled {
        let mut settled = Settled::default();
        self.land(landed.min(self.sent), &mut settled);
        let error = match result {
            Ok(()) if self.sent == 0 => {
                self.definite();
                self.solo = false;
                self.go_on(&mut settled);
                return settled;
            }
            // Ok, and yet not all of it: as if the rest had not been answered.
            Ok(()) => Error::unknown("publisher", "fewer entries landed than were sent"),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::Fenced { fence } => self.fence(fence, &mut settled),
            ErrorKind::Conflict { head } => self.conflict(head, error, &mut settled),
            ErrorKind::Invalid | ErrorKind::Permanent => self.refuse(error, &mut settled),
            kind => {
                self.doubtful |= kind != ErrorKind::Transient;
                #[cfg(any(test, gleaner_plant))]
                if self.fault == Some(Fault::FreshBytes) {
                    self.faulty_unit(&mut settled);
                }
                self.phase = Phase::Ready;
                settled.next = Next::Later;
            }
        }
        settled
    }

    /// The whole call failed, so that nothing is known of this grain but what the error says.
    pub(crate) fn call_failed(&mut self, error: &Error, alone: bool) -> Settled {
        match error.kind() {
            // Nothing of it was written. Which entry is at fault shows when each goes alone.
            ErrorKind::Invalid | ErrorKind::Permanent if alone && self.sent <= 1 => {
                self.answer(0, Err(error.clone()))
            }
            ErrorKind::Invalid | ErrorKind::Permanent => {
                self.solo = true;
                self.sent = 0;
                self.phase = Phase::Ready;
                Settled {
                    next: Next::Send,
                    ..Settled::default()
                }
            }
            ErrorKind::Transient => self.answer(0, Err(error.clone())),
            // Of a whole call the others say nothing about one grain.
            _ => {
                let doubt = Error::unknown("publisher", "the call failed").caused_by(error.clone());
                self.answer(0, Err(doubt))
            }
        }
    }

    /// The answer to the claim that follows a conflict.
    pub(crate) fn reclaimed(&mut self, result: Result<Option<Head>>) -> Settled {
        let mut settled = Settled::default();
        match result {
            Ok(head) => self.recover(head, &mut settled),
            Err(error) => match error.kind() {
                ErrorKind::Fenced { fence } => self.fence(fence, &mut settled),
                ErrorKind::Invalid | ErrorKind::Permanent => self.halt(error, &mut settled),
                _ => {
                    self.phase = Phase::Claiming;
                    settled.next = Next::Later;
                }
            },
        }
        settled
    }

    /// The front `count` entries are in the log.
    fn land(&mut self, count: usize, settled: &mut Settled) {
        for _ in 0..count {
            let Some(Pending { entry, charge }) = self.pending.pop_front() else {
                break;
            };
            self.sent = self.sent.saturating_sub(1);
            self.acked = entry.cursor();
            self.conflicts = 0;
            settled.done = Some(entry.sequence());
            settled.landed.push((entry.cursor(), entry.kind()));
            settled.freed += charge;
        }
    }

    /// What lands up to an entry that is the head; true if one is.
    fn land_up_to(&mut self, head: Option<&Head>, settled: &mut Settled) -> bool {
        let at = head.and_then(|head| {
            self.pending.iter().position(|pending| {
                pending.entry.cursor() == head.cursor && pending.entry.digest() == head.digest
            })
        });
        if let Some(at) = at {
            self.land(at + 1, settled);
        }
        at.is_some()
    }

    /// Nothing is under way, and nothing in doubt.
    fn definite(&mut self) {
        self.sent = 0;
        self.doubtful = false;
    }

    fn go_on(&mut self, settled: &mut Settled) {
        if self.pending.is_empty() {
            self.phase = Phase::Idle;
            settled.next = Next::Rest;
        } else {
            self.phase = Phase::Ready;
            settled.next = Next::Send;
        }
    }

    /// The log will never take the first entry that has not landed. Its callers are told; what was
    /// published behind it goes on, Deltas as the whole state that they lead to.
    fn refuse(&mut self, error: Error, settled: &mut Settled) {
        self.definite();
        self.solo = false;
        if let Some(Pending { entry, charge }) = self.pending.pop_front() {
            settled.freed += charge;
            settled.failed = Some((entry.sequence(), error));
            if self.tail.is_some_and(|(at, ..)| at == entry.sequence()) {
                self.tail = None;
            }
        }
        let broken = self
            .pending
            .front()
            .is_some_and(|next| next.entry.kind() == Kind::Delta);
        if broken && !self.rebuild(Sequence::ZERO, settled) {
            return;
        }
        self.go_on(settled);
    }

    /// The head is not what the unit should follow. Claiming the epoch again tells who owns the
    /// grain, and sets a fence that was lost with the tail.
    fn conflict(&mut self, head: Option<Head>, error: Error, settled: &mut Settled) {
        if self.land_up_to(head.as_ref(), settled) {
            self.definite();
            self.go_on(settled);
            return;
        }
        #[cfg(any(test, gleaner_plant))]
        if self.fault == Some(Fault::GiveUpOnConflict) {
            return self.refuse(error, settled);
        }
        self.conflicts += 1;
        if self.conflicts > MAX_CONFLICTS {
            return self.halt(error, settled);
        }
        self.phase = Phase::Claiming;
        // The first look is free; from the second on it waits, so that nothing spins.
        settled.next = if self.conflicts > 1 {
            Next::Later
        } else {
            Next::Send
        };
    }

    /// The epoch is still this publisher's; `head` is what there is to follow (P5).
    fn recover(&mut self, head: Option<Head>, settled: &mut Settled) {
        if self.land_up_to(head.as_ref(), settled) {
            self.definite();
            self.go_on(settled);
            return;
        }
        let found = head.map(|head| head.cursor);
        let at = found.unwrap_or(Cursor::ZERO);
        if at.epoch > self.epoch {
            let why = "the head is of an epoch above the fence's";
            let kind = ErrorKind::Conflict { head };
            let error = Error::new(kind, "publisher", why).at(&self.grain, at);
            return self.halt(error, settled);
        }
        settled.lost = Some((self.acked, found));
        self.acked = at;
        self.definite();
        self.squash(settled);
        let fits = self.pending.front().is_none_or(|front| {
            front.entry.kind().is_base() && front.entry.sequence() > at.sequence
        });
        if !fits && !self.rebuild(at.sequence, settled) {
            return;
        }
        if self.pending.is_empty() {
            // Nothing to send: the next Delta finds its predecessor gone.
            self.tail = None;
        }
        self.go_on(settled);
    }

    /// P2, for a unit that is unsent again: of bases that follow each other only the last stays.
    fn squash(&mut self, settled: &mut Settled) {
        while self.may_squash() {
            if let Some(front) = self.pending.pop_front() {
                settled.freed += front.charge;
            }
        }
    }

    /// The newest state, under a number above everything ever numbered and found, in place of all
    /// that is pending. False if the grain stopped for want of numbers.
    fn rebuild(&mut self, floor: Sequence, settled: &mut Settled) -> bool {
        let Some(newest) = self.pending.back().map(|back| back.entry.clone()) else {
            return true;
        };
        let Some(next) = self.last.max(floor).next() else {
            let error = Error::invalid("publisher", "the grain has used up its numbers");
            self.halt(error.at(&self.grain, newest.cursor()), settled);
            return false;
        };
        let cursor = self.cursor_at(next);
        let state = match &self.folding {
            Some(folding) => folding.state.clone(),
            None if newest.kind() == Kind::Tombstone => None,
            None => Some(newest.payload().clone()),
        };
        let draft = match state {
            Some(state) => Draft::full(self.grain.clone(), cursor, self.writer, state),
            None => Draft::tombstone(self.grain.clone(), cursor, self.writer),
        };
        let stamp = Stamp {
            schema: newest.schema(),
            written_at: newest.written_at(),
            max_payload: usize::MAX,
        };
        let entry = self.seal(draft, stamp);
        // The folded state is held anyway: it needs no more room than what it takes the place of.
        let charge = self.pending.back().map_or(0, |back| back.charge);
        settled.freed += self.charged() - charge;
        self.last = next;
        self.tail = Some((next, entry.digest(), entry.kind()));
        if let Some(folding) = &mut self.folding {
            folding.since_full = 0;
        }
        self.pending.clear();
        self.pending.push_back(Pending { entry, charge });
        true
    }

    /// P4.
    fn fence(&mut self, fence: Fence, settled: &mut Settled) {
        let (unsent, unknown) = self.give_back(settled);
        self.stop(
            PublishError::Fenced {
                fence,
                unsent,
                unknown,
            },
            settled,
        );
    }

    fn halt(&mut self, error: Error, settled: &mut Settled) {
        let (unsent, unknown) = self.give_back(settled);
        self.stop(
            PublishError::Stopped {
                error,
                unsent,
                unknown,
            },
            settled,
        );
    }

    /// Empties the queue: what was surely not sent, and what may have landed. An append that was
    /// answered was not written; in doubt is a unit of which an earlier attempt was not.
    fn give_back(&mut self, settled: &mut Settled) -> (Arc<[Unsent]>, Arc<[Cursor]>) {
        settled.freed += self.charged();
        let doubtful = if self.doubtful { self.sent } else { 0 };
        let unknown = self
            .pending
            .drain(..doubtful.min(self.pending.len()))
            .map(|pending| pending.entry.cursor())
            .collect();
        let unsent = self
            .pending
            .drain(..)
            .map(|pending| Unsent {
                cursor: Some(pending.entry.cursor()),
                kind: pending.entry.kind(),
                payload: pending.entry.payload().clone(),
            })
            .collect();
        self.definite();
        #[cfg(any(test, gleaner_plant))]
        if self.fault == Some(Fault::KeepUnsent) {
            return (Arc::from([]), unknown);
        }
        (unsent, unknown)
    }

    fn stop(&mut self, why: PublishError, settled: &mut Settled) {
        settled.stopped = Some(why.clone());
        settled.next = Next::Rest;
        #[cfg(any(test, gleaner_plant))]
        if self.fault == Some(Fault::GoOnFenced) {
            self.phase = Phase::Idle;
            return;
        }
        self.phase = Phase::Stopped(why);
    }

    #[cfg(any(test, gleaner_plant))]
    fn faulty_unit(&mut self, settled: &mut Settled) {
        self.sent = 0;
        self.squash(settled);
    }
}
