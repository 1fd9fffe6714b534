//! What a follower promises, clause by clause, on a log, a store and a clock that do as they are told.
//!
//! Time is tokio's, paused: it moves only when nothing else can, so that no test is decided by how fast
//! a machine is.

mod ages;
mod control;
mod deltas;
mod facts;
mod failures;
mod following;
mod hammer;
mod hints;
mod ready;
mod reads;
mod rig;
mod single;
mod standing;
