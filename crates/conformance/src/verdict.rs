//! [`Verdict`]: what a test of a clause says about a backend.

use std::fmt;

/// Nothing, or how the clause was broken.
pub type Verdict = Result<(), Broken>;

/// What was seen, or how the clause was broken.
pub(crate) type Seen<T> = Result<T, Broken>;

/// A clause that a backend does not keep: what was expected, and what was seen.
#[derive(Clone, PartialEq, Eq)]
pub struct Broken(String);

impl Broken {
    /// Says what was expected and what was seen.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

impl From<gleaner_core::Error> for Broken {
    fn from(error: gleaner_core::Error) -> Self {
        Self(format!("a call that must succeed failed: {error:?}"))
    }
}

impl From<gleaner_core::InvalidGrain> for Broken {
    fn from(error: gleaner_core::InvalidGrain) -> Self {
        Self(format!("the kit built a bad grain id: {error}"))
    }
}

impl From<gleaner_core::InvalidShare> for Broken {
    fn from(error: gleaner_core::InvalidShare) -> Self {
        Self(format!(
            "the kit asks for a share that there is not: {error}"
        ))
    }
}

impl From<tokio::task::JoinError> for Broken {
    fn from(error: tokio::task::JoinError) -> Self {
        Self(format!("a call panicked: {error}"))
    }
}

/// Ends the test with what was expected unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($said:tt)+) => {
        if !$holds {
            return Err($crate::Broken::new(format!(
                "{} ({}:{})", format_args!($($said)+), file!(), line!(),
            )));
        }
    };
}

/// Ends the test unless the first, what was seen, equals the second, what was expected.
macro_rules! ensure_eq {
    ($seen:expr, $expected:expr, $($said:tt)+) => {{
        let (seen, expected) = (&$seen, &$expected);
        if seen != expected {
            return Err($crate::Broken::new(format!(
                "{}: expected {expected:?}, saw {seen:?} ({}:{})",
                format_args!($($said)+), file!(), line!(),
            )));
        }
    }};
}

/// Ends the test unless what was seen matches the pattern.
macro_rules! ensure_matches {
    ($seen:expr, $pattern:pat $(if $guard:expr)?, $($said:tt)+) => {{
        let seen = &$seen;
        if !matches!(seen, $pattern $(if $guard)?) {
            return Err($crate::Broken::new(format!(
                "{}: expected {}, saw {seen:?} ({}:{})",
                format_args!($($said)+), stringify!($pattern $(if $guard)?), file!(), line!(),
            )));
        }
    }};
}

pub(crate) use {ensure, ensure_eq, ensure_matches};
