//! L1, L2, L3: what is taken, and how it is written.

use gleaner_core::{
    Appended, Draft, Entry, Error, ErrorKind, Fence, GrainId, Head, Kind, ReplicationLog, Result,
    UnixMillis,
};

use super::{Grain, NAME, Plain, State};
use crate::faults::LogFault::*;

fn refuse<T>(kind: ErrorKind, entry: &Entry) -> Result<T> {
    Err(Error::new(kind, NAME, "refused").at(entry.grain(), entry.cursor()))
}

impl Plain {
    /// L2.
    pub(super) fn judge(&self, grain: &Grain, entry: &Entry) -> Result<bool> {
        let (epoch, number) = (entry.epoch().get(), entry.sequence().get());
        let fine = entry.cursor().is_valid()
            || self.is(BadNumbersAreTaken)
            || (self.is(NumbersGoBeyondTheLast) && epoch > 0 && number > 0);
        let limit = match self.fault {
            Some(PayloadLimitIsOneMore) => self.limits().max_payload() + 1,
            Some(PayloadLimitIsOneLess) => self.limits().max_payload() - 1,
            _ => self.limits().max_payload(),
        };
        if !fine
            || entry.payload().len() > limit
            || (entry.kind() == Kind::Tombstone
                && !entry.payload().is_empty()
                && !self.is(TombstonesMayCarry))
            || (entry.kind() == Kind::Delta) != entry.prev().is_some()
        {
            return refuse(ErrorKind::Invalid, entry);
        }
        let head = grain
            .head
            .filter(|head| !(self.is(DeadGrainsBeginAnew) && head.kind == Kind::Tombstone));
        let retry = head.is_some_and(|head| {
            head.cursor == entry.cursor()
                && (head.digest == entry.digest() || self.is(RetriesGoByNumber))
        }) && !self.is(RetriesAreConflicts);
        if retry && self.is(RetriesComeBeforeFences) {
            return Ok(false);
        }
        let conflict = || {
            let head = if self.is(ConflictsHideTheHead) {
                None
            } else {
                head
            };
            refuse(ErrorKind::Conflict { head }, entry)
        };
        let follows = self.follows(grain, head, entry);
        if self.is(ConflictsComeBeforeFences) && !follows && !retry {
            return conflict();
        }
        if let Some(fence) = grain.fence {
            let below = entry.epoch() < fence.epoch && !self.is(LowerEpochsAreTaken);
            let other = entry.epoch() == fence.epoch
                && entry.writer() != fence.writer
                && !self.is(AnEpochHasManyWriters);
            if below || other {
                let fence = if self.is(FencedNamesAnother) {
                    Fence {
                        epoch: entry.epoch(),
                        writer: entry.writer(),
                    }
                } else {
                    fence
                };
                return refuse(ErrorKind::Fenced { fence }, entry);
            }
        }
        if retry {
            return Ok(self.is(RetriesAreWritten));
        }
        if follows { Ok(true) } else { conflict() }
    }

    /// L2 (4) to (6).
    pub(super) fn follows(&self, grain: &Grain, head: Option<Head>, entry: &Entry) -> bool {
        if self.is(DeadGrainsStayDead) && head.is_some_and(|head| head.kind == Kind::Tombstone) {
            return false;
        }
        let Some(head) = head else {
            return entry.kind() != Kind::Delta
                && (!self.is(FirstNumbersAreOne) || entry.sequence().get() == 1);
        };
        let (at, number) = (head.cursor.sequence.get(), entry.sequence().get());
        let higher = entry.epoch() > head.cursor.epoch;
        if higher && self.is(EpochsRestartNumbers) && entry.kind() != Kind::Delta {
            return true;
        }
        if higher && entry.kind() == Kind::Delta && !self.is(DeltasOpenEpochs) {
            return false;
        }
        let claimed = grain
            .fence
            .is_some_and(|fence| fence.epoch == entry.epoch());
        if higher && !claimed && number != at + 1 && !self.is(UnclaimedEpochsLeap) {
            return false;
        }
        if higher && claimed && number != at + 1 && self.is(ClaimedEpochsMayNotLeap) {
            return false;
        }
        if entry.kind() == Kind::Delta {
            return (head.kind != Kind::Tombstone || self.is(DeltasFollowTombstones))
                && (number == at + 1 || (self.is(DeltasLeap) && number > at))
                && (entry.prev() == Some(head.digest) || self.is(DeltasFollowAnything));
        }
        let most = match self.fault {
            Some(LeapsAreOneMore) => (1 << 32) + 1,
            Some(LeapsAreOneLess) => (1 << 32) - 1,
            _ => 1_u64 << 32,
        };
        number > at && number - at <= most
    }

