//! [`Told`]: what the one who writes says to the one who watches, in one process or in two.

use std::io::{BufRead, Write};
use std::sync::mpsc::Sender;

use crate::lags::{Expected, Observer, lags_ms};
use crate::lines::{line, quantile};
use crate::pace::Reached;

/// Something said by a writer, in the order in which it happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Told {
    /// An append is about to be made.
    Expect(Expected),
    /// The append that was expected last has returned, at this time.
    Returned(u64),
    /// All were made.
    Reached(Reached),
}

impl Told {
    /// Says it to another process.
    ///
    /// # Errors
    /// If nobody listens any more.
    pub fn say(self, mut to: impl Write) -> std::io::Result<()> {
        match self {
            Self::Expect(Expected {
                index,
                grain,
                sequence,
            }) => {
                writeln!(to, "expect {index} {grain} {sequence}")?;
            }
            Self::Returned(at) => writeln!(to, "returned {at}")?,
            Self::Reached(Reached { done, per_second }) => {
                writeln!(to, "reached {done} {per_second}")?;
            }
        }
        to.flush()
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        Some(match words.as_slice() {
            ["expect", index, grain, sequence] => Self::Expect(Expected {
                index: index.parse().ok()?,
                grain: grain.parse().ok()?,
                sequence: sequence.parse().ok()?,
            }),
            ["returned", at] => Self::Returned(at.parse().ok()?),
            ["reached", done, per_second] => Self::Reached(Reached {
                done: done.parse().ok()?,
                per_second: per_second.parse().ok()?,
            }),
            _ => return None,
        })
    }
}

/// What was heard of a writer.
#[derive(Debug, Default)]
pub struct Heard {
    returned: Vec<u64>,
    reached: Option<Reached>,
}

impl Heard {
    /// Takes what was told; what is to be expected goes on to the observer.
    ///
    /// # Errors
    /// If the observer has ended.
    pub fn take(&mut self, told: Told, observer: &Sender<Expected>) -> Result<(), String> {
        match told {
            Told::Expect(expected) => {
                observer
                    .send(expected)
                    .map_err(|_| "the observer has ended")?;
            }
            Told::Returned(at) => self.returned.push(at),
            Told::Reached(reached) => self.reached = Some(reached),
        }
        Ok(())
    }

    /// All that another process says until it ends.
    ///
    /// # Errors
    /// If it says something else, or stops before the end.
    pub fn all(from: impl BufRead, observer: &Sender<Expected>) -> Result<Self, String> {
        let mut heard = Self::default();
        for text in from.lines() {
            let text = text.map_err(|error| error.to_string())?;
            let told = Told::parse(&text).ok_or_else(|| format!("the writer said: {text}"))?;
            heard.take(told, observer)?;
        }
        Ok(heard)
    }

    /// What was reached, and milliseconds from each append's return until it was seen.
    ///
    /// # Errors
    /// If the writer stopped early, or something was never seen.
    pub fn lags(&self, observer: Observer) -> Result<(Reached, Vec<f64>), String> {
        let reached = self.reached.ok_or("the writer ended early")?;
        Ok((reached, lags_ms(&self.returned, &observer.finish()?)?))
    }

    /// Prints [`Self::lags`] as the cases of lag do.
    ///
    /// # Errors
    /// As [`Self::lags`].
    pub fn print_lags(&self, observer: Observer) -> Result<(), String> {
        let (reached, mut lags) = self.lags(observer)?;
        line("appends_per_second", reached.per_second);
        for (name, part) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)] {
            line(
                name,
                quantile(&mut lags, part).ok_or("nothing was appended")?,
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let expected = Expected {
            index: 0,
            grain: 2,
            sequence: 3,
        };
        let reached = Reached {
            done: 1,
            per_second: 0.5,
        };
        let mut said = Vec::new();
        for told in [
            Told::Expect(expected),
            Told::Returned(9),
            Told::Reached(reached),
        ] {
            told.say(&mut said).unwrap();
        }
        let (observer, expectations) = std::sync::mpsc::channel();
        let heard = Heard::all(said.as_slice(), &observer).unwrap();
        assert_eq!(expectations.recv(), Ok(expected));
        assert_eq!((heard.returned, heard.reached), (vec![9], Some(reached)));
        assert!(Heard::all(b"what\n".as_slice(), &observer).is_err());
    }
}
