//! [`Replica`]: a grain's state at a cursor; and [`advance`], the rule by which it moves.

use std::fmt;

use bytes::Bytes;

use crate::fold::{Fold, fold_caught, newest_schema_caught};
use crate::{Advance, Cursor, Digest, Entry, Expected, Kind, LogId, Rebase, Stop, StopReason};

mod held;
mod slot;

pub use held::{RawState, Replica, Stamp};
pub use slot::ReplicaSlot;

/// Counts the times a replica was set back ([`rebase`](crate::ReplicaStore::rebase),
/// [`remove`](crate::ReplicaStore::remove)): an apply that was on its way carries the former one and
/// changes nothing (S8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(u64);

impl Generation {
    /// Wraps a stored generation.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a replica stands, without its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The last entry applied; `ZERO` for a replica that the store does not have.
    pub cursor: Cursor,
    /// That entry's digest.
    pub digest: Digest,
    /// How often it was set back. For a replica that the store does not have, the store's own: above
    /// that of every replica it ever removed.
    pub generation: Generation,
    /// The log it was read from; none for a replica that the store does not have.
    pub log: Option<LogId>,
    /// Whether it has a state: false before the first and after a Tombstone.
    pub present: bool,
}

impl Mark {
    /// The mark of a replica that the store does not have.
    pub const fn absent(generation: Generation) -> Self {
        Self {
            cursor: Cursor::ZERO,
            digest: Digest::ZERO,
            generation,
            log: None,
            present: false,
        }
    }
}

/// What a store applies entries by.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The user's fold; without one, a Delta stops a run with [`StopReason::NoFold`].
    pub fold: Option<&'a dyn Fold>,
    /// The largest state kept, in bytes; a larger one stops the run with [`StopReason::TooLarge`].
    pub max_state: usize,
}

impl fmt::Debug for Rules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("fold", &self.fold.is_some())
            .field("max_state", &self.max_state)
            .finish()
    }
}

/// What a run does to a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advanced {
    /// The replica after the entries that were applied; none if it does not change.
    pub replica: Option<Replica>,
    /// How many entries moved it.
    pub applied: usize,
    /// Why the rest was not applied.
    pub stop: Option<Stop>,
}

/// Why a run is not to be applied whatever its entries are (S8, S9); none if it may be. `bound` is the
/// log that the store belongs to, `mark` where the replica stands.
pub fn refuse_apply(
    mark: &Mark,
    bound: Option<&LogId>,
    log: &LogId,
    run: &Advance,
) -> Option<StopReason> {
    if bound != Some(log) || mark.log.as_ref().is_some_and(|owner| owner != log) {
        Some(StopReason::ForeignLog)
    } else if mark.generation != run.generation {
        Some(StopReason::Moved)
    } else {
        None
    }
}

/// Why a run is not to take a replica's place whatever its entries lead to (S8, S9); none if it may.
pub fn refuse_rebase(
    mark: &Mark,
    bound: Option<&LogId>,
    log: &LogId,
    rebase: &Rebase,
) -> Option<StopReason> {
    let first = rebase.entries.first();
    if bound != Some(log) {
        Some(StopReason::ForeignLog)
    } else if Expected::from(mark) != rebase.expected {
        Some(StopReason::Moved)
    } else if !first.is_some_and(|first| first.kind().is_base()) {
        Some(StopReason::NoBase)
    } else {
        None
    }
}

