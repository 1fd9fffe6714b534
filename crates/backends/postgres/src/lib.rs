//! Gleaner's log and replica store in a PostgreSQL database.
//!
//! Owns how entries, heads, the change feed and replicas lie in tables, and how processes on many machines
//! share them. It knows neither who publishes nor who follows. What each clause of the contracts costs
//! here, and what survives what, stands in the crate's README.

mod append;
mod caught;
mod claim;
mod columns;
mod config;
mod error;
mod feed;
mod hints;
mod judged;
mod log;
mod long;
mod place;
mod read;
mod rows;
mod schema;
mod session;
mod straight;
mod writer;

pub use config::PostgresLogConfig;
pub use log::PostgresLog;

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
