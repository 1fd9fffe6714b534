//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::case::Case;

/// Measures logs on a real server, which it starts for itself.
///
/// Prints `servers.SERVER.METRIC.SIDE=…` (medians), `….min=` and `….max=`, `….ratio=` against the plain
/// client and `….orlando_ratio=`, which are above 1 where Gleaner is better.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) what: What,
}

/// On which server; or what this program calls itself with.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// On PostgreSQL.
    Postgres(Asked),
    /// One side of one case.
    #[command(hide = true)]
    Side { side: Side, work: Vec<String> },
}

/// What is asked for.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// How often each side of each case runs.
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    /// This case alone; may be given more than once.
    #[arg(long, value_enum, value_name = "CASE")]
    pub(crate) only: Vec<Case>,
    /// Without this side; may be given more than once.
    #[arg(long, value_enum, value_name = "SIDE")]
    pub(crate) without: Vec<Side>,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Side {
    /// Our log.
    Gleaner,
    /// A plain client that does the same by hand.
    Raw,
    /// Orlando's log.
    Orlando,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gleaner => "gleaner",
            Self::Raw => "raw",
            Self::Orlando => "orlando",
        }
    }
}
