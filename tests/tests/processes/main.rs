//! Real processes over SQLite files: what they promise each other, and what survives a kill.
//!
//! Nothing is decided by time: tests wait for what a process says ([`child`]), and a kill falls at a
//! random moment after a random number of lines, from a seed that is printed ([`chance`]). What the
//! processes said is held against what the files hold ([`truth`]).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod appenders;
mod chance;
#[expect(dead_code, reason = "the tests of faults use the rest of it")]
mod child;
mod end_to_end;
mod killed_appender;
mod killed_follower;
mod replaced;
#[expect(
    dead_code,
    reason = "the tests of faults and of the network use the rest of it"
)]
mod truth;
