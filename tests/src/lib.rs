//! What the worker processes of the end-to-end tests, and the tests that start them, have in common.
//!
//! Owns the payloads that can be told whole from torn ([`Payload`]), the lines in which a worker
//! says what it has done ([`Report`]; across a network [`News`]), the orders that it takes ([`Orders`]), logs opened
//! with a test's patience ([`open`]), and a log and a store that say what passes through them ([`ToldLog`],
//! [`ToldStore`]). It judges nothing: the tests do.

mod news;
mod opened;
mod orders;
mod payload;
mod report;
pub mod sim;
mod told_log;
mod told_store;

pub use news::{News, NoNews, monotonic};
pub use opened::{open, open_store};
pub use orders::Orders;
pub use payload::Payload;
pub use report::{BadReport, Report, say};
pub use told_log::ToldLog;
pub use told_store::ToldStore;

/// The type of every grain in these tests.
pub const GRAIN_TYPE: &str = "plane";

/// What a worker ends with.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;
