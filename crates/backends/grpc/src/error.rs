//! What went wrong on the way to a leader, said as what the caller may do now.

use gleaner_core::{Error, ErrorKind, GrainId};
use tonic::{Code, Status};

use crate::BACKEND;
use crate::send::NotSent;
use crate::wire::{Malformed, error_of_status};

/// What may have happened to a call whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// It only reads: nothing.
    Nothing,
    /// It may have been done.
    Unknown,
}

impl Lost {
    pub(crate) fn kind(self) -> ErrorKind {
        match self {
            Self::Nothing => ErrorKind::Transient,
            Self::Unknown => ErrorKind::Unknown,
        }
    }

    /// An answer that does not hold together: what the call did is not known by it.
    pub(crate) fn malformed(self, malformed: Malformed) -> Error {
        let message = format!("the leader's answer breaks the protocol: {malformed}");
        Error::new(self.kind(), BACKEND, message)
    }

    /// A call that did not succeed.
    pub(crate) fn failed(self, status: &Status, grain: Option<&GrainId>) -> Error {
        let kind = if was_not_sent(status) {
            ErrorKind::Transient
        } else {
            self.kind()
        };
        error_of_status(status, kind, grain)
    }
}

/// Whether the request never left this side.
pub(crate) fn was_not_sent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<NotSent>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Whether the leader did not admit the token.
pub(crate) fn is_unauthenticated(status: &Status) -> bool {
    status.code() == Code::Unauthenticated
}