/// Applies a run of entries to a replica: clauses S1, S2, S3, S6 and S7 as one pure function, for
/// every store that keeps states as bytes. The caller has checked generation and log, and holds the
/// row, by lock or transaction, until the new one has taken its place.
///
/// # Contract
/// Entries at or below the cursor change nothing. A `FullState` replaces everything, a `Tombstone`
/// removes the state and keeps the cursor, a `Delta` is folded iff it fits: same epoch, cursor one
/// below, digest equal to its `prev`, state present. The first entry that cannot be applied stops
/// the run; what preceded it counts.
pub fn advance(current: Option<&Replica>, under: Under<'_>, entries: &[Entry]) -> Advanced {
    let mut last: Option<(&Entry, Option<Held<'_>>)> = None;
    let mut applied = 0;
    let mut stop = None;
    for entry in entries {
        let now = match &last {
            Some((last, state)) => Some(Now {
                cursor: last.cursor(),
                digest: last.digest(),
                state: state.as_ref().map(Held::bytes),
            }),
            None => current.map(|current| Now {
                cursor: current.cursor(),
                digest: current.digest(),
                state: current.state(),
            }),
        };
        #[cfg(gleaner_plant)]
        let now = now.filter(|_| !crate::plant::Plant::OlderStateApplied.is_planted());
        if now.is_some_and(|now| entry.cursor() <= now.cursor) {
            continue;
        }
        match step(now, entry, under.rules) {
            Ok(state) => {
                last = Some((entry, state));
                applied += 1;
            }
            Err(why) => {
                stop = Some(Stop {
                    at: entry.cursor(),
                    why,
                });
                break;
            }
        }
    }
    // The one copy of the state, after the run's last entry: what lies between is folded, not kept.
    let replica = last.map(|(entry, state)| {
        let stamp = Stamp {
            cursor: entry.cursor(),
            digest: entry.digest(),
            generation: under.generation,
            log: under.log.clone(),
            schema: entry.schema(),
            written_at: entry.written_at(),
        };
        Replica::sharing(stamp, state.map(Held::into_bytes))
    });
    Advanced {
        replica,
        applied,
        stop,
    }
}

/// Where a run has come.
#[derive(Clone, Copy)]
struct Now<'a> {
    cursor: Cursor,
    digest: Digest,
    state: Option<&'a [u8]>,
}

/// A state between two entries.
enum Held<'a> {
    Payload(&'a Bytes),
    Folded(Bytes),
}

impl Held<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Payload(bytes) => bytes,
            Self::Folded(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Payload(bytes) => bytes.clone(),
            Self::Folded(bytes) => bytes,
        }
    }
}

/// What a run is applied under: the log it was read from, the row's generation, the store's rules.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    /// The log that the run was read from.
    pub log: &'a LogId,
    /// The generation that the resulting row carries.
    pub generation: Generation,
    /// Fold and bounds.
    pub rules: Rules<'a>,
}

/// The state after one entry, or why there is none.
fn step<'a>(
    now: Option<Now<'_>>,
    entry: &'a Entry,
    rules: Rules<'_>,
) -> Result<Option<Held<'a>>, StopReason> {
    if let Some(fold) = rules.fold {
        let newest = newest_schema_caught(fold).map_err(StopReason::Fold)?;
        if entry.schema() > newest {
            return Err(StopReason::Schema {
                schema: entry.schema(),
                newest,
            });
        }
    }
    let state = match entry.kind() {
        Kind::Tombstone => return Ok(None),
        Kind::FullState => Held::Payload(entry.payload()),
        Kind::Delta => {
            let Some(fold) = rules.fold else {
                return Err(StopReason::NoFold);
            };
            #[cfg(gleaner_plant)]
            if crate::plant::Plant::DeltaAcrossAGap.is_planted()
                && let Some(state) = now.and_then(|now| now.state)
            {
                return fold_caught(fold, entry.grain(), state, entry)
                    .map(|state| Some(Held::Folded(state)))
                    .map_err(StopReason::Fold);
            }
            let fitting = now.filter(|now| {
                now.cursor.is_just_below(entry.cursor()) && entry.prev() == Some(now.digest)
            });
            let Some(state) = fitting.and_then(|now| now.state) else {
                return Err(StopReason::Gap);
            };
            #[cfg(gleaner_plant)]
            if crate::plant::Plant::BadDeltaSkipped.is_planted() {
                let folded = fold_caught(fold, entry.grain(), state, entry);
                let folded = folded.unwrap_or_else(|_| Bytes::copy_from_slice(state));
                return Ok(Some(Held::Folded(folded)));
            }
            let folded = fold_caught(fold, entry.grain(), state, entry);
            Held::Folded(folded.map_err(StopReason::Fold)?)
        }
    };
    let size = state.bytes().len();
    if size > rules.max_state {
        return Err(StopReason::TooLarge {
            size,
            limit: rules.max_state,
        });
    }
    Ok(Some(state))
}

#[cfg(test)]
mod tests;
