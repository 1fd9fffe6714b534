//! [`News`]: what a process at either end of a wire says, a line each; and the clock that all of them
//! have in common.

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use gleaner::Cursor;
use rustix::time::{ClockId, clock_gettime};

/// The machine's monotonic clock: the same for every process on it, and never set.
pub fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u32::try_from(now.tv_nsec).unwrap_or_default();
    Duration::new(seconds, nanos)
}

/// A line on a peer's standard output. Keys hold no blanks here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A leader serves here.
    Listening {
        /// Where.
        at: SocketAddr,
    },
    /// A follower or writer has begun.
    Ready,
    /// The log has acknowledged a state, or without a turn a tombstone.
    Acked {
        /// Whose.
        key: String,
        /// Under which number.
        cursor: Cursor,
        /// Which.
        turn: Option<u64>,
        /// When that was known, at the earliest.
        at: Duration,
    },
    /// A replica was read.
    Aged {
        /// Whose.
        key: String,
        /// Where it stood.
        cursor: Cursor,
        /// The age and the health that the answer was stamped with.
        age: Duration,
        /// Likewise.
        health: String,
        /// Just before it was read.
        at: Duration,
    },
    /// A replica that was asked for is not served, or was never proved in step.
    Ageless {
        /// Whose.
        key: String,
    },
    /// The follower was proved in step, as was asked.
    CaughtUp {
        /// Grains in step.
        in_step: usize,
        /// Grains that stand otherwise.
        held: usize,
        /// Entries read since its start, by asking.
        entries_read: u64,
    },
    /// It has done all that it was told, and ends.
    Ended,
}

impl News {
    /// Says it. A peer that nobody hears any more ends.
    pub fn say(&self) {
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{self}").and_then(|()| out.flush()).is_err() {
            std::process::exit(3);
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { at } => write!(f, "listening {at}"),
            Self::Ready => f.write_str("ready"),
            Self::Acked {
                key,
                cursor,
                turn,
                at,
            } => {
                let turn = turn.map_or_else(|| "gone".to_owned(), |turn| turn.to_string());
                write!(f, "acked {key} {cursor} {turn} {}", at.as_nanos())
            }
            Self::Aged {
                key,
                cursor,
                age,
                health,
                at,
            } => write!(
                f,
                "aged {key} {cursor} {} {health} {}",
                age.as_nanos(),
                at.as_nanos()
            ),
            Self::Ageless { key } => write!(f, "ageless {key}"),
            Self::CaughtUp {
                in_step,
                held,
                entries_read,
            } => write!(f, "caught-up {in_step} {held} {entries_read}"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

/// A line that is no news.
#[derive(Debug)]
pub struct NoNews;

impl FromStr for News {
    type Err = NoNews;

    fn from_str(line: &str) -> Result<Self, NoNews> {
        let words: Vec<&str> = line.split(' ').collect();
        Ok(match words.as_slice() {
            ["listening", at] => Self::Listening { at: word(at)? },
            ["ready"] => Self::Ready,
            ["acked", key, cursor, turn, at] => Self::Acked {
                key: (*key).to_owned(),
                cursor: place(cursor)?,
                turn: match *turn {
                    "gone" => None,
                    turn => Some(word(turn)?),
                },
                at: Duration::from_nanos(word(at)?),
            },
            ["ageless", key] => Self::Ageless {
                key: (*key).to_owned(),
            },
            ["aged", key, cursor, age, health, at] => Self::Aged {
                key: (*key).to_owned(),
                cursor: place(cursor)?,
                age: Duration::from_nanos(word(age)?),
                health: (*health).to_owned(),
                at: Duration::from_nanos(word(at)?),
            },
            ["caught-up", in_step, held, entries_read] => Self::CaughtUp {
                in_step: word(in_step)?,
                held: word(held)?,
                entries_read: word(entries_read)?,
            },
            ["ended"] => Self::Ended,
            _ => return Err(NoNews),
        })
    }
}

fn word<T: FromStr>(word: &str) -> Result<T, NoNews> {
    word.parse().map_err(|_| NoNews)
}

fn place(text: &str) -> Result<Cursor, NoNews> {
    let (epoch, sequence) = text.split_once(':').ok_or(NoNews)?;
    Ok(Cursor::new(word(epoch)?, word(sequence)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let (key, cursor, at) = ("N1".to_owned(), Cursor::new(3, 17), monotonic());
        let acked = |turn| News::Acked {
            key: key.clone(),
            cursor,
            turn,
            at,
        };
        for news in [
            News::Listening {
                at: SocketAddr::from(([127, 0, 0, 1], 7)),
            },
            News::Ready,
            acked(Some(9)),
            acked(None),
            News::Aged {
                key: key.clone(),
                cursor,
                age: Duration::from_nanos(5),
                health: "live".to_owned(),
                at,
            },
            News::Ageless { key: key.clone() },
            News::CaughtUp {
                in_step: 1,
                held: 2,
                entries_read: 3,
            },
            News::Ended,
        ] {
            assert_eq!(news.to_string().parse::<News>().unwrap(), news);
        }
        assert!("acked N1".parse::<News>().is_err());
    }
}
