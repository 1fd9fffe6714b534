//! [`Action`]: everything an actor can ask for.

use gleaner_core::{Cursor, Expected, Generation};

use crate::Moment;

/// What an event led to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "the action is to be performed"]
pub struct Step {
    /// What to do now.
    pub action: Action,
    /// Whether the moment just before the request was sent, whose answer this event brought, confirms
    /// the replica (C1, C2). The driver does not count it if the log does not confirm (L9).
    pub confirms: bool,
    /// The answer to a skip, seek or rebase, if this event decided one.
    pub reply: Option<Reply>,
}

/// One thing to do. At most one operation (all but `Wait`, `Nothing` and `Stopped`) is ever in flight
/// for a grain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Go on with what is under way; a timer that is set stays set.
    Nothing,
    /// Ask the store where the replica stands.
    Load,
    /// Ask the log for a run that follows this cursor.
    CatchUp {
        /// The replica's cursor.
        from: Cursor,
    },
    /// Ask the log for base..head whole, in as many reads as that takes.
    Reread,
    /// Ask the log for its entries from the newest base at or below `to` up to `to`.
    ReadUpTo {
        /// The last entry wanted.
        to: Cursor,
    },
    /// Apply the run that this event brought.
    Apply {
        /// The generation it is meant for.
        generation: Generation,
    },
    /// Put the run that this event brought in the replica's place.
    Rebase {
        /// What must still be so.
        expected: Expected,
    },
    /// Nothing is in flight. Send `Timer` at this moment; without one, wait for an event.
    Wait {
        /// When.
        until: Option<Moment>,
    },
    /// The actor has ended and wants nothing any more.
    Stopped,
}

/// The answer to a command that compares and sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Done; the replica stands here (a skip: waits here for the next base).
    Done(Cursor),
    /// Not done, and nothing has changed.
    Refused(Refusal),
    /// The log or the store failed under it: unknown, look at the replica.
    Failed,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The grain is not where the operator saw it.
    Moved {
        /// Where it is: the replica's cursor, or the quarantined entry's for a skip.
        found: Cursor,
    },
    /// A skip, and no entry is quarantined.
    NotQuarantined,
    /// The log has nothing to build the replica from.
    NothingThere,
    /// The log's entries cannot be applied: the first that cannot.
    NotApplicable {
        /// Where.
        at: Cursor,
    },
    /// The followed log is another than the store is bound to.
    Foreign,
    /// Another command is under way.
    Busy,
    /// The actor ends.
    Stopping,
}