    pub(super) fn write(&self, state: &mut State, place: &GrainId, entry: &Entry) {
        state.writes += 1;
        let writes = state.writes;
        let grain = state.grains.entry(place.clone()).or_default();
        let fence = Fence {
            epoch: entry.epoch(),
            writer: entry.writer(),
        };
        if grain.fence.is_none_or(|old| fence.epoch > old.epoch) && !self.is(AppendsKeepTheFence) {
            grain.fence = Some(fence);
        }
        grain.former = grain.head;
        let base = match grain.head {
            Some(head) if entry.kind() == Kind::Delta && !self.is(HeadsForgetTheBase) => head.base,
            _ => entry.cursor(),
        };
        let head = Head {
            cursor: entry.cursor(),
            digest: entry.digest(),
            kind: entry.kind(),
            base,
        };
        grain.head = Some(head);
        grain.first.get_or_insert(head);
        grain.id.get_or_insert_with(|| entry.grain().clone());
        let mut entry = entry.clone();
        if self.is(LabelsAreLost) {
            let mut draft = copy(&entry);
            draft.written_at = UnixMillis::new(0);
            entry = draft.seal();
        }
        state.written.push(entry.clone());
        let lost = self.is(SomeEntriesAreLost) && writes % 5 == 4;
        for (left, _) in &mut grain.hidden {
            *left -= 1;
        }
        let (shown, hidden) = grain.hidden.drain(..).partition(|(left, _)| *left == 0);
        grain.hidden = hidden;
        let late: Vec<(u32, Entry)> = shown;
        grain
            .entries
            .extend(late.into_iter().map(|(_, entry)| entry));
        if self.is(SomeEntriesShowLate) && writes % 3 == 1 {
            grain.hidden.push((2, entry));
        } else if !lost {
            grain.entries.push(entry);
        }
        if self.is(TruncatedEntriesComeBack) {
            let cut = std::mem::take(&mut grain.cut);
            grain.entries.extend(cut);
        }
        grain.entries.sort_by_key(Entry::cursor);
        state.counter += 1;
        if let Some(grain) = state.grains.get_mut(place)
            && !(self.is(DeathsAreNotNamed) && head.kind == Kind::Tombstone)
            && !(self.is(SomeMovesAreNotNamed) && state.counter.is_multiple_of(7))
        {
            grain.moved_at = state.counter;
        }
    }

    /// One grain's share of a batch.
    pub(super) fn append_grain(
        &self,
        state: &mut State,
        grain: &GrainId,
        entries: &[&Entry],
    ) -> Appended {
        let place = self.place(grain);
        let there = state.grains.get(&place).and_then(|grain| grain.head);
        let resumed = there
            .filter(|_| !self.is(RetriesStartOver))
            .and_then(|head| {
                entries.iter().rposition(|entry| {
                    entry.cursor() == head.cursor && entry.digest() == head.digest
                })
            });
        let known = |entry: &Entry| {
            let grain = state.grains.get(&place);
            grain.is_some_and(|grain| grain.entries.contains(entry))
        };
        let mut landed = resumed.unwrap_or(0);
        if self.is(OvertakenBatchesAreOk) {
            landed = entries.iter().take_while(|entry| known(entry)).count();
        }
        let mut refusal = None;
        for entry in entries.iter().skip(landed) {
            let grain = state.grains.entry(place.clone()).or_default();
            match self.judge(grain, entry) {
                Ok(written) => {
                    if written {
                        self.write(state, &place, entry);
                    }
                    landed += 1;
                }
                Err(error) => {
                    if self.is(RefusedEntriesAreWritten) {
                        self.write(state, &place, entry);
                    }
                    refusal.get_or_insert(error);
                    if !self.is(BatchesGoOnBehindARefusal) {
                        break;
                    }
                }
            }
        }
        let head = state.grains.get(&place).and_then(|grain| grain.head);
        let result = match (refusal, head) {
            (None, Some(head)) => Ok(head),
            (refusal, _) => Err(refusal.unwrap_or_else(|| Error::permanent(NAME, "no head"))),
        };
        if self.is(LandedCountsAll) {
            landed = entries.len();
        }
        Appended {
            grain: grain.clone(),
            landed,
            result,
        }
    }

    /// Judged in one moment, written in another.
    pub(super) async fn append_racing(&self, grain: &GrainId, entries: &[&Entry]) -> Appended {
        let before = self.state.lock().clone();
        let mut copy = before.clone();
        let answer = self.append_grain(&mut copy, grain, entries);
        crate::a_bad_moment().await;
        let written = usize::try_from(copy.writes - before.writes).unwrap_or(0);
        let mut state = self.state.lock();
        for entry in entries
            .iter()
            .take(answer.landed)
            .skip(answer.landed.saturating_sub(written))
        {
            self.write(&mut state, &self.place(grain), entry);
        }
        answer
    }
}

/// An entry's fields, free again.
pub(crate) fn copy(entry: &Entry) -> Draft {
    let (grain, cursor, writer) = (entry.grain().clone(), entry.cursor(), entry.writer());
    let mut draft = Draft::full(grain, cursor, writer, entry.payload().clone());
    draft.kind = entry.kind();
    draft.prev = entry.prev();
    draft.written_at = entry.written_at();
    draft.source = entry.source().clone();
    draft.schema = entry.schema();
    draft
}
