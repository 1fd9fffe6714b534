//! What went wrong at the server, said as what the caller may do now.

use gleaner_core::Error;
use tokio_postgres::error::{Severity, SqlState};

/// The name that errors carry.
pub(crate) const BACKEND: &str = "postgres";

/// Why a piece of work on a session did not get to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The server, or the way to it, said no.
    Server(tokio_postgres::Error),
    /// No answer came in time; the session is of no more use.
    Silent,
    /// The work itself refuses, with the answer for its caller.
    Refused(Error),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What the server's word for an error means for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Nothing happened, and it may go better later.
    Later,
    /// The session ended around a commit: it may have happened.
    Unsure,
    /// It will not go better by waiting.
    Never,
}

/// By SQLSTATE: `LATER` classes are connections, rollbacks, resources, objects in use, operators and
/// the system; a server that is read-only is a standby, which may be promoted.
fn meaning(state: &SqlState) -> Meaning {
    match *state {
        // Said at the end of a session, which may be in the middle of a commit.
        SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN
        | SqlState::TRANSACTION_RESOLUTION_UNKNOWN => Meaning::Unsure,
        SqlState::READ_ONLY_SQL_TRANSACTION
        // A table changed under a prepared statement; it is prepared anew.
        | SqlState::FEATURE_NOT_SUPPORTED => Meaning::Later,
        _ => match state.code().get(..2) {
            // 25P03 and 25P04: the session was idle, or at it, for too long within a transaction.
            _ if matches!(state.code(), "25P03" | "25P04") => Meaning::Later,
            Some("08" | "40" | "53" | "55" | "57" | "58") => Meaning::Later,
            _ => Meaning::Never,
        },
    }
}

impl Fault {
    /// Whether it would go no better later, or on another session: it lies with the work, or with how
    /// the place is set up.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Self::Server(error) => match error.code() {
                Some(state) => meaning(state) == Meaning::Never,
                None => is_misconfigured(error),
            },
            Self::Silent => false,
            Self::Refused(error) => !error.is_retryable(),
        }
    }

    /// The answer for the caller, if nothing has happened.
    pub(crate) fn before(self, doing: &str, server: &str) -> Error {
        self.into_error(doing, server, false)
    }

    /// The answer for the caller, if what was sent may have been carried out: an error that the server
    /// itself reported undid it; anything else is a doubt.
    pub(crate) fn in_doubt(self, doing: &str, server: &str) -> Error {
        self.into_error(doing, server, true)
    }

    fn into_error(self, doing: &str, server: &str, may_have_happened: bool) -> Error {
        let doubt = |message: String| {
            if may_have_happened {
                Error::unknown(BACKEND, message)
            } else {
                Error::transient(BACKEND, message)
            }
        };
        match self {
            Self::Refused(error) => error,
            Self::Silent => doubt(format!("cannot {doing} at {server}: no answer in time")),
            Self::Server(error) => {
                let Some(db) = error.as_db_error() else {
                    let message = format!("cannot {doing} at {server}: {}", in_words(&error));
                    let error_is = if is_misconfigured(&error) {
                        Error::permanent(BACKEND, message)
                    } else {
                        doubt(message)
                    };
                    return error_is.caused_by(error);
                };
                let message = format!(
                    "cannot {doing} at {server}: {} ({}){}",
                    db.message(),
                    db.code().code(),
                    hint(db.code())
                );
                // The end of a session, and what a pooler says of one, is no word about a commit.
                let is_the_end = db.code().code().starts_with("08")
                    || matches!(
                        db.parsed_severity(),
                        Some(Severity::Fatal | Severity::Panic)
                    );
                match meaning(db.code()) {
                    _ if is_the_end && may_have_happened => doubt(message),
                    Meaning::Later => Error::transient(BACKEND, message),
                    Meaning::Unsure => doubt(message),
                    Meaning::Never => Error::permanent(BACKEND, message),
                }
                .caused_by(error)
            }
        }
    }
}

/// Whether the client itself refuses to go on with a session that it begins: a password is asked for that
/// it was not given, or in a way that it does not know. It says that in words alone.
fn is_misconfigured(error: &tokio_postgres::Error) -> bool {
    let said = error.to_string();
    ["invalid configuration", "authentication error"]
        .iter()
        .any(|beginning| said.starts_with(beginning))
}

/// An error and its cause, which the client library keeps apart.
fn in_words(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// What usually lies behind an error that does not say so.
fn hint(state: &SqlState) -> &'static str {
    match *state {
        SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::DUPLICATE_PSTATEMENT => {
            "; behind a pooler that keeps no prepared statements, open with pooler=true"
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            "; this server is not the primary, or has default_transaction_read_only = on"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart_by_what_may_be_done() {
        for (state, expected) in [
            (SqlState::CONNECTION_FAILURE, Meaning::Later),
            (SqlState::T_R_DEADLOCK_DETECTED, Meaning::Later),
            (SqlState::DISK_FULL, Meaning::Later),
            (SqlState::TOO_MANY_CONNECTIONS, Meaning::Later),
            (SqlState::QUERY_CANCELED, Meaning::Later),
            (SqlState::CANNOT_CONNECT_NOW, Meaning::Later),
            (SqlState::IO_ERROR, Meaning::Later),
            (SqlState::READ_ONLY_SQL_TRANSACTION, Meaning::Later),
            (
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                Meaning::Later,
            ),
            (SqlState::ADMIN_SHUTDOWN, Meaning::Unsure),
            (SqlState::CRASH_SHUTDOWN, Meaning::Unsure),
            (SqlState::INVALID_PASSWORD, Meaning::Never),
            (SqlState::UNDEFINED_TABLE, Meaning::Never),
            (SqlState::INSUFFICIENT_PRIVILEGE, Meaning::Never),
            (SqlState::DATA_CORRUPTED, Meaning::Never),
        ] {
            assert_eq!(meaning(&state), expected, "{}", state.code());
        }
    }

    #[test]
    fn silence_is_a_doubt_only_where_something_was_asked_for() {
        let before = Fault::Silent.before("read", "db:1/x").to_string();
        assert!(before.contains("transient") && before.contains("db:1/x"));
        let during = Fault::Silent.in_doubt("append", "db:1/x").to_string();
        assert!(during.contains("unknown"), "{during}");
    }
}
