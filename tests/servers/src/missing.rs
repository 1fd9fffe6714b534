//! [`Missing`]: what is not installed, and what a test does about it.

use std::fmt;

/// A program that no server can be started without, and the way to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    program: &'static str,
    package: &'static str,
}

impl Missing {
    pub(crate) fn new(program: &'static str, package: &'static str) -> Self {
        Self { program, package }
    }

    /// The Debian package that has it.
    pub fn package(&self) -> &'static str {
        self.package
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { program, package } = self;
        write!(
            f,
            "no {program} is installed: apt-get install {package}, or put it on the PATH"
        )
    }
}

impl std::error::Error for Missing {}

/// Whether a test may not skip itself for want of a server: `GLEANER_REQUIRE_SERVERS=1`.
pub fn required() -> bool {
    std::env::var("GLEANER_REQUIRE_SERVERS").is_ok_and(|value| value == "1")
}

/// The server; without it `None`, and a line that `cargo xtask test` counts as a skipped test.
///
/// # Panics
/// If it is missing and servers are [`required`].
pub fn or_skip<T>(found: Result<T, Missing>) -> Option<T> {
    match found {
        Ok(server) => Some(server),
        Err(missing) => {
            assert!(!required(), "servers are required: {missing}");
            println!("skipped: {missing}");
            None
        }
    }
}
