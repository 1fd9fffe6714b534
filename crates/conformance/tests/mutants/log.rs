//! A log in memory, written anew for the kit, into which one fault can be planted. Without a fault
//! it keeps every clause; nothing of it is shared with the backends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use gleaner_conformance::{LogFactory, NotApplicable};
use gleaner_core::{
    Appended, Budget, CatchUp, Caught, ChangeFeed, Claim, Cursor, Digest, Draft, Entry, Error,
    ErrorKind, Fence, Filter, GrainId, Head, HeadPage, Identity, Kind, Limits, LogId, Page,
    ReplicationLog, Result, Run, Truncation, UnixMillis,
};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::faults::LogFault::{self, *};

const NAME: &str = "mutant";

#[derive(Debug, Clone, Default)]
pub(crate) struct Grain {
    /// As written; with ids joined or folded, more than one may meet here.
    pub(crate) id: Option<GrainId>,
    pub(crate) head: Option<Head>,
    fence: Option<Fence>,
    floor: Cursor,
    entries: Vec<Entry>,
    /// Heads as a stale cache has them.
    former: Option<Head>,
    pub(crate) first: Option<Head>,
    /// Entries that come to light late, with the number of writes until then.
    hidden: Vec<(u32, Entry)>,
    cut: Vec<Entry>,
    pub(crate) moved_at: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) identity: Identity,
    pub(crate) grains: BTreeMap<GrainId, Grain>,
    pub(crate) counter: u64,
    writes: u64,
}

/// The log. Clones are one log.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub(crate) fault: Option<LogFault>,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) moved: Arc<watch::Sender<()>>,
}

static NAMES: AtomicU64 = AtomicU64::new(1);

fn name() -> LogId {
    let drawn = NAMES.fetch_add(1, Ordering::SeqCst);
    LogId::new(drawn.to_be_bytes().to_vec())
}

/// Opens the log with a fault, or without.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logs(pub(crate) Option<LogFault>);

impl LogFactory for Logs {
    type Guard = Plain;
    type Log = Plain;

    async fn open(&self) -> (Plain, Plain) {
        let log = if self.0 == Some(EveryLogHasOneName) {
            LogId::new("the log")
        } else {
            name()
        };
        let plain = Plain {
            fault: self.0,
            state: Arc::new(Mutex::new(State {
                identity: Identity::new(log, "first"),
                grains: BTreeMap::new(),
                counter: 0,
                writes: 0,
            })),
            moved: Arc::new(watch::Sender::new(())),
        };
        (plain.clone(), plain)
    }

    async fn reopen(&self, guard: &Plain) -> Option<Plain> {
        let mut state = guard.state.lock();
        for grain in state.grains.values_mut() {
            if guard.is(ReopeningLosesTheLastEntry) && grain.entries.len() > 1 {
                grain.entries.pop();
                grain.head = grain.entries.last().map(|last| Head {
                    cursor: last.cursor(),
                    digest: last.digest(),
                    kind: last.kind(),
                    base: last.cursor(),
                });
            }
            if guard.is(ReopeningLosesClaims) {
                grain.fence = grain.entries.last().map(|last| Fence {
                    epoch: last.epoch(),
                    writer: last.writer(),
                });
            }
        }
        if guard.is(ReopeningDrawsANewName) {
            state.identity.log = name();
        }
        Some(guard.clone())
    }

    fn not_applicable(&self) -> NotApplicable {
        &[]
    }
}

fn refuse<T>(kind: ErrorKind, entry: &Entry) -> Result<T> {
    Err(Error::new(kind, NAME, "refused").at(entry.grain(), entry.cursor()))
}

impl Plain {
    pub(crate) fn is(&self, fault: LogFault) -> bool {
        self.fault == Some(fault)
    }

    /// Where a grain is stored.
    fn place(&self, grain: &GrainId) -> GrainId {
        let (kind, key) = (grain.grain_type(), grain.grain_key());
        let folded = if self.is(IdsAreJoined) {
            GrainId::new(
                "all",
                format!("{kind}/{key}")
                    .chars()
                    .take(100)
                    .collect::<String>(),
            )
        } else if self.is(IdsIgnoreCase) {
            GrainId::new(kind.to_lowercase(), key.to_lowercase())
        } else if self.is(IdsEndAtNul) {
            let cut = key.trim_end_matches('\0');
            GrainId::new(kind, if cut.is_empty() { "\0" } else { cut })
        } else {
            return grain.clone();
        };
        folded.unwrap_or_else(|_| grain.clone())
    }

