//! [`Case`]: what is measured, and of how much.

use clap::ValueEnum;
use gleaner_measure::LogKind;

/// What is measured. `benches/README.md` says what each number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Case {
    /// From the follower's start until every grain is readable; the leader's log is in memory.
    BootstrapMemory,
    /// The same; the leader's log is a file.
    BootstrapSqlite,
    /// Batches appended inside the leader's process, followed without a gap.
    TailBatch,
    /// Single appends by eight writers over the network.
    TailSingle,
    /// From an append inside the leader's process until it is readable in the follower.
    Lag,
}

impl Case {
    pub(crate) const ALL: [Self; 5] = [
        Self::BootstrapMemory,
        Self::BootstrapSqlite,
        Self::TailBatch,
        Self::TailSingle,
        Self::Lag,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::BootstrapMemory => "bootstrap_memory",
            Self::BootstrapSqlite => "bootstrap_sqlite",
            Self::TailBatch => "tail_batch",
            Self::TailSingle => "tail_single",
            Self::Lag => "lag",
        }
    }

    /// How many grains the leader's log holds, each in one state, before anybody follows.
    pub(crate) const fn grains(self) -> u32 {
        match self {
            Self::BootstrapMemory | Self::BootstrapSqlite => 50_000,
            Self::TailBatch => 10_000,
            Self::TailSingle | Self::Lag => 1_000,
        }
    }

    /// How many entries are appended while the clock runs: the same number to each grain.
    pub(crate) const fn entries(self) -> u64 {
        match self {
            Self::BootstrapMemory | Self::BootstrapSqlite => 0,
            Self::TailBatch => 500_000,
            Self::TailSingle => 40_000,
            Self::Lag => 10_000,
        }
    }

    pub(crate) const fn log(self) -> LogKind {
        match self {
            Self::BootstrapSqlite => LogKind::Sqlite,
            _ => LogKind::Memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grain_is_appended_to_as_often() {
        for case in Case::ALL {
            assert_eq!(case.entries() % u64::from(case.grains()), 0, "{case:?}");
            assert_eq!(Case::from_str(case.name(), false), Ok(case));
        }
    }
}
