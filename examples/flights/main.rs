//! A primary publishes what each aircraft's departures add up to; a secondary follows it and ends
//! with exactly the same states.
//!
//! The grain is an aircraft: grain type `aircraft`, key its tail number. By default primary and
//! secondary are two operating-system processes that share nothing but a `SQLite` file:
//!
//! ```text
//! departures.csv -> flights primary -> log.db -> flights secondary -> replicas.db -> --dump
//! ```
//!
//! The log may as well lie in a database or be a leader's; the dump is the same.
//!
//! `cargo run --release --example flights` runs the pair on a month of real departures;
//! `-- --help` lists what can be changed.

mod aircraft;
mod cli;
mod counted_log;
mod counted_store;
mod departures;
mod dump;
mod lags;
mod pair;
mod places;
mod primary;
mod processes;
mod progress;
mod report;
mod secondary;

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
    let cli = Cli::parse();
    let result = match cli.side {
        Some(Side::Primary(options)) => primary::alone(options).await,
        Some(Side::Secondary(options)) => secondary::alone(options).await,
        None => tokio::select! {
            result = pair::run(cli.pair) => result,
            // Dropping the pair kills its processes and removes its temporary folder.
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flights: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
