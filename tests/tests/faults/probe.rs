//! [`Probe`]: a log opened by the test itself, whose errors can be looked at.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gleaner::{Cursor, Draft, Entry, Error, GrainId, ReplicationLog, Writer};
use gleaner_tests::{GRAIN_TYPE, Payload};
use tokio::runtime::Runtime;

use crate::place::until;
use crate::truth::Acked;

/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The one grain that it writes, unless it is told another.
pub(crate) const KEY: &str = "probe-0";

/// Appends to a grain of its own, straight into the log.
pub(crate) struct Probe {
    key: &'static str,
    log: Arc<dyn ReplicationLog>,
    runtime: Runtime,
    pub(crate) acked: Vec<Acked>,
}

impl Probe {
    /// On a log that is there already.
    pub(crate) fn open(path: &Path) -> Self {
        Self::of(&format!("sqlite:{}", path.display()), KEY, PATIENCE)
    }

    /// On the log at a URL, whose answers it awaits so long; with a grain of its own.
    pub(crate) fn of(url: &str, key: &'static str, patience: Duration) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let log = runtime
            .block_on(gleaner_tests::open(url, patience))
            .unwrap();
        Self {
            key,
            log,
            runtime,
            acked: Vec::new(),
        }
    }

    /// The entry behind those acknowledged: the same bytes until it is.
    fn next(&self) -> (u64, Entry) {
        let turn = self.acked.len() as u64 + 1;
        let grain = GrainId::new(GRAIN_TYPE, self.key).unwrap();
        let state = Payload::new(turn).bytes(self.key);
        let cursor = Cursor::new(1, turn);
        (
            turn,
            Draft::full(grain, cursor, Writer::new(7), state).seal(),
        )
    }

    /// Appends once.
    pub(crate) fn append(&mut self) -> Result<(), Error> {
        let (turn, entry) = self.next();
        let cursor = entry.cursor();
        let head = self.runtime.block_on(self.log.append(entry))?;
        assert_eq!(head.cursor, cursor);
        self.acked.push(Acked {
            key: self.key.to_owned(),
            cursor,
            turn: Some(turn),
        });
        Ok(())
    }

    /// Appends until it fails.
    pub(crate) fn fails(&mut self) -> Error {
        let mut failed = None;
        until("an append fails", || {
            failed = self.append().err();
            failed.is_some()
        });
        failed.unwrap()
    }

    /// Reads what it wrote; fails while the log does.
    pub(crate) fn read(&self) -> Result<(), Error> {
        let grain = GrainId::new(GRAIN_TYPE, self.key).unwrap();
        self.runtime.block_on(self.log.heads(&[grain])).map(|_| ())
    }

    /// Appends until it succeeds.
    pub(crate) fn works(&mut self) {
        until("an append succeeds", || self.append().is_ok());
    }
}
