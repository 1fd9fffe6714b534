//! [`Case`]: what is measured, of how much, and by whom.

use std::path::PathBuf;

use clap::ValueEnum;
use gleaner_measure::{LogKind, Work};

use super::options::Side;
use crate::versus::metric::Better;

/// What the sides are told that a case is called; Orlando's tells them by it from those of `versus`.
const PREFIX: &str = "servers.";

/// What is measured. `benches/README.md` says what each number means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Case {
    /// One task, one grain, each append awaited.
    #[value(name = "append_1")]
    Append1,
    /// Sixteen tasks, a grain each, each append awaited.
    #[value(name = "append_16")]
    Append16,
    /// Batches of entries of many grains, one after the other.
    AppendBatch,
    /// Catching up with some grains of many, and the names of those that moved.
    Reads,
    /// What following many grains that stand still costs.
    #[value(name = "idle_100k")]
    Idle100k,
    /// The same of fewer grains, beside Orlando's consumers.
    #[value(name = "idle_10k")]
    Idle10k,
    /// From an append until it is readable in another process.
    LagHint,
    /// The same, told of nothing between two polls.
    LagPoll,
}

impl Case {
    pub(crate) const ALL: [Self; 8] = [
        Self::Append1,
        Self::Append16,
        Self::AppendBatch,
        Self::Reads,
        Self::Idle100k,
        Self::Idle10k,
        Self::LagHint,
        Self::LagPoll,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Append1 => "append_1",
            Self::Append16 => "append_16",
            Self::AppendBatch => "append_batch",
            Self::Reads => "reads",
            Self::Idle100k => "idle_100k",
            Self::Idle10k => "idle_10k",
            Self::LagHint => "lag_hint",
            Self::LagPoll => "lag_poll",
        }
    }

    /// Who takes part.
    pub(crate) const fn sides(self) -> &'static [Side] {
        match self {
            Self::Append1 | Self::Append16 | Self::AppendBatch | Self::Reads => {
                &[Side::Gleaner, Side::Raw, Side::Orlando]
            }
            Self::Idle10k => &[Side::Gleaner, Side::Orlando],
            Self::Idle100k | Self::LagHint | Self::LagPoll => &[Side::Gleaner],
        }
    }

    /// Whether a side only stands still, and what that costs is seen from outside.
    pub(crate) const fn is_idle(self) -> bool {
        matches!(self, Self::Idle100k | Self::Idle10k)
    }

    /// Which direction is better for a metric; none for what is only there to judge another by.
    pub(crate) fn better(self, metric: &str) -> Option<Better> {
        match self {
            Self::Append1 | Self::Append16 | Self::AppendBatch => {
                metric.ends_with("per_second").then_some(Better::Higher)
            }
            Self::Reads | Self::Idle10k => Some(Better::Lower),
            Self::Idle100k | Self::LagHint | Self::LagPoll => None,
        }
    }

    /// All of it, the same for all sides.
    pub(crate) fn work(self) -> Work {
        let work = Work {
            case: format!("{PREFIX}{}", self.name()),
            role: String::new(),
            grains: 1,
            // What each grain has before the clock starts; in `reads`, a tenth of them have one more.
            states: 1,
            payload: 1024,
            interval_ms: 100,
            rate: 1_000,
            seconds: 3.0,
            // On neither: the environment says where.
            log: LogKind::Memory,
            folder: PathBuf::new(),
        };
        match self {
            Self::Append1 => work,
            Self::Append16 => Work { grains: 16, ..work },
            Self::AppendBatch => Work {
                grains: 5_000,
                seconds: 4.0,
                ..work
            },
            Self::Reads => Work {
                grains: 100_000,
                states: 2,
                ..work
            },
            Self::Idle100k => Work {
                grains: 100_000,
                seconds: 12.0,
                ..work
            },
            Self::Idle10k => Work {
                grains: 10_000,
                seconds: 12.0,
                ..work
            },
            Self::LagHint | Self::LagPoll => Work {
                grains: 10_000,
                seconds: 10.0,
                ..work
            },
        }
    }

    /// The case that a side was told.
    pub(crate) fn of(work: &Work) -> Option<Self> {
        let name = work.case.strip_prefix(PREFIX)?;
        Self::ALL.into_iter().find(|case| case.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_known_by_its_name_and_its_work() {
        for case in Case::ALL {
            assert_eq!(Case::from_str(case.name(), false), Ok(case));
            let work = Work::from_args(case.work().to_args()).unwrap();
            assert_eq!(work, case.work());
            assert_eq!(Case::of(&work), Some(case));
        }
    }

    #[test]
    fn only_what_two_sides_have_is_compared() {
        assert_eq!(
            Case::Append16.better("append_16_per_second"),
            Some(Better::Higher)
        );
        assert_eq!(Case::Append16.better("append_16_fsync_p50_ms"), None);
        assert_eq!(Case::Reads.better("feed_10000_ms"), Some(Better::Lower));
        for case in Case::ALL {
            let compared = case.better("a_per_second").is_some();
            assert_eq!(compared, case.sides().len() > 1, "{case:?}");
        }
    }
}
