//! The clauses over the wire, and what only a network brings.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod conformance;
mod leaders;
