//! What can be asked for on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Follow the aircraft of a month of departures from a primary to a secondary.
#[derive(Debug, Parser)]
#[command(name = "flights", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) side: Option<Side>,
    #[command(flatten)]
    pub(crate) pair: Pair,
}

/// One side alone.
#[derive(Debug, Subcommand)]
pub(crate) enum Side {
    /// Publish the departures of a CSV file to a log that holds no aircraft yet.
    Primary(Primary),
    /// Follow the aircraft of a log; wait for a first one, end when all are in step.
    Secondary(Secondary),
}

/// Both sides.
#[derive(Debug, Args)]
pub(crate) struct Pair {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The log between them: sqlite:PATH, `postgres://USER@HOST/DATABASE?password-file=F`, or memory: to
    /// run both in one process [default: a file in a fresh temporary folder]
    #[arg(long, value_name = "URL")]
    pub(crate) log: Option<String>,
    /// Where the secondary keeps its replicas: sqlite:PATH or memory: [default: a file in a fresh
    /// temporary folder; memory: with a log in memory]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) following: Following,
    /// Delete the files of a sqlite: log and store first
    #[arg(long)]
    pub(crate) fresh: bool,
    /// SIGKILL the secondary once it has applied this many grain results, then start it again on its
    /// store
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) kill_secondary_after: Option<u64>,
}

/// The writing side.
#[derive(Debug, Args)]
pub(crate) struct Primary {
    #[command(flatten)]
    pub(crate) input: Input,
    /// The log to write to: sqlite:PATH, or any other that outlives a process
    #[arg(long, value_name = "URL")]
    pub(crate) log: String,
    /// Delete the files of a sqlite: log first
    #[arg(long)]
    pub(crate) fresh: bool,
}

/// The following side.
#[derive(Debug, Args)]
pub(crate) struct Secondary {
    /// The log to follow: sqlite:PATH, or any other that outlives a process
    #[arg(long, value_name = "URL")]
    pub(crate) log: String,
    /// Where to keep the replicas: sqlite:PATH or memory:; goes on from what is there [default: a
    /// file in a fresh temporary folder]
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) following: Following,
    /// Delete the files of a sqlite: store first
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Go on following until interrupted
    #[arg(long)]
    pub(crate) watch: bool,
    /// End when in step after standard input has ended: how a parent process says that the primary
    /// is done.
    #[arg(long, hide = true, conflicts_with = "watch")]
    pub(crate) until_stdin_ends: bool,
    /// Wait to be killed after this many grain results.
    #[arg(long, hide = true)]
    pub(crate) wait_for_kill_after: Option<u64>,
}

/// Where the departures come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Input {
    /// The departures [default: the month that comes with this example]
    #[arg(long = "input", value_name = "CSV", default_value = DEPARTURES, hide_default_value = true)]
    pub(crate) path: PathBuf,
}

/// The month that comes with this example, found from any working directory.
const DEPARTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/flights-2013-01.csv");

/// How the secondary follows.
#[derive(Debug, Clone, Args)]
pub(crate) struct Following {
    /// How long an aircraft goes unasked-for at most, such as 50ms
    #[arg(long, value_name = "DURATION", default_value = "50ms", value_parser = interval)]
    pub(crate) poll_interval: Duration,
    /// Write what the secondary's replica store holds to this file
    #[arg(long, value_name = "OUT.csv")]
    pub(crate) dump: Option<PathBuf>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval.is_zero() {
        Err("must be longer than nothing".to_owned())
    } else {
        Ok(interval)
    }
}
