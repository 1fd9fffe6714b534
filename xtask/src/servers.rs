//! The servers that tests of networked backends need.
//!
//! No test needs one yet. When one does, the place to install and find them is here: `prepare` runs
//! before the tests, and what it finds goes to them as environment variables.

/// Whether a test that skips itself for want of a server is a failure (`GLEANER_REQUIRE_SERVERS=1`,
/// set in CI).
pub(crate) fn required() -> bool {
    std::env::var("GLEANER_REQUIRE_SERVERS").is_ok_and(|value| value == "1")
}

/// The environment that the tests are given so that they find the servers.
pub(crate) fn prepare() -> Vec<(String, String)> {
    Vec::new()
}
