//! What went wrong in SQLite, said as what the caller may do now.

use std::path::Path;

use gleaner_core::Error;
use rusqlite::ErrorCode;

/// The name that errors carry.
pub(crate) const BACKEND: &str = "sqlite";

/// Why a piece of work on a connection did not get to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite said no.
    Sqlite(rusqlite::Error),
    /// The work itself refuses, with the answer for its caller.
    Refused(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl Fault {
    /// Whether another connection merely held a lock.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error) if is_busy(error))
    }

    /// The answer for the caller, if nothing has happened.
    pub(crate) fn into_error(self, path: &Path, doing: &str) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Sqlite(error) => nothing_happened(path, doing, error),
        }
    }
}

/// Whether another connection merely held a lock: the same again may succeed.
fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// Whether waiting may help: locks, a full disk, a failing device, memory, a file that moved away or
/// became read-only.
fn is_transient(error: &rusqlite::Error) -> bool {
    is_busy(error)
        || matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::ReadOnly
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
                    | ErrorCode::CannotOpen
                    | ErrorCode::OperationInterrupted
                    | ErrorCode::SchemaChanged
            )
        )
}

/// An error of work that left nothing behind: `Transient` or `Permanent`.
pub(crate) fn nothing_happened(path: &Path, doing: &str, error: rusqlite::Error) -> Error {
    let message = format!("cannot {doing} {}: {error}", path.display());
    if is_transient(&error) {
        Error::transient(BACKEND, message).caused_by(error)
    } else {
        Error::permanent(BACKEND, message).caused_by(error)
    }
}
