//! Gleaner's log and replica store in a PostgreSQL database.
//!
//! Owns how entries, heads, the change feed and replicas lie in tables, and how processes on many machines
//! share them. It knows neither who publishes nor who follows. What each clause of the contracts costs
//! here, and what survives what, stands in the crate's README.

mod append;
mod apply;
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
mod replica_reads;
mod replica_rows;
mod replica_writes;
mod rows;
mod schema;
mod session;
mod store;
mod straight;
mod turn;
mod writer;

pub use config::{PostgresLogConfig, PostgresStoreConfig};
pub use log::PostgresLog;
pub use store::PostgresReplicaStore;

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
