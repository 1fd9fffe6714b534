//! [`GrainQueue`]: what one grain has to send, from the number it gives to the answer it gets.
//!
//! Pure: no async, clock, randomness or I/O. It is told what happened and says what follows. Taking
//! states and forming units stands here, answers in [`settle`](crate::settle).

use std::collections::VecDeque;

use bytes::Bytes;
use gleaner_core::{
    Claim, Cursor, Digest, Draft, Entry, Epoch, Error, FoldError, GrainId, Head, Kind, Schema,
    Sequence, Source, UnixMillis, Writer,
};

use crate::error::PublishError;
#[cfg(any(test, gleaner_plant))]
use crate::fault::Fault;
use crate::folding::Folding;

/// Something to be published.
#[derive(Debug, Clone)]
pub(crate) enum Offer {
    Full(Bytes),
    Delta(Bytes),
    Tombstone,
}

impl Offer {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Full(_) => Kind::FullState,
            Self::Delta(_) => Kind::Delta,
            Self::Tombstone => Kind::Tombstone,
        }
    }

    pub(crate) fn payload(&self) -> Bytes {
        match self {
            Self::Full(payload) | Self::Delta(payload) => payload.clone(),
            Self::Tombstone => Bytes::new(),
        }
    }
}

/// Labels of an entry, and the limit that its payload is held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) schema: Schema,
    pub(crate) written_at: UnixMillis,
    pub(crate) max_payload: usize,
}

/// Why an offer gets no number.
#[derive(Debug)]
pub(crate) enum Refusal {
    TooLarge { size: usize },
    Fold(FoldError),
    Exhausted(Error),
    Stopped(PublishError),
}

/// An offer with the number that it would get. Nothing has changed yet.
pub(crate) struct Plan {
    pub(crate) entry: Entry,
    /// Whether it takes the place of the unsent state before it (P2).
    pub(crate) replaces: bool,
    /// What the state before it gives back.
    pub(crate) freed: usize,
    state: Option<Bytes>,
}

/// An entry that is not known to be durable.
pub(crate) struct Pending {
    pub(crate) entry: Entry,
    pub(crate) charge: usize,
}

/// What a queue is doing. One thing at a time: this is P3.
#[derive(Debug, Clone)]
pub(crate) enum Phase {
    /// Nothing is pending.
    Idle,
    /// The sender has been told, or waits before it tries again.
    Ready,
    /// An append is under way.
    Flying,
    /// A head was found that should not be there: to be claimed again, to learn who owns the grain.
    Claiming,
    /// That claim is under way.
    ClaimFlying,
    /// Fenced, or at odds with the log.
    Stopped(PublishError),
}

/// What the sender is to do for a grain.
pub(crate) enum Job {
    /// Append these, in one call.
    Append(Vec<Entry>),
    /// Claim the epoch again.
    Claim(Claim),
    /// There is work, but it does not fit into this batch.
    NoFit,
    /// Nothing any more.
    Rest,
}

/// One grain's entries between their numbering and their answer.
///
/// The front `sent` entries of `pending` are the *unit*: what the append under way carries, and, if
/// its outcome was not learnt, what the next one carries again, byte for byte. Only what lies behind
/// the unit is unsent and may be coalesced.
pub(crate) struct GrainQueue {
    pub(crate) grain: GrainId,
    pub(crate) epoch: Epoch,
    pub(crate) writer: Writer,
    source: Source,
    coalesce: bool,
    /// The last number given, or found in the log when the grain was claimed.
    pub(crate) last: Sequence,
    /// The newest entry known to be in the log.
    pub(crate) acked: Cursor,
    pub(crate) pending: VecDeque<Pending>,
    pub(crate) sent: usize,
    /// Whether an attempt of this unit may have landed.
    pub(crate) doubtful: bool,
    /// Whether the next unit is one entry, sent alone: a batch was refused whole.
    pub(crate) solo: bool,
    /// Heads found at odds with this queue since something last landed.
    pub(crate) conflicts: u32,
    pub(crate) phase: Phase,
    /// The predecessor of the next Delta: the last entry numbered in this epoch, unless it failed.
    pub(crate) tail: Option<(Sequence, Digest, Kind)>,
    pub(crate) folding: Option<Folding>,
    #[cfg(any(test, gleaner_plant))]
    pub(crate) fault: Option<Fault>,
}

