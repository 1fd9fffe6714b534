//! The command line.

use clap::{Parser, ValueEnum};
use gleaner_measure::LogKind;

/// Measures Gleaner and orlando-cluster 0.1.0 on the same work, one process a side, in turn.
///
/// Prints `CASE.METRIC.SIDE=…` (medians), `….min=` and `….max=`, and `CASE.METRIC.ratio=…`, which is
/// above 1 where Gleaner is better.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// What is measured.
    #[arg(value_enum)]
    pub(crate) case: Case,
    /// How many grains; for append, how many tasks.
    #[arg(long)]
    pub(crate) grains: Option<u32>,
    /// How many states of each grain are in the log at the start (backlog, wide).
    #[arg(long)]
    pub(crate) states: Option<u32>,
    /// Where the log is kept: memory or sqlite.
    #[arg(long)]
    pub(crate) log: Option<LogKind>,
    /// How long is measured.
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Appends, or updates, a second (both lags, reads, scale, neighbours).
    #[arg(long)]
    pub(crate) rate: Option<u32>,
    /// How often each side runs.
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: u32,
    /// One side alone.
    #[arg(long, value_enum)]
    pub(crate) only: Option<Side>,
}

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Side {
    Gleaner,
    Orlando,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gleaner => "gleaner",
            Self::Orlando => "orlando",
        }
    }
}

/// What is measured. `benches/README.md` says what each number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Case {
    /// What following grains that are in step costs.
    Idle,
    /// Until one grain with a long history can be read at its newest state.
    Backlog,
    /// Until many grains with a short history can.
    Wide,
    /// From an append's return until it can be read.
    Lag,
    /// The same, between two processes.
    LagProcesses,
    /// Random reads of replicas.
    Reads,
    /// Durable states a second, many under way.
    Append,
    /// Durable states a second, each awaited.
    AppendClosed,
    /// Ours alone: idle cost, start and lag against the number of grains.
    Scale,
    /// Ours alone: what a huge and a quarantined grain do to the others.
    Neighbours,
    /// Ours alone: ten times what it can keep up with.
    Overload,
}

impl Case {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Backlog => "backlog",
            Self::Wide => "wide",
            Self::Lag => "lag",
            Self::LagProcesses => "lag_processes",
            Self::Reads => "reads",
            Self::Append => "append",
            Self::AppendClosed => "append_closed",
            Self::Scale => "scale",
            Self::Neighbours => "neighbours",
            Self::Overload => "overload",
        }
    }

    /// Whether Orlando has nothing to put beside it.
    pub(crate) const fn is_ours_alone(self) -> bool {
        matches!(self, Self::Scale | Self::Neighbours | Self::Overload)
    }
}
