//! The servers that other tests stand on: each starts, answers, is killed and restarted, and leaves
//! nothing.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod leftovers;
mod line;
mod missing;
mod nats;
mod postgres;
mod redis;
mod wait;
