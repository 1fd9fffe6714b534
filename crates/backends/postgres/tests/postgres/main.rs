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
mod hosts;
mod identity;
mod reads;
mod refusals;
mod round_trips;
mod server;
mod settings;
mod store_races;
mod stores;
mod stores_together;
mod together;
mod torn;
mod truncations;
