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
pub(super) const LISTENS: Duration = Duration::from_secs(5);

/// # Contract
/// While nothing was lost, `names` holds every grain that moved after `base` and by `position`, with a
/// head at least that new: the stream begins at a position, misses nothing, and its pages come in order.
/// Whoever takes the names moves `base` to `position`, so a caller whose own position lies before that is
/// sent to the leader for all; so is one whose former call failed after it had taken them.
///
/// A page with entries for somebody who listens is told when it is handed over, not before: what is named
/// too early would be fetched while it lies here.
#[derive(Default)]
pub(super) struct State {
    stream: Option<AbortHandle>,
    identity: Option<Identity>,
    base: Vec<u64>,
    position: Vec<u64>,
    names: HashMap<GrainId, Head, FixedState>,
    lost: bool,
    /// Up to where something was named that nobody who listens was handed.
    unheard: Option<Vec<u64>>,
    /// Pages that wait for who listens, and their payload bytes.
    waiting: VecDeque<(Page, usize)>,
    waiting_bytes: usize,
    users: usize,
    used_at: Option<Instant>,
    listeners: usize,
    listened_at: Option<Instant>,
    /// When there was last more than one who listens: each is handed what the others are not.
    several_at: Option<Instant>,
    failures: u32,
    retry_at: Option<Instant>,
}

/// What a stream has named since a reader's position.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) moved: Vec<Moved>,
    /// From where on the leader is still to be asked.
    pub(crate) from: Position,
    /// Whether the stream has named all that moved up to there, and so will name what comes. Not for a
    /// reader who stands before what another has taken.
    pub(crate) whole: bool,
}

impl Told {
    pub(super) fn nothing(since: &Position) -> Self {
        Self {
            moved: Vec::new(),
            from: since.clone(),
            whole: false,
        }
    }
}

fn is_recent(at: Option<Instant>) -> bool {
    at.is_some_and(|at| at.elapsed() < LISTENS)
}

impl State {
    // The stream.

    /// When a stream is to be begun; none while one runs. One whose task was lost (a panic, a runtime that
    /// ended) does not run.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match &self.stream {
            Some(stream) if !stream.is_finished() => None,
            _ => Some(self.retry_at.unwrap_or_else(Instant::now)),
        }
    }

    /// A stream from `since` runs now.
    pub(super) fn begun(&mut self, since: &Position, stream: AbortHandle) {
        self.forget();
        self.stream = Some(stream);
        self.identity = Some(since.identity().clone());
        self.base = counters(since).to_vec();
        self.position = self.base.clone();
    }

    /// The stream has ended. What it said stays true, and is kept if somebody may ask for it.
    pub(super) fn ended(&mut self, in_peace: bool, (min, max): (Duration, Duration)) {
        self.stream = None;
        let wait = min.saturating_mul(1 << self.failures.min(16)).min(max);
        self.failures = if in_peace {
            0
        } else {
            self.failures.saturating_add(1)
        };
        self.retry_at = Some(Instant::now() + wait);
        if in_peace {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.identity = None;
        self.names = HashMap::default();
        self.lost = false;
        self.unheard = None;
        self.waiting = VecDeque::new();
        self.waiting_bytes = 0;
    }

    pub(super) fn abort(&mut self) {
        if let Some(stream) = self.stream.take() {
            stream.abort();
        }
    }

    // What comes in.

    /// Takes a page in.
    ///
    /// # Errors
    /// The page, if there is no room for it yet.
    pub(super) fn put(&mut self, page: Page) -> Result<(), Page> {
        if !self.is_listened() {
            self.tell_all();
            self.failures = 0;
            self.tell(page, false);
            return Ok(());
        }
        let bytes: usize = page.sent.iter().map(|(_, run)| size(run)).sum();
        let full = self.waiting.len() >= PUSHED_PAGES
            || !self.waiting.is_empty() && self.waiting_bytes.saturating_add(bytes) > PUSHED_BYTES;
        if full {
            return Err(page);
        }
        self.failures = 0;
        if page.sent.is_empty() && self.waiting.is_empty() {
            self.tell(page, true);
        } else {
            self.waiting_bytes = self.waiting_bytes.saturating_add(bytes);
            self.waiting.push_back((page, bytes));
        }
        Ok(())
    }

    /// Names what a page says; the entries that it brought.
    fn tell(&mut self, page: Page, heard: bool) -> Vec<PushedRun> {
        let unheard = !page.named.is_empty()
            || !page.sent.is_empty()
                && (!heard || self.listeners > 1 || is_recent(self.several_at));
        for Moved { grain, head } in page.named {
            self.name(grain, head);
        }
        let mut runs = Vec::with_capacity(page.sent.len());
        for (head, run) in page.sent {
            self.name(run.grain.clone(), head);
            runs.push(run);
        }
        if unheard {
            self.unheard = Some(page.counters.clone());
        }
        self.position = page.counters;
        runs
    }

    /// Nobody takes what waits.
    fn tell_all(&mut self) {
        while let Some((page, _)) = self.waiting.pop_front() {
            self.tell(page, false);
        }
        self.waiting_bytes = 0;
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

    // What is taken out.

    /// Whether something lies beyond a position that nobody who listens was handed.
    pub(super) fn knows_beyond(&self, since: &Position) -> bool {
        self.identity.as_ref() == Some(since.identity())
            && self
                .unheard
                .as_ref()
                .is_some_and(|unheard| !is_behind(unheard, counters(since)))
    }

    /// Whether all up to a position has been named, or will be by a stream that runs: which of the two.
    pub(super) fn reaches(&self, position: &Position) -> Option<bool> {
        if self.identity.as_ref() != Some(position.identity()) || self.lost {
            return None;
        }
        if is_behind(counters(position), &self.position) {
            return Some(true);
        }
        self.retry_at().is_none().then_some(false)
    }

    /// What was named since a position, which is taken by this.
    pub(super) fn told_since(&mut self, since: &Position) -> Told {
        let nothing = || Told::nothing(since);
        if self.identity.as_ref() != Some(since.identity()) {
            return nothing();
        }
        if !self.is_listened() {
            self.tell_all();
        }
        let at = counters(since);
        let whole = !self.lost && is_behind(&self.base, at);
        if !whole && !self.lost {
            // Another reader has taken what this one lacks.
            return nothing();
        }
        let names = std::mem::take(&mut self.names);
        self.base.clone_from(&self.position);
        self.lost = false;
        if !whole {
            return nothing();
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
        Told {
            moved,
            from: Position::new(since.identity().clone(), since.filter().clone(), from),
            whole: true,
        }
    }

    /// The next entries for one who listens.
    pub(super) fn take_pushed(&mut self) -> Option<Pushed> {
        while let Some((page, bytes)) = self.waiting.pop_front() {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
            let runs = self.tell(page, true);
            if let Some(identity) = self.identity.clone()
                && !runs.is_empty()
            {
                return Some(Pushed { identity, runs });
            }
        }
        None
    }

    // Who is there.

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
        if self.listeners > 1 {
            self.several_at = Some(Instant::now());
        }
    }

    pub(super) fn listened(&mut self) {
        if self.listeners > 1 {
            self.several_at = Some(Instant::now());
        }
        self.listeners = self.listeners.saturating_sub(1);
        self.listened_at = Some(Instant::now());
    }

    pub(super) fn is_listened(&self) -> bool {
        self.listeners > 0 || is_recent(self.listened_at)
    }
}

fn size(run: &PushedRun) -> usize {
    run.entries.iter().map(|entry| entry.payload().len()).sum()
}

#[cfg(test)]
mod tests;
