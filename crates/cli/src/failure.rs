//! [`Failure`]: what went wrong, as a kind for scripts, a sentence for people, and an exit code.

use std::error::Error as StdError;
use std::io::{self, Write};
use std::process::ExitCode;

use gleaner::grpc::access::{AccessError, LineFault, SecretError};
use gleaner::grpc::tls::TlsError;
use gleaner::grpc::{Denied, LeaderError};
use gleaner::{Error, ErrorKind, FollowError, InvalidGrain, OpenError, ReadError};

/// The result of a command or a part of one.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What kind of failure, by the name that `--json` prints and the exit code that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command line is wrong.
    Usage,
    /// What came on standard input is wrong.
    Input,
    /// The log says that the call is wrong: over a limit, say.
    Invalid,
    /// The leader refuses the token, or what was asked with it.
    Denied,
    /// Another writer owns the grain.
    Fenced,
    /// The entry does not follow the head.
    Conflict,
    /// Nothing happened; the same command may succeed later.
    Transient,
    /// It may have happened.
    Unknown,
    /// The log has no such grain.
    Absent,
    /// Replicas stand otherwise than the log, and waiting does not change it.
    OutOfStep,
    /// The history asked for is gone.
    Truncated,
    /// The log cannot serve this, and will not by waiting.
    Permanent,
    /// A file or a stream of this process.
    Io,
    /// Nobody reads on, or wants to wait for the rest: no failure, but an end.
    Closed,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Input => "input",
            Self::Invalid => "invalid",
            Self::Denied => "denied",
            Self::Fenced => "fenced",
            Self::Conflict => "conflict",
            Self::Transient => "transient",
            Self::Unknown => "unknown",
            Self::Absent => "absent",
            Self::OutOfStep => "out_of_step",
            Self::Truncated => "truncated",
            Self::Permanent => "permanent",
            Self::Io => "io",
            Self::Closed => "closed",
        }
    }

    /// As `--help` lists them.
    const fn exit_code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Truncated | Self::Permanent | Self::Io => 1,
            Self::Usage | Self::Input | Self::Invalid => 2,
            Self::Denied => 3,
            Self::Fenced | Self::Conflict => 4,
            Self::Transient | Self::Unknown => 5,
            Self::Absent => 6,
            Self::OutOfStep => 7,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A failure of a file or stream, naming it.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::new(Kind::Closed, "standard output was closed")
        } else {
            Self::new(Kind::Io, format!("{what}: {error}"))
        }
    }

    /// The same, said of a line of standard input.
    #[must_use]
    pub(crate) fn on_line(self, line: Option<u64>) -> Self {
        match line {
            Some(line) => Self {
                message: format!("line {line}: {}", self.message),
                ..self
            },
            None => self,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.kind == Kind::Closed
    }

    /// Says it on standard error, and gives the exit code. An output that was closed is no news.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if !self.is_closed() {
            let said = if json {
                let (kind, message) = (self.kind.name(), &self.message);
                serde_json::json!({"error": {"kind": kind, "message": message}}).to_string()
            } else {
                format!("gleaner: {}", self.message)
            };
            // There is nobody left to tell if this fails.
            let _ = writeln!(io::stderr(), "{said}");
        }
        ExitCode::from(self.kind.exit_code())
    }
}

/// A command line that was not understood, or asked for help.
///
/// What is repeated of it may be a URL in the wrong place, with a password in it.
pub(crate) fn not_understood(error: &clap::Error) -> ExitCode {
    let text = redacted(error.to_string());
    let json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && json {
        // What follows the first paragraph is the usage, for people.
        let said = text.split("\n\n").next().unwrap_or_default().trim();
        let said = said.strip_prefix("error: ").unwrap_or(said);
        return Failure::new(Kind::Usage, said).report(true);
    }
    // As in `report`; help goes to standard output.
    if error.use_stderr() {
        let _ = write!(io::stderr(), "{text}");
        ExitCode::from(2)
    } else {
        let _ = write!(io::stdout(), "{text}");
        ExitCode::SUCCESS
    }
}

/// A text that repeats words of the command line, without the secrets in them.
fn redacted(mut text: String) -> String {
    for argument in std::env::args_os() {
        let argument = argument.to_string_lossy();
        // `--option=scheme://`, or the URL alone, or what was meant to be one.
        let before = argument.split(['@', ':']).next().unwrap_or_default();
        let begin = before.rfind('=').map_or(0, |equals| equals + 1);
        let url = argument.get(begin..).unwrap_or(&argument);
        if url.contains("://") || url.contains('@') {
            text = text.replace(url, &gleaner::redacted(url));
        }
    }
    text
}

/// An error and what caused it, in one line.
pub(crate) fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some errors show their source themselves.
        if !said.ends_with(&more) {
            said = format!("{said}: {more}");
        }
        cause = error.source();
    }
    said
}

/// Whether a leader refused the token or what was asked with it. To a caller of the library that is one
/// of the things that waiting does not change; to a script it is another token that is wanted.
fn is_denied(error: &Error) -> bool {
    error
        .source()
        .is_some_and(<dyn std::error::Error>::is::<Denied>)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Transient => Kind::Transient,
            ErrorKind::Unknown => Kind::Unknown,
            ErrorKind::Fenced { .. } => Kind::Fenced,
            ErrorKind::Conflict { .. } => Kind::Conflict,
            ErrorKind::Truncated { .. } => Kind::Truncated,
            ErrorKind::Invalid => Kind::Invalid,
            _ if is_denied(&error) => Kind::Denied,
            // A feed position, which no command hands in, or a kind that is newer than this.
            _ => Kind::Permanent,
        };
        Self::new(kind, with_causes(&error))
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Backend(error) => error.into(),
            other => Self::new(Kind::Usage, with_causes(&other)),
        }
    }
}

impl From<FollowError> for Failure {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Failed(error) => error.into(),
            other => Self::new(Kind::Permanent, with_causes(&other)),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => error.into(),
            other => Self::new(Kind::Permanent, with_causes(&other)),
        }
    }
}

impl From<InvalidGrain> for Failure {
    fn from(error: InvalidGrain) -> Self {
        Self::new(Kind::Usage, error.to_string())
    }
}

/// Files and options that do not make a leader or a token are the command line's fault.
macro_rules! usage {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(Kind::Usage, with_causes(&error))
            }
        }
    )*};
}

usage!(AccessError, LineFault, TlsError);

impl From<LeaderError> for Failure {
    fn from(error: LeaderError) -> Self {
        let kind = match error {
            LeaderError::Listen { .. } => Kind::Io,
            _ => Kind::Usage,
        };
        Self::new(kind, with_causes(&error))
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::new(Kind::Io, with_causes(&error))
    }
}
