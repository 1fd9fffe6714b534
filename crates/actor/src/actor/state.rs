//! What is true of an actor: its states, and what they lead to.

use gleaner_core::Cursor;

/// What is true of the grain now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was asked yet.
    New,
    /// The store is asked where the replica stands.
    Loading,
    /// Nothing is in flight; the last answer is dealt with.
    Resting,
    /// The log is asked for what follows the cursor.
    Polling,
    /// The store is given a run.
    Applying(How),
    /// The log is asked for base..head, or for its history up to a cursor.
    Rereading(Why),
    /// The store is given base..head to put in the replica's place.
    Rebasing(Why),
    /// Nothing is in flight; log or store failed, and the timer says when to ask again.
    BackingOff(Then),
    /// Nothing is in flight; an entry cannot be applied, and the timer says when to try it again.
    Quarantined,
    /// Nothing is in flight, and nothing will be until told.
    Paused,
    /// The end.
    Stopped,
}

/// How the run came that the store is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// In the answer to a poll.
    Polled,
    /// After a misfit, read from the base: the delta rule gives an entry no third try.
    Reread,
    /// Unasked: whatever stops it, a poll decides.
    Pushed,
}

/// Why a replica is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The delta rule (1): an entry does not fit, or its fold failed.
    Misfit,
    /// An operator asked.
    Asked,
}

/// What has happened under an operation in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Again {
    /// Nothing.
    No,
    /// The grain was named: look again, unless an entry that is known to be bad stands in the way.
    Look,
    /// Somebody asked, or a base has passed the bad entry: look again, whatever stands in the way.
    Retry,
}

/// What follows a backoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Load,
    Poll,
}

/// A command that waits for the operation in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Seek { expected: Cursor, to: Cursor },
    Rebase { expected: Cursor },
}
