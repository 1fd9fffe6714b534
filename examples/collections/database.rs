//! [`Database`]: the one that is written to.

use std::sync::Arc;

use gleaner::{
    Budget, Caught, Cursor, DeltaOptions, Entry, Error, Fold, GrainId, GrainPublisher, Kind,
    PublishError, Publisher, ReplicationLog,
};
use parking_lot::Mutex;

use crate::engine::Found;
use crate::nearest::{Hit, Query};
use crate::operation::{Operation, Refused, WriteError};
use crate::payload::{Bincoded, Payloads, SCHEMA};
use crate::state::Collections;

/// The most bytes of operations in one Delta: a follower applies a Delta in one transaction, and is
/// seen to get on while a bulk is on its way.
const DELTA_BYTES: usize = 1 << 20;

/// A grain of this type is a database.
pub(crate) const GRAIN_TYPE: &str = "vector-database";

/// The grain of a database of that name.
pub(crate) fn grain(name: &str) -> Result<GrainId, gleaner::InvalidGrain> {
    GrainId::new(GRAIN_TYPE, name)
}

/// A database of vector collections by its owner: in memory, and in the log, which is what it is
/// opened from again.
///
/// # Concurrency
/// Writes are taken one at a time, by the asynchronous lock; the other lock is held to load or swap a
/// pointer, so that a search never waits for a write. A search may see a write that is on its way to
/// the log; a write that has returned is durable.
pub(crate) struct Database {
    publisher: Publisher,
    grain: GrainPublisher,
    writing: tokio::sync::Mutex<()>,
    now: Mutex<(Arc<Collections>, Cursor)>,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Log(#[from] Error),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Codec(#[from] gleaner::CodecError),
    #[error("what the log holds is no database: {0}")]
    NotADatabase(#[from] gleaner::FoldError),
}

impl Database {
    /// Opens a database as the log has it, and claims it; a new one is empty.
    pub(crate) async fn open(
        log: Arc<dyn ReplicationLog>,
        grain: &GrainId,
    ) -> Result<Self, OpenError> {
        loop {
            let (found, cursor) = read(&*log, grain).await?;
            let state = found.clone().unwrap_or_default();
            let options = DeltaOptions::new(Arc::new(Bincoded), Bincoded.write(&state)?);
            let publisher = Publisher::builder(Arc::clone(&log)).schema(SCHEMA).spawn();
            let handle = publisher.delta_grain(grain.clone(), options).await?;
            // Nobody else appends from the claim on. Whoever did between the look and the claim has
            // written something that this state lacks: look again.
            if handle.acked() != cursor {
                continue;
            }
            let mut now = (Arc::new(state), cursor);
            if found.is_none() {
                // So that followers find a database, if an empty one.
                now.1 = handle.publish_bytes(Bincoded.write(&now.0)?).await?;
            }
            return Ok(Self {
                publisher,
                grain: handle,
                writing: tokio::sync::Mutex::default(),
                now: Mutex::new(now),
            });
        }
    }

    /// Applies operations, publishes them and waits until they are durable; the cursor that a
    /// follower then has to reach. All are refused if one is. Many go as several Deltas, each of
    /// which a follower applies as one.
    ///
    /// # Errors
    /// [`WriteError`]. After `Publish`, what was not published is not in this database either.
    ///
    /// # Cancel safety
    /// A dropped call has written some of its Deltas, all or none.
    pub(crate) async fn write(&self, operations: Vec<Operation>) -> Result<Cursor, WriteError> {
        let order = self.writing.lock().await;
        let (mut state, mut cursor) = self.now();
        let parts = parts(operations);
        // All are tried before the first of them is published.
        let last = apply(&state, parts.iter().flatten())?;
        let mut last = Some(last);
        let mut left = parts.len();
        for part in parts {
            left -= 1;
            let next = match last.take_if(|_| left == 0) {
                Some(last) => last,
                None => apply(&state, &part)?,
            };
            cursor = self.grain.enqueue_delta(Bincoded::delta(&part)?).await?;
            state = Arc::new(next);
            *self.now.lock() = (Arc::clone(&state), cursor);
        }
        drop(order);
        self.grain.flush().await?;
        Ok(cursor)
    }

    /// The points nearest to a query's vector, nearest first.
    pub(crate) fn search(&self, query: &Query) -> Result<Found<Vec<Hit>>, Refused> {
        let (state, cursor) = self.now();
        let what = state.search(query)?;
        Ok(Found { what, cursor })
    }

    /// How many points a collection has.
    pub(crate) fn count(&self, collection: &str) -> Result<Found<u64>, Refused> {
        let (state, cursor) = self.now();
        let what = state.find(collection)?.points.len() as u64;
        Ok(Found { what, cursor })
    }

    /// What it holds, and the last Delta of that.
    pub(crate) fn now(&self) -> (Arc<Collections>, Cursor) {
        self.now.lock().clone()
    }

    /// Ends orderly. Everything that [`Self::write`] answered is durable without it, too.
    pub(crate) async fn close(self) -> Result<(), PublishError> {
        self.publisher.shutdown().await
    }
}

/// A copy of a database, and operations applied to it.
fn apply<'a>(
    state: &Collections,
    operations: impl IntoIterator<Item = &'a Operation>,
) -> Result<Collections, Refused> {
    let mut next = state.clone();
    for operation in operations {
        next.apply(operation.clone())?;
    }
    Ok(next)
}

/// Cuts operations into lists that make a Delta each.
fn parts(operations: Vec<Operation>) -> Vec<Vec<Operation>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut bytes = 0;
    for operation in operations {
        let size = match &operation {
            Operation::Upsert { id, point, .. } => Bincoded.size_of_point(id, point),
            _ => 0,
        };
        if bytes + size > DELTA_BYTES && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += size;
        part.push(operation);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The database that a log holds, and the cursor of it; none without entries or after a Tombstone.
async fn read(
    log: &dyn ReplicationLog,
    grain: &GrainId,
) -> Result<(Option<Collections>, Cursor), OpenError> {
    let (mut state, mut cursor) = (None, Cursor::ZERO);
    loop {
        let wants = [(grain.clone(), cursor)];
        let caught = log.catch_up(&wants, Budget::UNBOUNDED).await?;
        let run = match caught.grains.into_iter().next() {
            Some(Caught::Run(run)) => run,
            Some(Caught::Failed(error)) => return Err(error.into()),
            // Neither comes of a budget without a bound.
            Some(Caught::Deferred) | None => {
                let error = Error::transient("collections", "the log did not answer for the grain");
                return Err(error.into());
            }
        };
        for entry in &run.entries {
            state = after(state, entry)?;
            cursor = entry.cursor();
        }
        if run.complete {
            let whole = state.map(|state| Bincoded.whole(&state)).transpose()?;
            return Ok((whole, cursor));
        }
    }
}

/// A `FullState`'s bytes after one more entry.
fn after(
    state: Option<bytes::Bytes>,
    entry: &Entry,
) -> Result<Option<bytes::Bytes>, gleaner::FoldError> {
    match (entry.kind(), state) {
        (Kind::Tombstone, _) => Ok(None),
        (Kind::FullState, _) => Ok(Some(entry.payload().clone())),
        (Kind::Delta, Some(state)) => Ok(Some(Bincoded.fold(entry.grain(), &state, entry)?)),
        (Kind::Delta, None) => Err(gleaner::FoldError::new("a delta without a state before it")),
    }
}