impl GrainQueue {
    /// A queue for a grain that was just claimed, with the head found there.
    pub(crate) fn new(
        grain: GrainId,
        (epoch, writer): (Epoch, Writer),
        head: Option<&Head>,
        source: Source,
        coalesce: bool,
        folding: Option<Folding>,
    ) -> Self {
        let acked = head.map_or(Cursor::ZERO, |head| head.cursor);
        Self {
            grain,
            epoch,
            writer,
            source,
            coalesce,
            last: acked.sequence,
            acked,
            pending: VecDeque::new(),
            sent: 0,
            doubtful: false,
            solo: false,
            conflicts: 0,
            phase: Phase::Idle,
            tail: None,
            folding,
            #[cfg(any(test, gleaner_plant))]
            fault: None,
        }
    }

    /// The cursor of the last number given; what `flush` waits for.
    pub(crate) fn last_cursor(&self) -> Cursor {
        if self.last == self.acked.sequence && self.pending.is_empty() {
            return self.acked;
        }
        self.cursor_at(self.last)
    }

    pub(crate) fn cursor_at(&self, sequence: Sequence) -> Cursor {
        Cursor {
            epoch: self.epoch,
            sequence,
        }
    }

    /// What the offer would become.
    ///
    /// # Contract
    /// P1, P2, P6: the entry is sealed under the next number; a Delta has been folded, and becomes
    /// the state that it leads to where a whole state is due.
    pub(crate) fn plan(&self, offer: &Offer, stamp: Stamp) -> Result<Plan, Refusal> {
        if let Phase::Stopped(why) = &self.phase {
            return Err(Refusal::Stopped(why.clone()));
        }
        let Some(next) = self.last.next() else {
            let why = "the grain has used up its numbers";
            return Err(Refusal::Exhausted(
                Error::invalid("publisher", why).at(&self.grain, self.cursor_at(self.last)),
            ));
        };
        #[cfg(any(test, gleaner_plant))]
        let next = self.faulty_number(offer, next);
        let cursor = self.cursor_at(next);
        let fits = |payload: &Bytes| {
            if payload.len() > stamp.max_payload {
                Err(Refusal::TooLarge {
                    size: payload.len(),
                })
            } else {
                Ok(())
            }
        };
        let (entry, state) = match offer {
            Offer::Full(payload) => {
                fits(payload)?;
                let draft = Draft::full(self.grain.clone(), cursor, self.writer, payload.clone());
                (self.seal(draft, stamp), Some(payload.clone()))
            }
            Offer::Tombstone => {
                let draft = Draft::tombstone(self.grain.clone(), cursor, self.writer);
                (self.seal(draft, stamp), None)
            }
            Offer::Delta(payload) => {
                fits(payload)?;
                self.plan_delta(payload, cursor, stamp, fits)?
            }
        };
        let replaces = self.coalesces(entry.kind());
        let freed = match self.pending.back() {
            Some(back) if replaces => back.charge,
            _ => 0,
        };
        Ok(Plan {
            entry,
            replaces,
            freed,
            state,
        })
    }

    fn plan_delta(
        &self,
        payload: &Bytes,
        cursor: Cursor,
        stamp: Stamp,
        fits: impl Fn(&Bytes) -> Result<(), Refusal>,
    ) -> Result<(Entry, Option<Bytes>), Refusal> {
        let Some(folding) = &self.folding else {
            let why = "the grain was opened without a fold";
            return Err(Refusal::Fold(FoldError::new(why)));
        };
        let before = self
            .tail
            .filter(|(at, _, kind)| *at == self.last && *kind != Kind::Tombstone);
        let prev = before.map_or(Digest::ZERO, |(_, digest, _)| digest);
        let draft = Draft::delta(
            self.grain.clone(),
            cursor,
            self.writer,
            prev,
            payload.clone(),
        );
        let delta = self.seal(draft, stamp);
        let state = folding.after(&self.grain, &delta).map_err(Refusal::Fold)?;
        // A state that the log does not take could never be given whole (P6).
        fits(&state)?;
        let whole = before.is_none() || folding.since_full >= folding.full_every;
        #[cfg(any(test, gleaner_plant))]
        let whole = whole && self.fault != Some(Fault::NeverWhole);
        if whole {
            let draft = Draft::full(self.grain.clone(), cursor, self.writer, state.clone());
            return Ok((self.seal(draft, stamp), Some(state)));
        }
        Ok((delta, Some(state)))
    }

