//! The clauses over the wire, and what only a network brings.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod access;
mod another_log;
mod calls;
mod conformance;
mod evil;
mod hostile;
mod large;
mod leaders;
mod raw;
mod readers;
mod said;
mod silent;
mod words;
