//! [`ReplicationLog`]: where a grain's owner writes, and clauses L1 to L12.

use async_trait::async_trait;

use crate::{
    Budget, CatchUp, ChangeFeed, Cursor, Entry, Epoch, Error, Filter, GrainId, Head, Identity,
    Limits, Result, Sequence, Writer, catch_up,
};

/// What became of one grain's entries in a batch (L3).
#[derive(Debug, Clone)]
pub struct Appended {
    /// Whose.
    pub grain: GrainId,
    /// How many of the grain's entries in the batch, in order, are in the log now.
    pub landed: usize,
    /// The head after them, or why the entry behind the landed ones was not written.
    pub result: Result<Head>,
}

/// A wish to own a grain from an epoch on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which grain.
    pub grain: GrainId,
    /// The epoch wanted.
    pub epoch: Epoch,
    /// Who wants it.
    pub writer: Writer,
}

/// A page of a grain's history.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In ascending order.
    pub entries: Vec<Entry>,
    /// Whether there are more behind the last.
    pub more: bool,
}

/// A page of heads.
#[derive(Debug, Clone)]
pub struct HeadPage {
    /// The log they were read from.
    pub identity: Identity,
    /// In byte order of type, then key.
    pub heads: Vec<(GrainId, Head)>,
    /// Where the next page begins, strictly after; it may name a grain that is not in the filter.
    /// None at the end, and only this means the end: a page may be empty.
    pub next: Option<GrainId>,
}

/// What a truncation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    /// How many entries were removed.
    pub removed: u64,
    /// Below it history is gone; `ZERO` if none ever was.
    pub floor: Cursor,
}

