//! [`Plant`]: bugs that the simulation must find. Compiled under `--cfg gleaner_plant` alone, which no
//! feature turns on; what is shipped knows nothing of it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One bug, planted where its name stands in the code. At most one is in effect, for the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it, and a test prints them")]
pub enum Plant {
    IdenticalClaims,
    LeapAtANewEpoch,
    CutInsideDeltas,
    DeposedWriterAccepted,
    DeltaOfAnyPredecessor,
    FeedForgetsWhoMovedAgain,
    FeedPageCompleteTooSoon,
    LateApplyAfterRebase,
    OlderStateApplied,
    DeltaAcrossAGap,
    TombstoneForgetsTheCursor,
    RebaseKeepsTheGeneration,
    BadDeltaSkipped,
    TornReplica,
    ConfirmedAtTheReply,
    PageConfirmsAtTheReply,
    CutPageConfirms,
    CopyConfirms,
    HintConfirms,
    HintQuarantines,
    PushConfirms,
    PushedMisfitQuarantines,
    NameUnderAPushForgotten,
    PendingForgotten,
    AgeOfTheCacheForgotten,
    AgeReadAfterTheState,
    PositionBeforeItsNames,
    NothingListedAfterExpiry,
    MonotonicClockAlone,
    WallClockAlone,
    LowerNumberOfAHigherEpochHolds,
    LostAnswerWaitedForEver,
    DigestsNotCompared,
    AheadIsLive,
    MisfitNotReread,
    LateApplyNotLookedFor,
    QuarantineForEver,
    NumberUsedTwice,
    DeltaDropped,
    StateInFlightDropped,
    FreshBytesAfterADoubt,
    FencedGoesOn,
    ConflictGivenUp,
    NeverWhole,
    AcknowledgedWhenSent,
    RoomForgotten,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 46] = [
        Self::IdenticalClaims,
        Self::LeapAtANewEpoch,
        Self::CutInsideDeltas,
        Self::DeposedWriterAccepted,
        Self::DeltaOfAnyPredecessor,
        Self::FeedForgetsWhoMovedAgain,
        Self::FeedPageCompleteTooSoon,
        Self::LateApplyAfterRebase,
        Self::OlderStateApplied,
        Self::DeltaAcrossAGap,
        Self::TombstoneForgetsTheCursor,
        Self::RebaseKeepsTheGeneration,
        Self::BadDeltaSkipped,
        Self::TornReplica,
        Self::ConfirmedAtTheReply,
        Self::PageConfirmsAtTheReply,
        Self::CutPageConfirms,
        Self::CopyConfirms,
        Self::HintConfirms,
        Self::HintQuarantines,
        Self::PushConfirms,
        Self::PushedMisfitQuarantines,
        Self::NameUnderAPushForgotten,
        Self::PendingForgotten,
        Self::AgeOfTheCacheForgotten,
        Self::AgeReadAfterTheState,
        Self::PositionBeforeItsNames,
        Self::NothingListedAfterExpiry,
        Self::MonotonicClockAlone,
        Self::WallClockAlone,
        Self::LowerNumberOfAHigherEpochHolds,
        Self::LostAnswerWaitedForEver,
        Self::DigestsNotCompared,
        Self::AheadIsLive,
        Self::MisfitNotReread,
        Self::LateApplyNotLookedFor,
        Self::QuarantineForEver,
        Self::NumberUsedTwice,
        Self::DeltaDropped,
        Self::StateInFlightDropped,
        Self::FreshBytesAfterADoubt,
        Self::FencedGoesOn,
        Self::ConflictGivenUp,
        Self::NeverWhole,
        Self::AcknowledgedWhenSent,
        Self::RoomForgotten,
    ];

    /// Its name, as it is given to the simulation: `identical-claims`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Whether this one is in effect.
    pub fn is_planted(self) -> bool {
        PLANTED.load(Ordering::Relaxed) == self as usize + 1
    }

    /// Puts this one into effect, in place of any other.
    pub fn plant(self) {
        PLANTED.store(self as usize + 1, Ordering::Relaxed);
    }
}

/// One above the number of the planted bug; 0 for none.
static PLANTED: AtomicUsize = AtomicUsize::new(0);
