//! [`Contender`]: what our log and the plain client both do.

use async_trait::async_trait;
use bytes::Bytes;
use gleaner::{Claim, Cursor, Entry, Epoch, GrainId, Writer};

use crate::Outcome;
use crate::versus::logs::entry;

/// How many names a page of the feed has at most: what a follower asks for.
pub(crate) const NAMES: usize = 1_024;

/// How much is written at once while filling.
const CHUNK: usize = 1_000;

/// A log, or a client that does by hand what a log does. An append that is not accepted is an error.
#[async_trait]
pub(crate) trait Contender: Send + Sync + 'static {
    /// A place in the feed.
    type Place: Clone + Send + Sync;

    /// Claims grains that nobody has claimed yet.
    async fn claim(&self, claims: &[Claim]) -> Outcome<()>;

    /// Appends one entry; `task` says for whom, so that each task can have a connection.
    async fn append(&self, task: usize, entry: Entry) -> Outcome<()>;

    /// Appends entries of as many grains.
    async fn append_batch(&self, entries: &[Entry]) -> Outcome<()>;

    /// The newest state of each grain that is behind its head, and its cursor.
    async fn catch_up(&self, wants: &[(GrainId, Cursor)]) -> Outcome<Vec<(Cursor, Bytes)>>;

    /// The end of the feed.
    async fn end(&self) -> Outcome<Self::Place>;

    /// The next page of grains that have moved since a place, of one type: with their heads' cursors.
    /// Moves the place; whether that is the end.
    async fn page(
        &self,
        since: &mut Self::Place,
        moved: &mut Vec<(GrainId, Cursor)>,
    ) -> Outcome<bool>;
}

/// Claims grains, as a publisher does, and gives each its first state.
pub(crate) async fn begin_grains<C: Contender>(
    contender: &C,
    ids: &[GrainId],
    bytes: usize,
) -> Outcome<()> {
    for chunk in ids.chunks(CHUNK) {
        let claims: Vec<_> = chunk
            .iter()
            .map(|grain| Claim {
                grain: grain.clone(),
                epoch: Epoch::new(1),
                writer: Writer::new(1),
            })
            .collect();
        contender.claim(&claims).await?;
    }
    append_states(contender, ids.iter(), 1, bytes).await
}

/// Gives each of some grains its state of a number.
pub(crate) async fn append_states<C: Contender>(
    contender: &C,
    grains: impl Iterator<Item = &GrainId> + Send,
    sequence: u64,
    bytes: usize,
) -> Outcome<()> {
    let entries: Vec<_> = grains.map(|grain| entry(grain, sequence, bytes)).collect();
    for chunk in entries.chunks(CHUNK) {
        contender.append_batch(chunk).await?;
    }
    Ok(())
}
