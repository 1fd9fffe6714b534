//! [`Compaction`]: when history is truncated; and the task that does it, off the hot path.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use gleaner_core::{Cursor, GrainId, Head, Kind, ReplicationLog};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;

/// How much of a grain's history is kept.
///
/// Counted are the entries that this publisher wrote since it opened the grain, and the base that it
/// found there; what is older goes with the first truncation. A truncation waits until a quarter as
/// many entries as are kept can go, so that it does not follow every append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compaction {
    keep: Option<u64>,
}

impl Compaction {
    /// Keeps the newest `FullState` or Tombstone and at least `entries` entries before it, rounded
    /// up to a base (L7), so that a grain of Deltas keeps what the oldest of them starts from.
    #[must_use]
    pub const fn keep(entries: u64) -> Self {
        Self {
            keep: Some(entries),
        }
    }

    /// Keeps everything.
    #[must_use]
    pub const fn never() -> Self {
        Self { keep: None }
    }
}

impl Default for Compaction {
    /// `keep(16)`: enough to see what led to the newest state.
    fn default() -> Self {
        Self::keep(16)
    }
}

/// Counts one grain's entries and says when and where to cut. Pure.
#[derive(Debug)]
pub(crate) struct Tracker {
    keep: Option<u64>,
    /// Entries landed.
    count: u64,
    /// Bases at or above the last cut, each with its place in the count.
    bases: VecDeque<(u64, Cursor)>,
    cut: u64,
}

impl Tracker {
    pub(crate) fn new(policy: Compaction, head: Option<&Head>) -> Self {
        let bases = head.map(|head| (0, head.base)).into_iter().collect();
        Self {
            keep: policy.keep,
            count: 0,
            bases,
            cut: 0,
        }
    }

    /// An entry landed. If it is time, the base below which history may go.
    pub(crate) fn landed(&mut self, cursor: Cursor, kind: Kind) -> Option<Cursor> {
        let keep = self.keep?;
        self.count += 1;
        if !kind.is_base() {
            return None;
        }
        self.bases.push_back((self.count, cursor));
        let keep_from = self.count.checked_sub(keep)?;
        while self.bases.get(1).is_some_and(|(at, _)| *at <= keep_from) {
            self.bases.pop_front();
        }
        let (at, base) = *self.bases.front()?;
        if at > keep_from || at < self.cut + (keep / 4).max(1) {
            return None;
        }
        self.cut = at;
        Some(base)
    }
}

/// Truncations to be made: the highest one a grain.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    wanted: Mutex<BTreeMap<GrainId, Cursor>>,
    wake: Notify,
}

impl Compactor {
    pub(crate) fn want(&self, grain: &GrainId, before: Cursor) {
        {
            let mut wanted = self.wanted.lock();
            let at = wanted.entry(grain.clone()).or_insert(before);
            *at = before.max(*at);
        }
        self.wake.notify_one();
    }

    /// The next grain in turn, so that a busy one does not starve the others.
    fn next(&self, after: Option<&GrainId>) -> Option<(GrainId, Cursor)> {
        let mut wanted = self.wanted.lock();
        let behind = after.and_then(|after| {
            wanted
                .range::<GrainId, _>((Bound::Excluded(after), Bound::Unbounded))
                .next()
                .map(|(grain, _)| grain.clone())
        });
        match behind {
            Some(grain) => wanted.remove_entry(&grain),
            None => wanted.pop_first(),
        }
    }

