//! Leader, writer and follower as processes of their own, and what happens to them and between them:
//! kills, stops, bulks, and a wire that breaks in every way.
//!
//! Nothing is decided by time: the tests wait for what a process says ([`peer`]) and hold it against the
//! leader's file ([`truth`]) and the promise about ages ([`ages`]). How long things took is printed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod ages;
mod away;
mod bulk;
mod disturbed;
mod ends;
#[expect(dead_code, reason = "the tests of faults use the rest of it")]
mod peer;
mod proxy;

#[path = "../processes/chance.rs"]
mod chance;
#[path = "../processes/truth.rs"]
#[expect(dead_code, reason = "the tests of processes use the rest of it")]
mod truth;
