//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::case::Case;

/// Measures a leader and its follower over loopback, each a process of its own.
///
/// Prints `wire.METRIC=…` (medians), `….min=` and `….max=`.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// How often each case runs.
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    /// This case alone; may be given more than once.
    #[arg(long, value_enum, value_name = "CASE")]
    pub(crate) only: Vec<Case>,
    #[command(subcommand)]
    pub(crate) part: Option<Part>,
}

/// What this program calls itself with.
#[derive(Debug, Subcommand)]
pub(crate) enum Part {
    /// Fills a log, serves it, starts the others and measures.
    #[command(hide = true)]
    Leader { case: Case, folder: PathBuf },
    /// Follows a leader and tells it, over its pipes, how far it is.
    #[command(hide = true)]
    Follower { case: Case, leader: SocketAddr },
    /// Appends one by one.
    #[command(hide = true)]
    Writers { leader: SocketAddr },
}

impl Part {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Leader { .. } => "leader",
            Self::Follower { .. } => "follower",
            Self::Writers { .. } => "writers",
        }
    }
}
