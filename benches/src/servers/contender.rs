//! [`Contender`]: what our log and the plain client both do.

use async_trait::async_trait;
use bytes::Bytes;
use gleaner::{Cursor, Entry, GrainId};

use crate::Outcome;

/// How many names a page of the feed has at most: what a follower asks for.
pub(crate) const NAMES: usize = 1_024;

/// A log, or a client that does by hand what a log does. An append that is not accepted is an error.
#[async_trait]
pub(crate) trait Contender: Send + Sync + 'static {
    /// A place in the feed.
    type Place: Clone + Send + Sync;

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
