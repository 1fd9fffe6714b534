//! [`Report`]: what a worker says, a line each, written at once.

use std::fmt;
use std::io::Write;
use std::str::FromStr;

use gleaner::Cursor;

/// A line on a worker's standard output. Keys hold no blanks here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It has opened what it was given.
    Ready,
    /// The log has acknowledged a state, or without a turn a tombstone.
    Acked {
        /// Whose.
        key: String,
        /// Under which number.
        cursor: Cursor,
        /// Which.
        turn: Option<u64>,
    },
    /// The log gave out an entry.
    Read {
        /// Whose.
        key: String,
        /// Which.
        cursor: Cursor,
    },
    /// The store has answered that a replica stands here now.
    Applied {
        /// Whose.
        key: String,
        /// Where.
        cursor: Cursor,
    },
    /// How a replica is served, as was asked.
    Stands {
        /// Whose.
        key: String,
        /// The health that the answer is stamped with.
        health: String,
        /// The cursor likewise.
        cursor: Cursor,
        /// The state.
        turn: u64,
    },
    /// A read was refused.
    Refused {
        /// Whose.
        key: String,
    },
    /// How many pages of feed and listing were read, as was asked.
    Pages {
        /// So many.
        count: u64,
    },
    /// What became of foreign replicas, as was asked.
    Rebased {
        /// Now of the followed log.
        done: usize,
        /// Not so.
        left: usize,
    },
    /// The follower was proved in step.
    CaughtUp {
        /// Grains in step.
        in_step: usize,
        /// Grains that stand otherwise.
        held: usize,
        /// Entries read since its start.
        entries_read: u64,
    },
    /// An order was heard that asks for nothing else: what is said behind it was done after the order
    /// was given.
    Heard,
    /// It has done all that it was told, and ends.
    Ended,
}

/// Says it. A worker that nobody hears any more ends.
pub fn say(report: &Report) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{report}")
        .and_then(|()| out.flush())
        .is_err()
    {
        std::process::exit(3);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Acked { key, cursor, turn } => {
                write!(f, "acked {key} {cursor} ")?;
                match turn {
                    Some(turn) => turn.fmt(f),
                    None => f.write_str("gone"),
                }
            }
            Self::Read { key, cursor } => write!(f, "read {key} {cursor}"),
            Self::Applied { key, cursor } => write!(f, "applied {key} {cursor}"),
            Self::Stands {
                key,
                health,
                cursor,
                turn,
            } => write!(f, "stands {key} {health} {cursor} {turn}"),
            Self::Refused { key } => write!(f, "refused {key}"),
            Self::Pages { count } => write!(f, "pages {count}"),
            Self::Rebased { done, left } => write!(f, "rebased {done} {left}"),
            Self::CaughtUp {
                in_step,
                held,
                entries_read,
            } => write!(f, "caught-up {in_step} {held} {entries_read}"),
            Self::Heard => f.write_str("heard"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

/// A line that is no report.
#[derive(Debug)]
pub struct BadReport;

impl FromStr for Report {
    type Err = BadReport;

    fn from_str(line: &str) -> Result<Self, BadReport> {
        let words: Vec<&str> = line.split(' ').collect();
        Ok(match words.as_slice() {
            ["ready"] => Self::Ready,
            ["acked", key, at, turn] => Self::Acked {
                key: (*key).to_owned(),
                cursor: cursor(at)?,
                turn: if *turn == "gone" {
                    None
                } else {
                    Some(number(turn)?)
                },
            },
            ["read", key, at] => Self::Read {
                key: (*key).to_owned(),
                cursor: cursor(at)?,
            },
            ["applied", key, at] => Self::Applied {
                key: (*key).to_owned(),
                cursor: cursor(at)?,
            },
            ["stands", key, health, at, turn] => Self::Stands {
                key: (*key).to_owned(),
                health: (*health).to_owned(),
                cursor: cursor(at)?,
                turn: number(turn)?,
            },
            ["refused", key] => Self::Refused {
                key: (*key).to_owned(),
            },
            ["pages", count] => Self::Pages {
                count: number(count)?,
            },
            ["rebased", done, left] => Self::Rebased {
                done: number(done)?,
                left: number(left)?,
            },
            ["caught-up", in_step, held, entries_read] => Self::CaughtUp {
                in_step: number(in_step)?,
                held: number(held)?,
                entries_read: number(entries_read)?,
            },
            ["heard"] => Self::Heard,
            ["ended"] => Self::Ended,
            _ => return Err(BadReport),
        })
    }
}

fn number<T: FromStr>(word: &str) -> Result<T, BadReport> {
    word.parse().map_err(|_| BadReport)
}

fn cursor(word: &str) -> Result<Cursor, BadReport> {
    let (epoch, sequence) = word.split_once(':').ok_or(BadReport)?;
    Ok(Cursor::new(number(epoch)?, number(sequence)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let (key, cursor) = ("N1".to_owned(), Cursor::new(3, 17));
        let acked = |turn| Report::Acked {
            key: key.clone(),
            cursor,
            turn,
        };
        for report in [
            Report::Ready,
            acked(Some(9)),
            acked(None),
            Report::Pages { count: 4 },
            Report::Heard,
            Report::Ended,
        ] {
            assert_eq!(report.to_string().parse::<Report>().unwrap(), report);
        }
        assert!("acked N1".parse::<Report>().is_err());
    }
}
