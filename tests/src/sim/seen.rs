//! [`Seen`]: everything that the invariants are told.

use std::time::Duration;

use bytes::Bytes;
use gleaner::{Cursor, Digest, Entry, Epoch, Fence, Generation, GrainId, Health, Replica, Writer};

/// One thing that was seen to happen, in the log, in a store, or at a caller's.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// The log has written an entry.
    Landed { entry: Entry },
    /// The log answered an append of a grain with Ok: the last entry's owner.
    Accepted {
        grain: GrainId,
        epoch: Epoch,
        writer: Writer,
    },
    /// The log has given a claim.
    Claimed { grain: GrainId, fence: Fence },
    /// The history below this is gone.
    Cut { grain: GrainId, floor: Cursor },
    /// The log holds this of a grain and nothing else, after its tail was lost, an older copy was
    /// restored, or it was begun anew.
    Rewound {
        grain: GrainId,
        holds: Vec<(Cursor, Digest)>,
        /// What is left of its fence.
        fence: FenceLeft,
    },
    /// The log is another now, and empty.
    Anew,
    /// A publisher told its caller that everything up to here is durable.
    Acked { grain: GrainId, cursor: Cursor },
    /// A store has changed, or not, what it holds of a grain.
    Stored {
        follower: u64,
        grain: GrainId,
        before: Option<Replica>,
        after: Option<Replica>,
        by: Change,
        /// The generation that an apply was meant for.
        meant_for: Option<Generation>,
    },
    /// A publisher gave a caller's state this number.
    Given {
        process: String,
        writer: Writer,
        grain: GrainId,
        cursor: Cursor,
    },
    /// A process sends entries of a grain to the log.
    Sent {
        process: String,
        grain: GrainId,
        unit: Vec<(Cursor, Digest)>,
    },
    /// It was told what became of them; or it is not known, and it may be that they land.
    Told {
        process: String,
        grain: GrainId,
        definite: bool,
    },
    /// A reader got an answer, or a refusal that says something.
    Read {
        follower: u64,
        grain: GrainId,
        at_least: Option<Cursor>,
        max_age: Option<Duration>,
        got: Got,
    },
    /// How a grain stands at a follower at rest: no fault for long, and no write since.
    Stands {
        follower: u64,
        grain: GrainId,
        stage: Stage,
        health: Option<Health>,
        age: Option<Duration>,
        replica: Option<Replica>,
        /// Told to pause, or not followed any more.
        held: bool,
    },
    /// All that the log holds of a grain at the end.
    Holds {
        grain: GrainId,
        entries: Vec<(Cursor, Digest)>,
    },
    /// How many entries a publisher has not seen durable, and for how many bytes it has room.
    Buffered {
        primary: u64,
        entries: usize,
        room: usize,
    },
}

/// What is left of a grain's fence when entries were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FenceLeft {
    /// It is as it was.
    Kept,
    /// It is this, or none, with the rest of an older copy.
    Was(Option<Fence>),
}

/// By which call a store was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Apply,
    Rebase,
    Remove,
}

/// When followers are looked at, at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Faults have stopped: everything is in step or says why not.
    Calm,
    /// Operators have healed what waits for them, and every grain was written once more.
    Healed,
}

/// What a read brought.
#[derive(Debug, Clone)]
pub(crate) enum Got {
    /// A state, or the knowledge that there is none.
    Answer {
        state: Option<Bytes>,
        cursor: Cursor,
        age: Option<Duration>,
        health: Option<Health>,
    },
    /// The write asked for is lost.
    Lost { wanted: Cursor, cursor: Cursor },
}
