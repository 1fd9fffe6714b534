//! A small vector collection engine that is replicated: one process owns a database and takes
//! operations, others follow it and answer nearest-neighbour searches meanwhile.
//!
//! The grain is the database. Its owner applies operations and publishes them as Deltas, with a whole
//! state now and then; a follower's engine is a replica store that applies the operations to its own
//! tables, in order, once, and durably.
//!
//! ```text
//! commands -> Database -> Publisher -> log.db -> leader ~> follower -> Follower -> Engine -> searches
//!             operation.rs, state.rs   payload.rs                      apply.rs, tables.rs, rows.rs
//! ```
//!
//! `cargo run --release --example collections -- demo` runs both and sees that they agree;
//! `-- leader --help` and `-- follower --help` say how each is run by itself.

mod apply;
mod cli;
mod command;
mod console;
mod database;
mod demo;
mod engine;
mod following;
mod nearest;
mod operation;
mod payload;
mod rows;
mod schema;
mod serve;
mod sides;
mod state;
mod tables;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use gleaner_examples::with_causes;

use crate::cli::{Cli, Side};

/// What stops this program is said to people and decided on by nobody.
type Failure = Box<dyn Error + Send + Sync>;
type Result<T, E = Failure> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .init();
    let result = match Cli::parse().side {
        Side::Leader(options) => sides::leader(options).await,
        Side::Follower(options) => sides::follower(options).await,
        Side::Demo => demo::run().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("collections: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
