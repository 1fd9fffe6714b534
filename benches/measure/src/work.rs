//! [`Work`]: what one side of one case is to do, in the words of a command line.

use std::path::PathBuf;
use std::str::FromStr;

/// Where the log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogKind {
    /// In this process.
    Memory,
    /// In a file.
    Sqlite,
}

impl LogKind {
    /// As on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
        }
    }
}

impl FromStr for LogKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "memory" => Ok(Self::Memory),
            "sqlite" => Ok(Self::Sqlite),
            _ => Err(format!("{text} is no log: memory or sqlite")),
        }
    }
}

/// One side's work. The driver decides all of it, defaults included, and hands the same to both.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Which case.
    pub case: String,
    /// Which part of it, where a case takes more than one process.
    pub role: String,
    /// How many grains.
    pub grains: u32,
    /// How many states of each are in the log at the start.
    pub states: u32,
    /// Of how many bytes.
    pub payload: usize,
    /// Between two polls.
    pub interval_ms: u64,
    /// Appends, or updates, a second.
    pub rate: u32,
    /// How long is measured.
    pub seconds: f64,
    /// Where the log is kept.
    pub log: LogKind,
    /// A folder of this run's own.
    pub folder: PathBuf,
}

impl Work {
    /// As `name=value` arguments.
    pub fn to_args(&self) -> Vec<String> {
        vec![
            format!("case={}", self.case),
            format!("role={}", self.role),
            format!("grains={}", self.grains),
            format!("states={}", self.states),
            format!("payload={}", self.payload),
            format!("interval_ms={}", self.interval_ms),
            format!("rate={}", self.rate),
            format!("seconds={}", self.seconds),
            format!("log={}", self.log.name()),
            format!("folder={}", self.folder.display()),
        ]
    }

    /// From such arguments.
    ///
    /// # Errors
    /// If one is missing, unknown or no number.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut work = Self {
            case: String::new(),
            role: String::new(),
            grains: 0,
            states: 0,
            payload: 0,
            interval_ms: 0,
            rate: 0,
            seconds: 0.0,
            log: LogKind::Memory,
            folder: PathBuf::new(),
        };
        let mut given = 0;
        for arg in args {
            let (name, value) = arg
                .split_once('=')
                .ok_or(format!("{arg} is no name=value"))?;
            match name {
                "case" => value.clone_into(&mut work.case),
                "role" => value.clone_into(&mut work.role),
                "grains" => work.grains = number(name, value)?,
                "states" => work.states = number(name, value)?,
                "payload" => work.payload = number(name, value)?,
                "interval_ms" => work.interval_ms = number(name, value)?,
                "rate" => work.rate = number(name, value)?,
                "seconds" => work.seconds = number(name, value)?,
                "log" => work.log = value.parse()?,
                "folder" => work.folder = PathBuf::from(value),
                _ => return Err(format!("{name} is unknown")),
            }
            given += 1;
        }
        if given == work.to_args().len() {
            Ok(work)
        } else {
            Err(format!(
                "{given} arguments, {} are wanted",
                work.to_args().len()
            ))
        }
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name}={value} is no such number"))
}

/// The key of a grain.
pub fn key(grain: u32) -> String {
    format!("{grain:07}")
}

/// A state of `bytes`, which differs from state to state.
pub fn payload(bytes: usize, sequence: u64) -> Vec<u8> {
    let mut state = vec![7; bytes];
    for (place, byte) in state.iter_mut().zip(sequence.to_le_bytes()) {
        *place = byte;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_survives_its_command_line() {
        let work = Work {
            case: "idle".to_owned(),
            role: "reader".to_owned(),
            grains: 3,
            states: 2,
            payload: 64,
            interval_ms: 100,
            rate: 5,
            seconds: 1.5,
            log: LogKind::Sqlite,
            folder: PathBuf::from("/tmp/x"),
        };
        assert_eq!(Work::from_args(work.to_args()), Ok(work.clone()));
        let mut args = work.to_args();
        args.pop();
        assert!(Work::from_args(args).is_err());
    }
}
