//! [`Counts`]: what the driver counts; [`Progress`]: the same as values.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gleaner_actor::Health;
use gleaner_core::ErrorKind;

/// Counts that the driver keeps and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) by_health: [AtomicUsize; Health::ALL.len()],
    pub(crate) in_step: AtomicUsize,
    pub(crate) entries_applied: AtomicU64,
    pub(crate) entries_read: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    pub(crate) runs_applied: AtomicU64,
    pub(crate) pushes_applied: AtomicU64,
    pub(crate) pushes_dropped: AtomicU64,
    pub(crate) polls: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) pages: AtomicU64,
    errors: [[AtomicU64; KINDS.len()]; Side::ALL.len()],
}

/// Log or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Log,
    Store,
}

impl Side {
    pub(crate) const ALL: [Self; 2] = [Self::Log, Self::Store];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Store => "store",
        }
    }
}

/// The kinds of errors that are told apart, by name; the last is for kinds that are newer than this.
pub(crate) const KINDS: [&str; 9] = [
    "transient",
    "unknown",
    "fenced",
    "conflict",
    "truncated",
    "expired",
    "invalid",
    "permanent",
    "other",
];

impl Counts {
    pub(crate) fn of(&self, health: Health) -> usize {
        let count = self.by_health.get(usize::from(health.code()));
        count.map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// A grain's health has changed; none before it is followed and after.
    pub(crate) fn turned(&self, was: Option<Health>, is: Option<Health>) -> Turned {
        let count = |health: Health| self.by_health.get(usize::from(health.code()));
        let first = |health: Option<Health>| health == Some(Health::Bootstrapping);
        let mut turned = Turned::default();
        // The new one first: a sum of all is never too small.
        if let Some(count) = is.and_then(count) {
            turned.began = count.fetch_add(1, Ordering::SeqCst) == 0 && first(is);
        }
        if let Some(count) = was.and_then(count) {
            turned.ended = count.fetch_sub(1, Ordering::SeqCst) == 1 && first(was);
        }
        turned
    }

    pub(crate) fn came_in_step(&self, was: bool, is: bool) {
        match (was, is) {
            (false, true) => self.in_step.fetch_add(1, Ordering::Relaxed),
            (true, false) => self.in_step.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    /// Entries came from the log, with so many bytes of payload.
    pub(crate) fn came(&self, entries: usize, bytes: usize) {
        self.entries_read
            .fetch_add(entries as u64, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// A call of log or store failed, or answered an error for a grain.
    pub(crate) fn erred(&self, side: Side, kind: ErrorKind) {
        if let Some(count) = self.errors_of(side, kind_index(kind)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often a side erred in the `kind`th of [`KINDS`].
    fn errors_of(&self, side: Side, kind: usize) -> Option<&AtomicU64> {
        let of_side = match side {
            Side::Log => self.errors.first(),
            Side::Store => self.errors.last(),
        };
        of_side?.get(kind)
    }

    /// As [`Self::errors_of`].
    pub(crate) fn errors(&self, side: Side, kind: usize) -> u64 {
        let count = self.errors_of(side, kind);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn progress(&self) -> Progress {
        let health = |health| self.of(health);
        let each_kind = |side| (0..KINDS.len()).map(move |kind| self.errors(side, kind));
        let bootstrapping = health(Health::Bootstrapping);
        let others = Health::ALL.into_iter().skip(1).map(health);
        Progress {
            followed: bootstrapping + others.sum::<usize>(),
            in_step: self.in_step.load(Ordering::Relaxed),
            bootstrapping,
            quarantined: health(Health::Quarantined),
            ahead: health(Health::Ahead),
            diverged: health(Health::Diverged),
            missing: health(Health::Missing),
            foreign: health(Health::Foreign),
            paused: health(Health::Paused),
            entries_read: self.entries_read.load(Ordering::Relaxed),
            bytes_read: self.bytes_read.load(Ordering::Relaxed),
            entries_applied: self.entries_applied.load(Ordering::Relaxed),
            runs_applied: self.runs_applied.load(Ordering::Relaxed),
            pushes_applied: self.pushes_applied.load(Ordering::Relaxed),
            pushes_dropped: self.pushes_dropped.load(Ordering::Relaxed),
            polls: self.polls.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            pages: self.pages.load(Ordering::Relaxed),
            errors: Side::ALL.into_iter().flat_map(each_kind).sum(),
        }
    }
}

fn kind_index(kind: ErrorKind) -> usize {
    let named = KINDS.iter().position(|name| *name == kind.name());
    named.unwrap_or(KINDS.len() - 1)
}

/// What a change of health did to the number of bootstrapping grains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turned {
    /// There is one; there was none.
    pub(crate) began: bool,
    /// There is none; there was one.
    pub(crate) ended: bool,
}

/// How far a follower has come. Each number is true by itself; together they are of about one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Followed grains.
    pub followed: usize,
    /// Of these, resting in step with the log.
    pub in_step: usize,
    /// Not yet compared with the log since the start.
    pub bootstrapping: usize,
    /// With an entry that cannot be applied.
    pub quarantined: usize,
    /// Above the log's head.
    pub ahead: usize,
    /// At the log's head with another history.
    pub diverged: usize,
    /// Not in the log any more.
    pub missing: usize,
    /// Of another log.
    pub foreign: usize,
    /// Told to pause.
    pub paused: usize,
    /// Entries that came from the log since the start.
    pub entries_read: u64,
    /// Bytes of their payloads.
    pub bytes_read: u64,
    /// Entries that moved a replica since the start.
    pub entries_applied: u64,
    /// Runs given to the store since the start.
    pub runs_applied: u64,
    /// Of these, runs that the log had sent unasked.
    pub pushes_applied: u64,
    /// Runs that the log sent unasked and that were not given to the store: known already, not followed,
    /// or of no use where the replica stood. What is new in them is looked up.
    pub pushes_dropped: u64,
    /// Grains asked for in the reads since the start: one read asks for many.
    pub polls: u64,
    /// Reads of entries since the start: calls of `catch_up`, and grains read anew from a base, which may
    /// take several calls.
    pub reads: u64,
    /// Pages of feeds and listings since the start.
    pub pages: u64,
    /// Calls of log and store that failed since the start, and grains that they answered an error for.
    pub errors: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_a_count_of_its_own() {
        let counts = Counts::default();
        counts.erred(Side::Log, ErrorKind::Transient);
        counts.erred(Side::Store, ErrorKind::Permanent);
        counts.erred(Side::Store, ErrorKind::Permanent);
        let of = |side, name| {
            let kind = KINDS.iter().position(|kind| *kind == name).unwrap();
            counts.errors(side, kind)
        };
        assert_eq!(of(Side::Log, "transient"), 1);
        assert_eq!(of(Side::Store, "permanent"), 2);
        assert_eq!(of(Side::Store, "transient"), 0);
        assert_eq!(of(Side::Log, "permanent"), 0);
        assert_eq!(counts.progress().errors, 3);
    }

    #[test]
    fn the_first_and_the_last_bootstrapping_grain_are_noticed() {
        let counts = Counts::default();
        let turned = |began, ended| Turned { began, ended };
        let new = Some(Health::Bootstrapping);
        assert_eq!(counts.turned(None, new), turned(true, false));
        assert_eq!(counts.turned(None, new), turned(false, false));
        assert_eq!(counts.turned(new, Some(Health::Live)), turned(false, false));
        assert_eq!(counts.turned(new, None), turned(false, true));
        assert_eq!(
            counts.turned(Some(Health::Live), None),
            turned(false, false)
        );
    }
}
