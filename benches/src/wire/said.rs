//! [`Said`]: what a child tells the leader, a line each.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use crate::Outcome;

/// Something that a child has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is in step with what was in the log, or connected, and waits for what comes.
    Ready,
    /// The follower has all of the order below this place.
    At(u64),
    /// The follower's start took so many nanoseconds.
    Took(u64),
    /// So many entries moved a replica of the follower's since its start, and processors spent so many
    /// nanoseconds in it since it was ready.
    Applied { entries: u64, cpu: u64 },
    /// A reader in the follower was given a sequence of a grain, at a time of the shared clock.
    Seen { grain: u32, sequence: u64, at: u64 },
    /// It has done what it was to do.
    Done,
}

impl Said {
    /// Says it.
    pub(crate) fn say(self) -> Outcome<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{self}")?;
        Ok(out.flush()?)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => write!(f, "ready"),
            Self::At(place) => write!(f, "at {place}"),
            Self::Took(nanos) => write!(f, "took {nanos}"),
            Self::Applied { entries, cpu } => write!(f, "applied {entries} {cpu}"),
            Self::Seen {
                grain,
                sequence,
                at,
            } => write!(f, "seen {grain} {sequence} {at}"),
            Self::Done => write!(f, "done"),
        }
    }
}

impl FromStr for Said {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split(' ').collect();
        let number = |word: &str| {
            word.parse::<u64>()
                .map_err(|_| format!("no number in: {text}"))
        };
        Ok(match words.as_slice() {
            ["ready"] => Self::Ready,
            ["at", place] => Self::At(number(place)?),
            ["took", nanos] => Self::Took(number(nanos)?),
            ["applied", entries, cpu] => Self::Applied {
                entries: number(entries)?,
                cpu: number(cpu)?,
            },
            ["seen", grain, sequence, at] => Self::Seen {
                grain: u32::try_from(number(grain)?).map_err(|_| "no such grain")?,
                sequence: number(sequence)?,
                at: number(at)?,
            },
            ["done"] => Self::Done,
            _ => return Err(format!("it said: {text}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let seen = Said::Seen {
            grain: 1,
            sequence: 2,
            at: 3,
        };
        for said in [
            Said::Ready,
            Said::At(7),
            Said::Took(8),
            Said::Applied {
                entries: 9,
                cpu: 10,
            },
            seen,
            Said::Done,
        ] {
            assert_eq!(said.to_string().parse(), Ok(said));
        }
        assert!("at".parse::<Said>().is_err());
        assert!("at x".parse::<Said>().is_err());
    }
}