/// A log of the entries of many grains, written by each grain's owner and read by its replicas.
///
/// # Contract
/// - **L1** A grain's sequence strictly rises and its epoch never falls; no number is restarted or
///   reused.
/// - **L2** Append, atomically. (1) to (3) decide, the first that applies; else the entry is written
///   iff it meets each of (4) to (6) that concerns it. A missing fence counts as epoch 0, a missing
///   head as `(0, 0)`.
///   1. over a limit, a number zero or above 2^53 - 1, a Tombstone with a payload: `Invalid`;
///   2. epoch below the fence's, or equal with another writer: `Fenced`;
///   3. the head has this cursor and digest: Ok, nothing written (a retry);
///   4. epoch above the head's: not a Delta; if also above the fence's, the sequence is the head's
///      plus one (any from 1 without a head) and the fence moves to `(epoch, writer)`;
///   5. a Delta: the head exists, is no Tombstone, is one below, and its digest is `prev`;
///   6. a `FullState` or `Tombstone`: one to 2^32 above the head's sequence; any from 1 without a head;
///   7. one not met: `Conflict`.
///
///   An error writes nothing. [`append::judge`](crate::append::judge) is this clause as a function.
/// - **L3** Of a batch, each grain's entries land as an ordered prefix, answered per grain; a retry
///   resumes behind the entry equal to the head. Grains are independent.
/// - **L4** A claim is Ok iff its epoch is above the fence's or `(epoch, writer)` is the fence; else
///   `Fenced`. After it no lower epoch is accepted. Head, feed and replicas do not change. It works on
///   a grain without entries.
/// - **L5** A visible entry stays readable or falls below the floor, for good; nothing below a visible
///   entry appears later.
/// - **L6** `read_from` is ascending, strictly after, within the budget but at least one if there is
///   one, `more` truthful. `after` below the floor and not `ZERO`: `Truncated`. Unknown grain: empty.
/// - **L7** `truncate` removes only what lies below the newest base at or below `before`. What is left
///   starts with a base. Head, fence and floor stay, for dead grains too. No server-side limit may do
///   otherwise.
/// - **L8** `catch_up`: the run starts at the base if the base is above the cursor, else follows the
///   cursor; it is cut at an entry boundary and never to nothing; each Delta follows its predecessor;
///   never `Truncated`. A grain of `FullState`s alone costs one entry, whatever the backlog.
/// - **L9** A read sees every append acknowledged before it began. A log on an asynchronous copy says
///   `confirms() = false`, and nothing read from it confirms an age.
/// - **L10** An Ok append or claim survives what the backend's README says; server settings that break
///   it are refused or said when it is opened.
/// - **L11** `identity` changes when the log is another, or its history may have forked. Answers that
///   replicas are built from carry the identity that they were read under.
/// - **L12** `limits` gives the largest payload and batch.
#[async_trait]
pub trait ReplicationLog: Send + Sync + 'static {
    /// Appends entries of one or many grains; one answer a grain, in the order of each grain's first
    /// entry in the batch.
    ///
    /// # Contract
    /// L1, L2, L3, L10.
    ///
    /// # Errors
    /// Per grain: `Invalid`, `Fenced`, `Conflict`, `Permanent`; the entries counted by `landed` are in
    /// the log nevertheless. Of the whole call: `Invalid` (over a batch limit) and `Transient`: nothing
    /// was written; `Unknown`: any ordered prefix per grain may have been.
    ///
    /// # Cancel safety
    /// As `Unknown`: the same entries again resume where it got to.
    ///
    /// # Cost
    /// One round trip, one transaction where there are transactions.
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>>;

    /// Claims grains for writers; each answer is the grain's head, or none without entries.
    ///
    /// # Contract
    /// L4, L10. In the order asked for.
    ///
    /// # Errors
    /// Per grain: `Fenced` (this is how a publisher learns the fence), `Invalid`. Of the whole call:
    /// `Transient`: no claim was made; `Unknown`: some may have been.
    ///
    /// # Cancel safety
    /// As `Unknown`: the same claims again are answered alike.
    ///
    /// # Cost
    /// One round trip.
    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>>;

    /// The heads of grains, in the order asked for; none for one without entries.
    ///
    /// # Contract
    /// L9.
    ///
    /// # Errors
    /// `Transient`, `Permanent`. `Permanent` that names a grain is about its head alone, which cannot be
    /// read: a follower's sweep asks for the others without it.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip.
    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>>;

    /// A page of the heads of all grains in a filter, dead ones included, and of no others, in byte
    /// order of type, then key, strictly after `after`; at most `limit`. It may hold fewer, even none,
    /// with more to come: a backend passes over no more than some thousand other grains a page.
    ///
    /// # Contract
    /// L9, L11. Pages are not of one moment. `next` lies beyond `after`.
    ///
    /// # Errors
    /// `Transient`, `Permanent`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip; what is looked at lies in the range of type and key prefix, where the backend
    /// keeps grains in order.
    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage>;

    /// The entries of a grain strictly after a cursor; from `ZERO`, all that are left.
    ///
    /// # Contract
    /// L5, L6, L9.
    ///
    /// # Errors
    /// `Truncated` if `after` lies below the floor and is not `ZERO`; `Permanent` if the first entry is
    /// damaged or of an unknown kind (a later one cuts the page); `Transient`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip.
    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page>;

    /// Removes history below the newest base at or below `before`.
    ///
    /// # Contract
    /// L7.
    ///
    /// # Errors
    /// `Transient`, `Unknown`, `Permanent`.
    ///
    /// # Cancel safety
    /// Before or after; the same call again is harmless.
    ///
    /// # Cost
    /// One round trip.
    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation>;

    /// The largest payload and batch (L12).
    fn limits(&self) -> Limits;

    /// Which log and history this is now.
    ///
    /// # Contract
    /// L11.
    ///
    /// # Errors
    /// `Transient`, `Permanent`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// At most one round trip.
    async fn identity(&self) -> Result<Identity>;

    /// Whether what is read here confirms an age: false on an asynchronous copy (L9).
    fn confirms(&self) -> bool;

    /// Appends one entry; the head after it.
    ///
    /// # Contract
    /// L2.
    ///
    /// # Errors
    /// As the grain's in [`Self::append_batch`], and the call's.
    ///
    /// # Cancel safety
    /// As `Unknown`: the same entry again.
    ///
    /// # Cost
    /// One round trip.
    async fn append(&self, entry: Entry) -> Result<Head> {
        match self
            .append_batch(std::slice::from_ref(&entry))
            .await?
            .into_iter()
            .next()
        {
            Some(appended) => appended.result,
            None => Err(Error::unknown("log", "the batch was answered for no grain")
                .at(entry.grain(), entry.cursor())),
        }
    }

    /// The newest sequence of a grain; `ZERO` without entries.
    ///
    /// # Errors
    /// As [`Self::heads`].
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip.
    async fn latest_sequence(&self, grain: &GrainId) -> Result<Sequence> {
        let heads = self.heads(std::slice::from_ref(grain)).await?;
        Ok(heads
            .into_iter()
            .flatten()
            .next()
            .map_or(Sequence::ZERO, |head| head.cursor.sequence))
    }

    /// What brings replicas from their cursors to the heads, in the order asked for.
    ///
    /// # Contract
    /// L8, L9, L11. The budget is shared by all grains; the first one that moved is always served,
    /// the rest as far as it lasts, and the others are `Deferred`. The head of an answer is of the
    /// moment of its run.
    ///
    /// # Errors
    /// Per grain: [`Caught::Failed`](crate::Caught::Failed). Of the whole call: `Transient`,
    /// `Permanent`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip in a backend that overrides it; as provided, one for all heads and one to three
    /// a grain that moved.
    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        catch_up::provided(self, wants, budget).await
    }

    /// The feed of this log, if it has one. A log without is followed by listing and `catch_up`.
    fn feed(&self) -> Option<&dyn ChangeFeed> {
        None
    }
}