    /// Truncates what is wanted, for ever. A failure is said once and tried again later; nothing
    /// waits for it.
    pub(crate) async fn run(
        &self,
        log: &dyn ReplicationLog,
        limit: Duration,
        mut backoff: Backoff,
    ) {
        let mut last: Option<GrainId> = None;
        let mut failures: u32 = 0;
        loop {
            let Some((grain, before)) = self.next(last.as_ref()) else {
                self.wake.notified().await;
                continue;
            };
            let retry = match timeout(limit, log.truncate(&grain, before)).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) if error.is_retryable() => Some(error.to_string()),
                Ok(Err(error)) => {
                    tracing::warn!(
                        grain_type = grain.grain_type(),
                        grain_key = grain.grain_key(),
                        %error,
                        "history cannot be compacted"
                    );
                    None
                }
                Err(_) => Some("the call timed out".to_owned()),
            };
            if let Some(error) = retry {
                failures = failures.saturating_add(1);
                if failures == 1 {
                    tracing::warn!(%error, "compaction fails; it is tried again later");
                }
                self.want(&grain, before);
                sleep(backoff.delay(failures)).await;
            } else {
                if failures > 0 {
                    tracing::info!("compaction works again");
                }
                failures = 0;
            }
            last = Some(grain);
        }
    }

    /// Truncates what is wanted once, until something fails.
    pub(crate) async fn finish(&self, log: &dyn ReplicationLog, limit: Duration) {
        while let Some((grain, before)) = self.next(None) {
            match timeout(limit, log.truncate(&grain, before)).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gleaner_core::Digest;

    use super::*;

    fn at(sequence: u64) -> Cursor {
        Cursor::new(1, sequence)
    }

    #[test]
    fn keeps_the_newest_base_and_as_many_before_it() {
        let mut tracker = Tracker::new(Compaction::keep(4), None);
        let cuts: Vec<_> = (1..=12)
            .filter_map(|n| tracker.landed(at(n), Kind::FullState))
            .collect();
        // 5 - 4 = 1 is the first that everything below may go of; one more with each entry.
        assert_eq!(cuts, (1..=8).map(at).collect::<Vec<_>>());
        assert!(tracker.bases.len() <= 6);
    }

    #[test]
    fn deltas_are_cut_at_a_base_only() {
        let mut tracker = Tracker::new(Compaction::keep(4), None);
        let mut cuts = Vec::new();
        for n in 1..=20 {
            let kind = if n % 5 == 1 {
                Kind::FullState
            } else {
                Kind::Delta
            };
            cuts.extend(tracker.landed(at(n), kind).map(|cut| (n, cut)));
        }
        assert_eq!(cuts, [(6, at(1)), (11, at(6)), (16, at(11))]);
    }

    #[test]
    fn never_means_never_and_zero_keeps_one() {
        let mut never = Tracker::new(Compaction::never(), None);
        assert!((1..=99).all(|n| never.landed(at(n), Kind::FullState).is_none()));
        let mut one = Tracker::new(Compaction::keep(0), None);
        assert_eq!(one.landed(at(7), Kind::FullState), Some(at(7)));
    }

    #[test]
    fn the_base_found_at_the_claim_counts() {
        let head = Head {
            cursor: at(9),
            digest: Digest::ZERO,
            kind: Kind::Delta,
            base: at(8),
        };
        let mut tracker = Tracker::new(Compaction::keep(2), Some(&head));
        let cuts: Vec<_> = (1..=4)
            .map(|n| tracker.landed(Cursor::new(2, 9 + n), Kind::FullState))
            .collect();
        // At the third, two entries lie before it and the base found is below them.
        assert_eq!(cuts[..2], [None, None]);
        assert_eq!(cuts[2], Some(Cursor::new(2, 10)));
    }

    #[test]
    fn wanted_grains_take_turns_and_keep_the_highest_cut() {
        let compactor = Compactor::default();
        let id = |key: &str| GrainId::new("t", key).unwrap();
        compactor.want(&id("a"), at(5));
        compactor.want(&id("a"), at(3));
        compactor.want(&id("b"), at(1));
        assert_eq!(compactor.next(Some(&id("a"))), Some((id("b"), at(1))));
        assert_eq!(compactor.next(Some(&id("b"))), Some((id("a"), at(5))));
        assert_eq!(compactor.next(None), None);
    }
}
