//! What a follower promises, clause by clause, on a log, a store and a clock that do as they are told.
//!
//! Time is tokio's, paused: it moves only when nothing else can, so that no test is decided by how fast
//! a machine is.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::unchecked_time_subtraction,
    reason = "a test that panics has failed, which is what it is for"
)]

mod ages;
mod bootstrap;
mod control;
mod deltas;
mod facts;
mod failures;
mod following;
mod hammer;
mod hints;
#[cfg(feature = "metrics")]
mod metrics;
mod pushes;
mod reads;
mod ready;
mod rig;
mod single;
mod standing;
mod sweep;
