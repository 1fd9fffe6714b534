//! [`Out`]: standard output, as text for people or as an object a line.

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use serde::Serialize;

use crate::failure::{Failure, Result};

/// Where commands say what they found. What is said goes out at [`Out::flush`], or when enough has
/// gathered.
pub(crate) struct Out {
    json: bool,
    to: BufWriter<Stdout>,
    closed: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            to: BufWriter::with_capacity(64 << 10, io::stdout()),
            closed: false,
        }
    }

    /// Says one thing.
    ///
    /// # Errors
    /// `Closed` once nobody reads any more; `Io`.
    pub(crate) fn say<T: Display + Serialize>(&mut self, thing: &T) -> Result<()> {
        let written = if self.json {
            serde_json::to_writer(&mut self.to, thing)
                .map_err(io::Error::from)
                .and_then(|()| self.to.write_all(b"\n"))
        } else {
            writeln!(self.to, "{thing}")
        };
        written.map_err(|error| Failure::io("standard output", &error))
    }

    /// Lets out what was said.
    ///
    /// # Errors
    /// As [`Self::say`].
    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        self.to
            .flush()
            .map_err(|error| Failure::io("standard output", &error))
    }

    /// Says all of these if somebody still reads. For a command whose work is not its output.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn tell<T: Display + Serialize>(&mut self, things: &[T]) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        let said = things.iter().try_for_each(|thing| self.say(thing));
        match said.and_then(|()| self.flush()) {
            Err(failure) if failure.is_closed() => {
                self.closed = true;
                Ok(())
            }
            said => said,
        }
    }
}
