//! The tests of the PostgreSQL backend, on a private server.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

mod appends;
mod conformance;
mod damage;
mod encrypted;
mod feed;
mod identity;
mod reads;
mod refusals;
mod server;
mod store_races;
mod stores;
mod stores_together;
mod together;
mod torn;
