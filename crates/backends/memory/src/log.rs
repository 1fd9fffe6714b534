//! [`MemoryLog`]: a replication log behind one lock.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gleaner_core::append::{by_grain, check_batch};
use gleaner_core::{
    Appended, Budget, CatchUp, Caught, ChangeFeed, Claim, Cursor, Entry, Filter, GrainId, Head,
    HeadPage, Identity, Limits, LogId, Page, ReplicationLog, Result, Run, Truncation,
};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::feed::Feed;
use crate::grains::Grains;
use crate::history::History;
use crate::{BACKEND, SCAN};

/// A log that lives as long as its last clone. Clones are one log, so that a test can hand it to a
/// primary and a secondary as two processes would share a server.
///
/// # Concurrency
/// All of it stands behind one lock, for one writer or many readers, held for the length of one call and never across an await: a
/// call is one moment of the log, appends are atomic, and a feed's number is given in the order in
/// which appends become visible (F2). A lock per grain would let appends of different grains run side
/// by side, and would need what the servers need to keep the feed honest; here a call is a few map
/// look-ups, and payloads pass by reference count.
///
/// A wake-up is sent after the lock is given back, when what it tells of can be read.
#[derive(Debug, Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    limits: Limits,
    pub(crate) state: RwLock<State>,
    /// Told after each append and fork: what `wait` waits for. It wakes in the order of the waits, so
    /// that runs on paused time repeat.
    pub(crate) moved: Notify,
}

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) identity: Identity,
    names: Names,
    pub(crate) grains: Grains,
    pub(crate) feed: Feed,
}

