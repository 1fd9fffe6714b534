//! The publisher against a log that fails in every way it may: a test per clause, each seen to fail
//! by planted faults, and what users rely on beside the clauses.

mod clauses;
mod health;
mod log;
mod memory;
mod opening;
mod queue;
mod random;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gleaner_core::{Entry, Fold, FoldError, GrainId, Limits};
use tokio::time::timeout;

use crate::fault::Fault;
use crate::{GrainPublisher, Publisher, PublisherBuilder};
use log::TestLog;

/// What a check found wrong.
type Check = Result<(), String>;

/// Ends a check that does not hold.
macro_rules! ensure {
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(format!($($why)+));
        }
    };
}
use ensure;

/// A publisher and its log.
struct Rig {
    log: Arc<TestLog>,
    publisher: Publisher,
}

fn id(key: &str) -> GrainId {
    GrainId::new("t", key).unwrap()
}

fn rig(fault: Option<Fault>, set: impl FnOnce(PublisherBuilder) -> PublisherBuilder) -> Rig {
    rig_on(TestLog::new(Limits::default()), fault, set)
}

fn rig_on(
    log: Arc<TestLog>,
    fault: Option<Fault>,
    set: impl FnOnce(PublisherBuilder) -> PublisherBuilder,
) -> Rig {
    let builder = Publisher::builder(log.clone())
        .source("here")
        .seed(1)
        .fault(fault);
    Rig {
        publisher: set(builder).spawn(),
        log,
    }
}

impl Rig {
    async fn grain(&self, key: &str) -> GrainPublisher {
        self.publisher.grain("t", key).await.unwrap()
    }

    /// Everything is settled: nothing that P3 forbids was seen, and all room was given back.
    async fn finish(&self) -> Check {
        within(self.publisher.flush())
            .await?
            .map_err(|error| format!("flush: {error}"))?;
        self.clean()
    }

    fn clean(&self) -> Check {
        let violations = self.log.state.lock().violations.clone();
        ensure!(violations.is_empty(), "{violations:?}");
        let room = &self.publisher.shared().room;
        ensure!(
            room.free() == room.total(),
            "{} of {} bytes are free at the end",
            room.free(),
            room.total()
        );
        Ok(())
    }
}

/// A day on the paused clock: whatever takes longer never ends.
async fn within<T>(future: impl Future<Output = T>) -> Result<T, String> {
    timeout(Duration::from_secs(86_400), future)
        .await
        .map_err(|_| "it never ends".to_owned())
}

/// A future that has been polled and is not done.
async fn started<F: Future>(future: F) -> std::pin::Pin<Box<F>> {
    let mut future = Box::pin(future);
    let done = timeout(Duration::from_millis(1), &mut future).await.is_ok();
    assert!(!done, "it ended at once");
    future
}

/// The state is a number in decimal, a delta is added to it.
struct Sum;

impl Fold for Sum {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        let number = |bytes: &[u8]| -> Result<u64, FoldError> {
            std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| FoldError::new("not a number"))
        };
        Ok((number(state)? + number(delta.payload())?)
            .to_string()
            .into())
    }
}

/// What a replica folds the entries to; none if they do not follow each other.
fn folded(entries: &[Entry]) -> Option<Bytes> {
    let mut state: Option<Bytes> = None;
    let mut before: Option<&Entry> = None;
    for entry in entries {
        match entry.kind() {
            gleaner_core::Kind::FullState => state = Some(entry.payload().clone()),
            gleaner_core::Kind::Tombstone => state = None,
            gleaner_core::Kind::Delta => {
                let before = before?;
                if !before.cursor().is_just_below(entry.cursor())
                    || entry.prev() != Some(before.digest())
                {
                    return None;
                }
                state = Some(Sum.fold(entry.grain(), &state?, entry).ok()?);
            }
        }
        before = Some(entry);
    }
    state
}
