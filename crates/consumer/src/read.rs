//! [`ReadOptions`], [`Answer`], [`ReadError`]: what a read asks, gets, and may be refused.

use std::time::Duration;

use gleaner_actor::Health;
use gleaner_core::{CodecError, Cursor, Error, Replica, UnixMillis};

use crate::cell::Standing;
use crate::clock::Clock;

/// What a read asks of the answer. By default nothing: whatever the replica holds, with its age.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadOptions {
    max_age: Option<Duration>,
    at_least: Option<Cursor>,
    wait: Duration,
}

impl ReadOptions {
    /// An answer no older than `age`. `Duration::MAX` accepts any, even one never confirmed.
    #[must_use]
    pub const fn max_age(age: Duration) -> Self {
        Self {
            max_age: Some(age),
            at_least: None,
            wait: Duration::ZERO,
        }
    }

    /// An answer that holds the write at `cursor`: what `publish` returned makes this read-your-writes.
    #[must_use]
    pub const fn at_least(cursor: Cursor) -> Self {
        Self {
            max_age: None,
            at_least: Some(cursor),
            wait: Duration::ZERO,
        }
    }

    /// Adds a bound of age.
    #[must_use]
    pub const fn and_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Adds a write that the answer must hold.
    #[must_use]
    pub const fn and_at_least(mut self, cursor: Cursor) -> Self {
        self.at_least = Some(cursor);
        self
    }

    /// Sets how long `get_when` waits for such an answer. Default: not at all.
    #[must_use]
    pub const fn wait(mut self, at_most: Duration) -> Self {
        self.wait = at_most;
        self
    }

    pub(crate) const fn patience(&self) -> Duration {
        self.wait
    }

    /// Whether a replica of this standing is what was asked for. The standing was taken before the
    /// replica (C5).
    pub(crate) fn admit(
        &self,
        standing: Standing,
        replica: Option<&Replica>,
        clock: &dyn Clock,
    ) -> Result<Stamp, ReadError> {
        let age = standing.confirmed.map(|t0| clock.read().since(t0));
        let Some(replica) = replica else {
            return Err(ReadError::NotYet {
                cursor: None,
                health: standing.health,
            });
        };
        let cursor = replica.cursor();
        if let Some(wanted) = self.at_least
            && !cursor.holds(wanted)
        {
            return Err(
                if cursor.epoch > wanted.epoch && cursor.sequence < wanted.sequence {
                    ReadError::Lost { wanted, cursor }
                } else {
                    ReadError::NotYet {
                        cursor: Some(cursor),
                        health: standing.health,
                    }
                },
            );
        }
        if let Some(max_age) = self.max_age
            && max_age != Duration::MAX
            && age.is_none_or(|age| age > max_age)
        {
            return Err(ReadError::TooStale { age, max_age });
        }
        Ok(Stamp {
            cursor,
            written_at: replica.written_at(),
            age,
            health: standing.health,
        })
    }
}

/// What an answer is stamped with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    cursor: Cursor,
    written_at: UnixMillis,
    age: Option<Duration>,
    health: Health,
}

impl Stamp {
    pub(crate) fn absent(self) -> ReadError {
        ReadError::Absent {
            cursor: self.cursor,
            age: self.age,
        }
    }

    pub(crate) fn on<T>(self, state: T) -> Answer<T> {
        let Self {
            cursor,
            written_at,
            age,
            health,
        } = self;
        Answer {
            state,
            cursor,
            written_at,
            age,
            health,
        }
    }
}

/// A state, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer<T> {
    /// The grain's state.
    pub state: T,
    /// The entry that it is of.
    pub cursor: Cursor,
    /// When that entry was written, by its writer's clock: for people, not for arithmetic.
    pub written_at: UnixMillis,
    /// The state holds every write that was acknowledged longer ago than this (or `health` says that
    /// log and replica disagree). None until first confirmed since the follower's start.
    pub age: Option<Duration>,
    /// How the replica stands.
    pub health: Health,
}

/// Why a read got no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The follower does not follow this grain.
    #[error("the grain is not followed")]
    NotFollowed,
    /// There is no state yet, or not yet the write asked for.
    #[error("not yet here: the replica stands at {} ({})", at(.cursor.as_ref()), .health.name())]
    NotYet {
        /// Where the replica stands, if there is one.
        cursor: Option<Cursor>,
        /// How it stands.
        health: Health,
    },
    /// The state is older than asked for, or was never confirmed.
    #[error("too stale: {} old, at most {max_age:?} was asked for", age_text(.age.as_ref()))]
    TooStale {
        /// How old it is; none if never confirmed.
        age: Option<Duration>,
        /// What was asked for.
        max_age: Duration,
    },
    /// The write asked for is not in the replica and will not be: a later writer went on without it.
    #[error("the write at {wanted} is lost: a later writer went on at {cursor}")]
    Lost {
        /// The write asked for.
        wanted: Cursor,
        /// Where the replica stands.
        cursor: Cursor,
    },
    /// The grain is known to have ended: a Tombstone. Subject to what was asked, like any answer.
    #[error("the grain ended at {cursor}")]
    Absent {
        /// The Tombstone's cursor.
        cursor: Cursor,
        /// How old this knowledge is.
        age: Option<Duration>,
    },
    /// No answer came within the time given.
    #[error("no answer within {waited:?}: {last}")]
    Deadline {
        /// How long was waited.
        waited: Duration,
        /// What stood in the way at the end.
        last: Box<Self>,
    },
    /// The store keeps this replica elsewhere than in memory: `get_when` reads it.
    #[error("the replica is not in memory; read it with get_when")]
    NotResident,
    /// The payload cannot be decoded.
    #[error("the state at {cursor} cannot be decoded")]
    Decode {
        /// The entry that it is of.
        cursor: Cursor,
        /// Why.
        #[source]
        error: CodecError,
    },
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] Error),
}

impl ReadError {
    /// Whether waiting may help.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NotFollowed | Self::NotYet { .. } | Self::TooStale { .. }
        )
    }
}

fn at(cursor: Option<&Cursor>) -> String {
    cursor.map_or_else(|| "nothing".to_owned(), Cursor::to_string)
}

fn age_text(age: Option<&Duration>) -> String {
    age.map_or_else(
        || "never confirmed, so any number".to_owned(),
        |age| format!("{age:?}"),
    )
}
