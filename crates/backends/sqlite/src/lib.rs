//! Gleaner's log and replica store in SQLite files.
//!
//! Owns how entries, heads, the change feed and replicas lie in a file, and how several processes
//! share one. It knows neither who publishes nor who follows. What each clause of the contracts
//! costs here, and what survives what, stands in the crate's README.

mod append;
mod apply;
mod bell;
mod config;
mod error;
mod feed;
mod file;
mod log;
mod place;
mod read;
mod readers;
mod replica_rows;
mod resident;
mod rows;
mod schema;
mod store;
mod writer;

pub use config::{SqliteLogConfig, SqliteStoreConfig};
pub use log::SqliteLog;
pub use store::SqliteReplicaStore;

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
