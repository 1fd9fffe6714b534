//! A log in memory, written anew for the kit, into which one fault can be planted. Without a fault
//! it keeps every clause; nothing of it is shared with the backends.

mod append;
mod read;

pub(crate) use append::copy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use gleaner_conformance::{LogFactory, NotApplicable};
use gleaner_core::{
    Appended, Budget, CatchUp, ChangeFeed, Claim, Cursor, Digest, Entry, Error, ErrorKind, Fence,
    Filter, GrainId, Head, HeadPage, Identity, Kind, Limits, LogId, Page, ReplicationLog, Result,
    Slice, Truncation,
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
    /// Everything that was written, in order: what listeners are sent.
    pub(crate) written: Vec<Entry>,
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
    LogId::new(drawn.to_be_bytes())
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
                written: Vec::new(),
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

/// The first of all that has this name if case is no matter; else the name itself.
pub(crate) fn like<T>(all: &BTreeMap<GrainId, T>, grain: &GrainId) -> GrainId {
    let folded = |id: &GrainId| {
        (
            id.grain_type().to_lowercase(),
            id.grain_key().to_lowercase(),
        )
    };
    let found = all.keys().find(|other| folded(other) == folded(grain));
    found.unwrap_or(grain).clone()
}

impl Plain {
    pub(crate) fn is(&self, fault: LogFault) -> bool {
        self.fault == Some(fault)
    }

    /// Whether a filter lets a grain pass, part by part.
    pub(crate) fn passes(&self, filter: &Filter, grain: &GrainId) -> bool {
        let (kind, key) = (grain.grain_type(), grain.grain_key());
        let slice = if self.is(SlicesAreOfTheKey) {
            GrainId::new("-", key).map_or_else(|_| Slice::of(grain), |id| Slice::of(&id))
        } else {
            Slice::of(grain)
        };
        filter.only_type().is_none_or(|name| name == kind)
            && (self.is(ListingsIgnoreThePrefix)
                || self.is(NamesIgnoreThePrefix)
                || filter
                    .only_prefix()
                    .is_none_or(|prefix| key.as_bytes().starts_with(prefix.as_bytes())))
            && (self.is(ListingsIgnoreTheSlices)
                || self.is(NamesIgnoreTheSlices)
                || filter.only_slices().is_none_or(|set| set.contains(slice)))
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
            let place = if self.is(FencesIgnoreCase) {
                like(&state.grains, &claim.grain)
            } else {
                self.place(&claim.grain)
            };
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
            .filter(|(grain, _)| after.is_none_or(|after| grain > after))
            .filter(|(_, head)| head.kind != Kind::Tombstone || !self.is(TheDeadAreNotListed))
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        if self.is(ListingsGoByJoinedNames) {
            let joined = |id: &GrainId| format!("{}{}", id.grain_type(), id.grain_key());
            all.sort_by_key(|(grain, _)| joined(grain));
        }
        if self.is(SparseListingsEndEarly) {
            all.truncate(4096);
        }
        all.retain(|(grain, _)| self.passes(filter, grain));
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
        let place = if self.is(TruncationIgnoresCase) {
            like(&state.grains, &place)
        } else {
            place
        };
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
