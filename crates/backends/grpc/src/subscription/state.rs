//! [`State`]: what a stream has said, until somebody takes it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::FixedState;
use gleaner_core::{GrainId, Head, Identity, Moved, Position, Pushed, PushedRun};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::page::Page;
use crate::feed::is_behind;
use crate::wire::counters;

/// The most names that are kept for the next `changes`; beyond that it asks the leader for all.
const NAMES: usize = 1 << 16;
/// The most payload bytes, and pages, that wait for who listens.
const PUSHED_BYTES: usize = 4 << 20;
const PUSHED_PAGES: usize = 64;
/// How long after the last call of `pushed` another is still expected.
const LISTENS: Duration = Duration::from_secs(5);

/// # Contract
/// While nothing was lost, `names` holds every grain that moved after `base` and by `position`, with a
/// head at least that new: the stream begins at a position, misses nothing, and its pages come in order.
/// Whoever takes the names moves `base` to `position`, so a caller whose own position lies before that is
/// sent to the leader for all; so is one whose former call failed after it had taken them.
#[derive(Default)]
pub(super) struct State {
    stream: Option<AbortHandle>,
    identity: Option<Identity>,
    base: Vec<u64>,
    position: Vec<u64>,
    names: HashMap<GrainId, Head, FixedState>,
    lost: bool,
    /// Something was named that nobody who listens is handed.
    unheard: bool,
    pushed: VecDeque<(Pushed, usize)>,
    pushed_bytes: usize,
    users: usize,
    used_at: Option<Instant>,
    listeners: usize,
    listened_at: Option<Instant>,
    failures: u32,
    retry_at: Option<Instant>,
}

/// What became of a page.
pub(super) enum Room {
    Taken,
    /// There is no room for it yet.
    Full(Option<Page>),
}

impl State {
    /// When a stream is to be begun; none while one runs.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match &self.stream {
            Some(_) => None,
            None => Some(self.retry_at.unwrap_or_else(Instant::now)),
        }
    }

    /// A stream from `since` runs now.
    pub(super) fn begun(&mut self, since: &Position, stream: AbortHandle) {
        self.stream = Some(stream);
        self.identity = Some(since.identity().clone());
        self.base = counters(since).to_vec();
        self.position = self.base.clone();
        self.names.clear();
        self.lost = false;
        self.unheard = false;
    }

    /// The stream has ended. What it said stays true.
    pub(super) fn ended(&mut self, in_peace: bool, (min, max): (Duration, Duration)) {
        self.stream = None;
        let wait = min.saturating_mul(1 << self.failures.min(16)).min(max);
        self.failures = if in_peace {
            0
        } else {
            self.failures.saturating_add(1)
        };
        self.retry_at = Some(Instant::now() + wait);
    }

    pub(super) fn abort(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
    }

    /// Whether something lies beyond a position that nobody who listens is handed.
    pub(super) fn knows_beyond(&self, since: &Position) -> bool {
        self.unheard
            && self.identity.as_ref() == Some(since.identity())
            && !is_behind(&self.position, counters(since))
    }

    /// Takes a page in.
    pub(super) fn put(&mut self, page: Option<Page>) -> Room {
        let Some(page) = page else {
            return Room::Taken;
        };
        let heard = self.is_listened();
        let bytes: usize = page.sent.iter().map(|(_, run)| size(run)).sum();
        let full = self.pushed.len() >= PUSHED_PAGES
            || !self.pushed.is_empty() && self.pushed_bytes.saturating_add(bytes) > PUSHED_BYTES;
        if heard && full && !page.sent.is_empty() {
            return Room::Full(Some(page));
        }
        self.failures = 0;
        self.unheard |= !page.named.is_empty() || (!heard && !page.sent.is_empty());
        for Moved { grain, head } in page.named {
            self.name(grain, head);
        }
        let mut runs = Vec::with_capacity(page.sent.len());
        for (head, run) in page.sent {
            self.name(run.grain.clone(), head);
            runs.push(run);
        }
        self.position = page.counters;
        if let Some(identity) = self.identity.clone()
            && heard
            && !runs.is_empty()
        {
            self.pushed_bytes = self.pushed_bytes.saturating_add(bytes);
            self.pushed.push_back((Pushed { identity, runs }, bytes));
        }
        Room::Taken
    }

    fn name(&mut self, grain: GrainId, head: Head) {
        if self.names.len() >= NAMES && !self.names.contains_key(&grain) {
            self.names = HashMap::default();
            self.lost = true;
        }
        if !self.lost {
            self.names.insert(grain, head);
        }
    }

    /// What was named since a position, which is taken by this; and from where the leader is to be asked.
    pub(super) fn told_since(&mut self, since: &Position) -> (Vec<Moved>, Position) {
        if self.identity.as_ref() != Some(since.identity()) {
            return (Vec::new(), since.clone());
        }
        let at = counters(since);
        let whole = !self.lost && is_behind(&self.base, at);
        if !whole && !self.lost {
            // Another reader has taken what this one lacks.
            return (Vec::new(), since.clone());
        }
        let names = std::mem::take(&mut self.names);
        self.base.clone_from(&self.position);
        self.lost = false;
        self.unheard = false;
        if !whole {
            return (Vec::new(), since.clone());
        }
        let moved = names
            .into_iter()
            .map(|(grain, head)| Moved { grain, head })
            .collect();
        let from: Vec<u64> = at
            .iter()
            .zip(&self.position)
            .map(|(own, told)| *own.max(told))
            .collect();
        let from = Position::new(since.identity().clone(), since.filter().clone(), from);
        (moved, from)
    }

    pub(super) fn take_pushed(&mut self) -> Option<Pushed> {
        let (pushed, bytes) = self.pushed.pop_front()?;
        self.pushed_bytes = self.pushed_bytes.saturating_sub(bytes);
        Some(pushed)
    }

    pub(super) fn used(&mut self) {
        self.users += 1;
    }

    pub(super) fn unused(&mut self) {
        self.users = self.users.saturating_sub(1);
        self.used_at = Some(Instant::now());
    }

    /// Whether nobody has waited or listened for so long.
    pub(super) fn is_unused(&self, long: Duration) -> bool {
        self.users == 0 && self.used_at.is_none_or(|at| at.elapsed() > long)
    }

    pub(super) fn listens(&mut self) {
        self.listeners += 1;
    }

    pub(super) fn listened(&mut self) {
        self.listeners = self.listeners.saturating_sub(1);
        self.listened_at = Some(Instant::now());
    }

    fn is_listened(&self) -> bool {
        self.listeners > 0 || self.listened_at.is_some_and(|at| at.elapsed() < LISTENS)
    }
}

fn size(run: &PushedRun) -> usize {
    run.entries.iter().map(|entry| entry.payload().len()).sum()
}