    /// L2.
    fn judge(&self, grain: &Grain, entry: &Entry) -> Result<bool> {
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
    fn follows(&self, grain: &Grain, head: Option<Head>, entry: &Entry) -> bool {
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

    fn write(&self, state: &mut State, place: &GrainId, entry: &Entry) {
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
    fn append_grain(&self, state: &mut State, grain: &GrainId, entries: &[&Entry]) -> Appended {
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
    async fn append_racing(&self, grain: &GrainId, entries: &[&Entry]) -> Appended {
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

    /// Entry by entry, each in a moment of its own.
    async fn truncate_in_steps(&self, place: &GrainId, before: Cursor) {
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

    fn head(&self, state: &State, grain: &GrainId) -> Option<Head> {
        let grain = state.grains.get(&self.place(grain))?;
        if self.is(HeadsAreStale) {
            grain.former.or(grain.head)
        } else {
            grain.head
        }
    }

    fn read(&self, state: &State, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
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
    fn run(
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

/// An entry's fields, free again.
fn copy(entry: &Entry) -> Draft {
    let (grain, cursor, writer) = (entry.grain().clone(), entry.cursor(), entry.writer());
    let mut draft = Draft::full(grain, cursor, writer, entry.payload().clone());
    draft.kind = entry.kind();
    draft.prev = entry.prev();
    draft.written_at = entry.written_at();
    draft.source = entry.source().clone();
    draft.schema = entry.schema();
    draft
}

#[async_trait]
impl ReplicationLog for Plain {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        let bytes: usize = entries.iter().map(|entry| entry.payload().len()).sum();
        let limits = self.limits();
        if !self.is(BatchesHaveNoLimit)
            && (entries.len() + usize::from(self.is(BatchLimitIsOneLess))
                > limits.max_batch_entries()
                || (entries.len() > 1 && bytes > limits.max_batch_bytes()))
        {
            return Err(Error::invalid(NAME, "over a batch limit"));
        }
        let mut order: Vec<&GrainId> = Vec::new();
        for entry in entries {
            if !order.contains(&entry.grain()) {
                order.push(entry.grain());
            }
        }
        if self.is(AnswersAreSorted) {
            order.sort();
        }
        let mut answers = Vec::new();
        for grain in order {
            let own: Vec<&Entry> = entries
                .iter()
                .filter(|entry| entry.grain() == grain)
                .collect();
            let answer = if self.is(AppendsRace) || self.is(BatchesRace) {
                self.append_racing(grain, &own).await
            } else {
                self.append_grain(&mut self.state.lock(), grain, &own)
            };
            let refused = answer.result.is_err();
            answers.push(answer);
            if refused && self.is(ARefusalStopsTheBatch) {
                break;
            }
        }
        self.moved.send_replace(());
        Ok(answers)
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        let mut state = self.state.lock();
        let mut answers = Vec::new();
        for claim in claims {
            let wanted = Fence {
                epoch: claim.epoch,
                writer: claim.writer,
            };
            let place = self.place(&claim.grain);
            if !claim.epoch.is_valid() {
                answers.push(Err(Error::invalid(NAME, "a bad epoch").of(&claim.grain)));
                continue;
            }
            let grain = state.grains.entry(place).or_default();
            let fence = grain.fence.filter(|fence| {
                *fence != wanted
                    && (claim.epoch < fence.epoch && !self.is(LowerClaimsAreTaken)
                        || claim.epoch == fence.epoch && !self.is(ClaimsShareAnEpoch))
            });
            if let Some(fence) = fence {
                let kind = ErrorKind::Fenced { fence };
                answers.push(Err(Error::new(kind, NAME, "owned").of(&claim.grain)));
                continue;
            }
            if !self.is(ClaimsAreForgotten) {
                grain.fence = Some(wanted);
            }
            if self.is(ClaimsMakeAHead) && grain.head.is_none() {
                let cursor = Cursor {
                    epoch: claim.epoch,
                    ..Cursor::ZERO
                };
                grain.id = Some(claim.grain.clone());
                grain.head = Some(Head {
                    cursor,
                    digest: Digest::ZERO,
                    kind: Kind::FullState,
                    base: cursor,
                });
                grain.moved_at = u64::MAX;
            }
            if self.is(ClaimsMoveTheHead) {
                grain.head = grain.head.map(|head| Head {
                    cursor: Cursor {
                        epoch: claim.epoch,
                        ..head.cursor
                    },
                    ..head
                });
            }
            answers.push(Ok(grain.head.filter(|_| !self.is(ClaimsAnswerNoHead))));
        }
        Ok(answers)
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let state = self.state.lock();
        Ok(grains
            .iter()
            .map(|grain| self.head(&state, grain))
            .collect())
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        let state = self.state.lock();
        let mut all: Vec<(GrainId, Head)> = state
            .grains
            .values()
            .filter_map(|grain| grain.id.clone().zip(grain.head))
            .filter(|(grain, _)| filter.includes(grain))
            .filter(|(grain, _)| after.is_none_or(|after| grain > after))
            .filter(|(_, head)| head.kind != Kind::Tombstone || !self.is(TheDeadAreNotListed))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        if self.is(ListingsGoByJoinedNames) {
            let joined = |id: &GrainId| format!("{}{}", id.grain_type(), id.grain_key());
            all.sort_by_key(|(grain, _)| joined(grain));
        }
        let limit = limit.max(1);
        let more = all.len() > limit;
        all.truncate(limit);
        let next = all.last().map(|(grain, _)| grain.clone()).filter(|_| more);
        Ok(HeadPage {
            identity: state.identity.clone(),
            heads: all,
            next,
        })
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        self.read(&self.state.lock(), grain, after, budget)
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let place = self.place(grain);
        if self.is(TruncationIsInSteps) {
            self.truncate_in_steps(&place, before).await;
        }
        let mut state = self.state.lock();
        let Some(stored) = state.grains.get_mut(&place) else {
            if self.is(UnknownGrainsCannotBeTruncated) {
                return Err(Error::permanent(NAME, "no such grain").of(grain));
            }
            return Ok(Truncation {
                removed: 0,
                floor: Cursor::ZERO,
            });
        };
        let base = stored
            .entries
            .iter()
            .rposition(|entry| entry.kind().is_base() && entry.cursor() <= before);
        let exact = stored
            .entries
            .iter()
            .take_while(|entry| entry.cursor() < before)
            .count();
        let first = match self.fault {
            Some(TruncationIsNotRounded) => exact,
            Some(TruncationTakesTheBaseToo) => base.map_or(0, |base| base + 1),
            Some(TruncationKeepsAll) => 0,
            _ => base.unwrap_or(0),
        };
        let cut: Vec<Entry> = stored.entries.drain(..first).collect();
        if first > 0 {
            stored.floor = stored.entries.first().map_or(before, Entry::cursor);
        } else if self.is(TruncationLowersTheFloor) {
            stored.floor = before;
        }
        let done = Truncation {
            removed: cut.len() as u64,
            floor: stored.floor,
        };
        stored.cut.extend(cut);
        if self.is(TruncationForgetsTheFence) {
            stored.fence = None;
        }
        if self.is(TruncationForgetsTheDead)
            && stored.head.is_some_and(|head| head.kind == Kind::Tombstone)
        {
            state.grains.remove(&place);
        }
        Ok(done)
    }

    fn limits(&self) -> Limits {
        Limits::default()
            .with_max_payload(1 << 20)
            .with_max_batch_entries(256)
            .with_max_batch_bytes(4 << 20)
    }

    async fn identity(&self) -> Result<Identity> {
        Ok(self.state.lock().identity.clone())
    }

    fn confirms(&self) -> bool {
        true
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        let state = if self.is(CatchUpIsOfTwoMoments) {
            // The heads of one moment, the entries of a later one.
            let before = self.state.lock().clone();
            crate::a_bad_moment().await;
            let mut now = self.state.lock().clone();
            for (place, grain) in &mut now.grains {
                grain.head = before.grains.get(place).and_then(|grain| grain.head);
            }
            now
        } else {
            self.state.lock().clone()
        };
        let (mut left, mut served) = (budget, false);
        let grains = wants
            .iter()
            .map(|want| self.run(&state, want, &mut left, &mut served))
            .collect::<Result<_>>()?;
        Ok(CatchUp {
            identity: state.identity,
            grains,
        })
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}