    pub(crate) fn seal(&self, mut draft: Draft, stamp: Stamp) -> Entry {
        draft.schema = stamp.schema;
        draft.written_at = stamp.written_at;
        draft.source = self.source.clone();
        draft.seal()
    }

    /// P2: whether an entry of that kind takes the place of the last one.
    fn coalesces(&self, kind: Kind) -> bool {
        #[cfg(any(test, gleaner_plant))]
        if self.fault == Some(Fault::DropAnyway) && self.pending.len() > self.sent {
            return true;
        }
        #[cfg(any(test, gleaner_plant))]
        if self.fault == Some(Fault::DropInFlight) && kind.is_base() && !self.pending.is_empty() {
            return true;
        }
        self.coalesce
            && kind.is_base()
            && self.pending.len() > self.sent
            && self
                .pending
                .back()
                .is_some_and(|back| back.entry.kind() == Kind::FullState)
    }

    /// Takes a planned entry in; from now on the number is used. True if the sender must be told.
    pub(crate) fn commit(&mut self, plan: Plan, charge: usize) -> bool {
        let entry = plan.entry;
        if plan.replaces {
            self.pending.pop_back();
        }
        self.last = entry.sequence();
        self.tail = Some((entry.sequence(), entry.digest(), entry.kind()));
        if let Some(folding) = &mut self.folding {
            folding.state = plan.state;
            folding.since_full = if entry.kind().is_base() {
                0
            } else {
                folding.since_full + 1
            };
        }
        self.pending.push_back(Pending { entry, charge });
        if matches!(self.phase, Phase::Idle) {
            self.phase = Phase::Ready;
            return true;
        }
        false
    }

    /// What is to be done now, within what is left of a batch. `first` says that the batch is empty:
    /// then at least one entry fits.
    pub(crate) fn take(&mut self, mut entries: usize, mut bytes: usize, first: bool) -> Job {
        match self.phase {
            Phase::Ready => {}
            Phase::Claiming => {
                self.phase = Phase::ClaimFlying;
                return Job::Claim(Claim {
                    grain: self.grain.clone(),
                    epoch: self.epoch,
                    writer: self.writer,
                });
            }
            _ => return Job::Rest,
        }
        if self.pending.is_empty() {
            self.phase = Phase::Idle;
            return Job::Rest;
        }
        if self.solo && !first {
            return Job::NoFit;
        }
        // A unit that may have landed goes again as it was, never cut and never grown (P3).
        let most = match self.sent {
            0 if self.solo => 1,
            0 => self.pending.len(),
            again => again,
        };
        let mut unit = Vec::with_capacity(most.min(entries));
        for pending in self.pending.iter().take(most) {
            let size = pending.entry.payload().len();
            let fits = entries > 0 && size <= bytes;
            let always = first && unit.is_empty();
            if !fits && !always {
                break;
            }
            entries = entries.saturating_sub(1);
            bytes = bytes.saturating_sub(size);
            unit.push(pending.entry.clone());
        }
        let cut = unit.len() < most;
        if unit.is_empty() || (cut && self.sent > 0 && !first) {
            return Job::NoFit;
        }
        // Limits that shrank under a unit: its head alone is still the identical bytes, and what
        // landed of the rest is found again by its digest.
        self.sent = unit.len();
        self.phase = Phase::Flying;
        Job::Append(unit)
    }

    /// P2: whether the front entry is a whole state directly followed by a base.
    pub(crate) fn may_squash(&self) -> bool {
        let mut front = self.pending.iter().map(|pending| pending.entry.kind());
        self.coalesce
            && front.next() == Some(Kind::FullState)
            && front.next().is_some_and(Kind::is_base)
    }

    /// How many bytes its entries are charged.
    pub(crate) fn charged(&self) -> usize {
        self.pending.iter().map(|pending| pending.charge).sum()
    }

    pub(crate) fn is_resting(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Stopped(_))
    }

    #[cfg(any(test, gleaner_plant))]
    pub(crate) fn with_fault(mut self, fault: Option<Fault>) -> Self {
        self.fault = fault;
        self
    }

    #[cfg(any(test, gleaner_plant))]
    fn faulty_number(&self, offer: &Offer, next: Sequence) -> Sequence {
        match self.pending.back() {
            Some(back)
                if self.fault == Some(Fault::ReuseNumber) && self.coalesces(offer.kind()) =>
            {
                back.entry.sequence()
            }
            _ => next,
        }
    }
}