impl MemoryLog {
    /// An empty log with an identity of its own and the default [`Limits`].
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// An empty log with other limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self::named(
            limits,
            Names {
                seed: None,
                given: 0,
            },
        )
    }

    /// For tests and simulations: an empty log whose identities follow from a seed, so that a run
    /// repeats to the byte. Two logs of one seed have one identity: do not let them meet.
    pub fn seeded(seed: u64) -> Self {
        let names = Names {
            seed: Some(seed),
            given: 0,
        };
        Self::named(Limits::default(), names)
    }

    fn named(limits: Limits, mut names: Names) -> Self {
        let state = State {
            identity: Identity::new(LogId::new(names.next()), names.next()),
            names,
            grains: Grains::default(),
            feed: Feed::default(),
        };
        Self {
            shared: Arc::new(Shared {
                limits,
                state: RwLock::new(state),
                moved: Notify::new(),
            }),
        }
    }

    /// For tests and simulations: the history may have forked (L11), as after a restored backup or
    /// an asynchronous failover. Feed positions taken before expire; replicas stay those of this log.
    pub fn fork_history(&self) {
        {
            let mut state = self.shared.state.write();
            state.identity.history = state.names.next();
        }
        self.wake();
    }

    /// For tests and simulations: a copy as it is now, detached: a backup, or an asynchronous copy
    /// that is read while it lags behind. What is appended to the one does not reach the other.
    #[must_use]
    pub fn copied(&self) -> Self {
        let state = self.shared.state.read().clone();
        Self {
            shared: Arc::new(Shared {
                limits: self.shared.limits,
                state: RwLock::new(state),
                moved: Notify::new(),
            }),
        }
    }

    /// For tests and simulations: takes a copy's content, fences and feed included, and forks the
    /// history, as an operator does who restores a backup.
    pub fn restore(&self, backup: &Self) {
        let content = backup.shared.state.read().clone();
        {
            let mut state = self.shared.state.write();
            state.grains = content.grains;
            state.feed = content.feed;
            state.identity.history = state.names.next();
        }
        self.wake();
    }

    /// For tests and simulations: everything is gone and another log stands in its place.
    pub fn begin_anew(&self) {
        {
            let mut state = self.shared.state.write();
            state.grains.clear();
            state.feed = Feed::default();
            state.identity = Identity::new(LogId::new(state.names.next()), state.names.next());
        }
        self.wake();
    }

    /// For tests and simulations: loses a grain's entries above a cursor and forks the history, as a
    /// failover to an asynchronous copy does. Fence and floor stay. Whether anything was lost.
    pub fn lose_tail(&self, grain: &GrainId, above: Cursor) -> bool {
        let mut state = self.shared.state.write();
        let State {
            grains,
            feed,
            identity,
            names,
        } = &mut *state;
        let Some(history) = grains.get_mut(grain) else {
            return false;
        };
        if !history.lose_tail(above) {
            return false;
        }
        if history.head().is_some() {
            feed.record(grain, &mut history.row);
        } else {
            feed.forget(&mut history.row);
        }
        identity.history = names.next();
        drop(state);
        self.wake();
        true
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn wake(&self) {
        self.shared.moved.notify_waiters();
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl ReplicationLog for MemoryLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        let limits = &self.shared.limits;
        check_batch(entries, limits, BACKEND)?;
        let groups = by_grain(entries);
        let mut woken = false;
        let mut answers = Vec::with_capacity(groups.len());
        {
            let mut state = self.shared.state.write();
            let State { grains, feed, .. } = &mut *state;
            for (grain, entries) in groups {
                let mut fresh = None;
                let history = match grains.get_mut(grain) {
                    Some(history) => history,
                    None => fresh.insert(History::default()),
                };
                let (appended, moved) = history.append(grain, &entries, limits);
                if moved {
                    feed.record(grain, &mut history.row);
                    woken = true;
                    // A refused first entry leaves no trace: its history is not kept.
                    if let Some(fresh) = fresh {
                        grains.insert(grain.clone(), fresh);
                    }
                }
                answers.push(appended);
            }
        }
        if woken {
            self.wake();
        }
        Ok(answers)
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        let mut state = self.shared.state.write();
        Ok(claims
            .iter()
            .map(|claim| {
                if let Some(history) = state.grains.get_mut(&claim.grain) {
                    return history.claim(claim);
                }
                let mut history = History::default();
                let head = history.claim(claim)?;
                state.grains.insert(claim.grain.clone(), history);
                Ok(head)
            })
            .collect())
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let state = self.shared.state.read();
        Ok(grains.iter().map(|grain| state.head(grain)).collect())
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        let state = self.shared.state.read();
        let mut page = HeadPage {
            identity: state.identity.clone(),
            heads: Vec::new(),
            next: None,
        };
        let Some(first) = filter.first() else {
            return Ok(page);
        };
        let from = match after {
            Some(after) if *after >= first => Bound::Excluded(after),
            _ => Bound::Included(&first),
        };
        let mut passed = 0;
        for (grain, history) in state.grains.from(from) {
            if filter.is_past(grain) {
                break;
            }
            match history.head().filter(|_| filter.includes(grain)) {
                Some(head) if page.heads.len() < limit.max(1) => {
                    page.heads.push((grain.clone(), head));
                }
                Some(_) => {
                    page.next = page.heads.last().map(|(last, _)| last.clone());
                    break;
                }
                None => {
                    passed += 1;
                    if passed == SCAN {
                        page.next = Some(grain.clone());
                        break;
                    }
                }
            }
        }
        Ok(page)
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        let state = self.shared.state.read();
        state.grains.get(grain).map_or_else(
            || Ok(Page::default()),
            |history| history.read_from(grain, after, budget),
        )
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let mut state = self.shared.state.write();
        Ok(state.grains.get_mut(grain).map_or(
            Truncation {
                removed: 0,
                floor: Cursor::ZERO,
            },
            |history| history.truncate(before),
        ))
    }

    fn limits(&self) -> Limits {
        self.shared.limits
    }

    async fn identity(&self) -> Result<Identity> {
        Ok(self.shared.state.read().identity.clone())
    }

    fn confirms(&self) -> bool {
        true
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        let state = self.shared.state.read();
        let mut budget = budget;
        let mut served = false;
        let grains = wants
            .iter()
            .map(|(grain, cursor)| match state.grains.get(grain) {
                Some(history) => history.catch_up(*cursor, &mut budget, &mut served),
                None => Caught::Run(Run {
                    head: None,
                    entries: Vec::new(),
                    complete: true,
                }),
            })
            .collect();
        Ok(CatchUp {
            identity: state.identity.clone(),
            grains,
        })
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}

impl State {
    pub(crate) fn head(&self, grain: &GrainId) -> Option<Head> {
        self.grains.get(grain).and_then(History::head)
    }
}

/// Where identities come from: 16 bytes that need only differ from log to log.
#[derive(Debug, Clone)]
struct Names {
    /// None: from the seeds of std's hash maps.
    seed: Option<u64>,
    given: u64,
}

impl Names {
    fn next(&mut self) -> Bytes {
        self.given += 1;
        let words = match self.seed {
            Some(seed) => [seed, self.given],
            None => [(); 2].map(|()| RandomState::new().build_hasher().finish()),
        };
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }
}

#[cfg(test)]
mod tests;
