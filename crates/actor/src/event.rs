//! [`Event`]: everything an actor can be told.

use gleaner_core::{Cursor, Digest, Generation, Head, Mark, StopReason};

/// One thing that happened. Closed on purpose: a driver and an actor know the same events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The grain is followed from now on.
    Start,
    /// The store said where the replica stands. `listed` is the grain's head if a listing named it:
    /// equal to the place, it spares the first poll.
    Loaded {
        /// Where it stands.
        place: Place,
        /// Its head in a listing of the log that the store is bound to; whatever named the grain after
        /// that listing must have been told too. The listing's moment is then the one that confirms.
        listed: Option<Head>,
    },
    /// The store could not say.
    LoadFailed,
    /// The time asked for by [`Action::Wait`](crate::Action::Wait) has come. Too early or without need
    /// it does no harm.
    Timer,
    /// A feed page or listing names the grain with this head.
    Named(Head),
    /// The log sent entries of the grain unasked: a hint, applied only if it fits (F5). One that was read
    /// before the log's history forked is not told after the `Doubted` that followed: it may lead to what
    /// the log has lost.
    Pushed(Push),
    /// Everything that was known of the log is in doubt (an expired position, another log): load, then
    /// look again.
    Doubted,
    /// The log answered `catch_up`.
    CaughtUp(Answer),
    /// The log put this grain off; nothing is wrong.
    Deferred,
    /// The log could not be asked.
    ReadFailed,
    /// The log was asked, and this grain alone cannot be read at this cursor.
    Unreadable(Cursor),
    /// The store answered `apply`.
    Applied(Applied),
    /// The store answered `rebase`.
    Rebased(Applied),
    /// The store failed, or its answer was lost: unknown what it did.
    ApplyFailed,
    /// Told to stop polling after the operation in flight, serve on, and confirm nothing.
    Pause,
    /// Told to go on.
    Resume,
    /// Told to look now.
    PollNow,
    /// Told to give up the quarantined entry and wait for the next base above it.
    Skip {
        /// The entry that the operator means.
        expected: Cursor,
    },
    /// Told to put the log's own fold at `to` in the replica's place.
    Seek {
        /// The replica's cursor that the operator saw.
        expected: Cursor,
        /// Where to.
        to: Cursor,
    },
    /// Told to put base..head of the log in the replica's place, whatever is lost by it.
    Rebase {
        /// The replica's cursor that the operator saw.
        expected: Cursor,
    },
    /// Told to end, after the operation in flight and without beginning another (T1).
    Stop,
}

/// Where a replica stands, as the store said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The last entry applied.
    pub cursor: Cursor,
    /// Its digest.
    pub digest: Digest,
    /// How often it was set back.
    pub generation: Generation,
    /// Whether it was read from another log than the one that the store is bound to.
    pub foreign: bool,
}

impl Place {
    /// The place of a mark, given whether its log is another.
    pub fn of(mark: &Mark, foreign: bool) -> Self {
        Self {
            cursor: mark.cursor,
            digest: mark.digest,
            generation: mark.generation,
            foreign,
        }
    }
}

/// What a `catch_up` said of the grain, without its payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Its head at the moment of the read.
    pub head: Option<Head>,
    /// The first entry of the run; none if the run is empty.
    pub first: Option<Cursor>,
    /// Whether the run reaches the head.
    pub complete: bool,
    /// Whether the answer is of another log than the store is bound to.
    pub foreign: bool,
}

/// What the log sent of the grain unasked, without its payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Push {
    /// The first entry.
    pub first: Cursor,
    /// The digest of the first entry's predecessor; none if the first is a base.
    pub prev: Option<Digest>,
    /// The last entry.
    pub last: Cursor,
    /// Whether it came from another log than the store is bound to.
    pub foreign: bool,
}

/// How a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the answer to a request, which may confirm.
    Answer(Answer),
    /// Unasked, which confirms nothing.
    Push(Push),
}

/// What became of a run in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where the replica stands now.
    pub place: Place,
    /// How many entries moved it.
    pub applied: usize,
    /// Why the rest was not applied, and where.
    pub stop: Option<(Cursor, StopReason)>,
    /// How the run came.
    pub origin: Origin,
}
