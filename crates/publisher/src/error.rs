//! [`PublishError`]: why a state did not become durable, with what is given back.

use std::sync::Arc;

use bytes::Bytes;
use gleaner_core::{CodecError, Cursor, Error, Fence, FoldError, InvalidGrain, Kind};

/// A state that a stopped grain gives back: it is not in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsent {
    /// The number that it had; none if it was refused before it got one.
    pub cursor: Option<Cursor>,
    /// What it is.
    pub kind: Kind,
    /// Its payload.
    pub payload: Bytes,
}

/// Why a state is not durable, or a grain could not be opened.
///
/// A clone costs reference counts. Where a state was not taken, it is handed back.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Another writer claimed the grain. It is stopped for good in this publisher; opening it again
    /// claims a higher epoch, which takes it from that writer.
    #[error("epoch {} of writer {} owns the grain now", fence.epoch, fence.writer)]
    Fenced {
        /// Who owns it.
        fence: Fence,
        /// What was not sent: surely not in the log.
        unsent: Arc<[Unsent]>,
        /// What was under way when an answer was lost: perhaps in the log, perhaps not.
        unknown: Arc<[Cursor]>,
    },
    /// The log answers in a way that no writer of its own can bring about, and looking again did not
    /// help. The grain is stopped in this publisher.
    #[error("the grain is stopped: {error}")]
    Stopped {
        /// What the log said.
        error: Error,
        /// What was not sent: surely not in the log.
        unsent: Arc<[Unsent]>,
        /// What was under way when an answer was lost: perhaps in the log, perhaps not.
        unknown: Arc<[Cursor]>,
    },
    /// The payload, or the state that a delta leads to, is larger than the log takes. No number was
    /// used.
    #[error("{size} bytes are over the log's limit of {limit}")]
    TooLarge {
        /// The state or delta.
        state: Bytes,
        /// How large it, or the state it leads to, is.
        size: usize,
        /// The largest payload.
        limit: usize,
    },
    /// There is no room now (only from `try_enqueue`). No number was used.
    #[error("the publisher's memory is full")]
    Full {
        /// The state or delta.
        state: Bytes,
    },
    /// The publisher was shut down. With a state, it was not taken; without one, it was, and it is
    /// not known to be durable.
    #[error("the publisher was shut down")]
    Closed {
        /// The state or delta, if it was not taken.
        state: Option<Bytes>,
    },
    /// The state could not be encoded.
    #[error("the state cannot be encoded: {0}")]
    Codec(#[from] CodecError),
    /// The grain's type or key is empty or too long.
    #[error(transparent)]
    Grain(#[from] InvalidGrain),
    /// The grain could not be claimed.
    #[error("the grain cannot be claimed: {0}")]
    Claim(#[source] Error),
    /// The log refused this entry and would refuse it again. What was published behind it goes on.
    #[error("the log refused the entry: {0}")]
    Log(#[source] Error),
    /// The delta makes no sense for the grain's state. No number was used.
    #[error("the delta does not fold: {0}")]
    Fold(#[from] FoldError),
}

impl PublishError {
    /// Whether the grain is stopped in this publisher: open it again, or let its new owner have it.
    pub const fn is_stopped(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::Stopped { .. })
    }

    /// The states that this error gives back.
    pub fn into_states(self) -> Vec<Bytes> {
        match self {
            Self::Fenced { unsent, .. } | Self::Stopped { unsent, .. } => {
                unsent.iter().map(|unsent| unsent.payload.clone()).collect()
            }
            Self::TooLarge { state, .. } | Self::Full { state } => vec![state],
            Self::Closed { state } => state.into_iter().collect(),
            Self::Codec(_) | Self::Grain(_) | Self::Claim(_) | Self::Log(_) | Self::Fold(_) => {
                Vec::new()
            }
        }
    }

    /// The same stop, told to a caller whose state was not taken.
    pub(crate) fn refusing(&self, kind: Kind, payload: Bytes) -> Self {
        let given_back: Arc<[Unsent]> = Arc::from([Unsent {
            cursor: None,
            kind,
            payload,
        }]);
        match self {
            Self::Fenced { fence, .. } => Self::Fenced {
                fence: *fence,
                unsent: given_back,
                unknown: Arc::from([]),
            },
            Self::Stopped { error, .. } => Self::Stopped {
                error: error.clone(),
                unsent: given_back,
                unknown: Arc::from([]),
            },
            other => other.clone(),
        }
    }
}
