//! [`ReplicaStore`]: where replicas live, and clauses S1 to S9.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    Cursor, Entry, Filter, FoldError, Generation, GrainId, LogId, Mark, Replica, Result, Schema,
};

/// A run to be applied to one grain's replica.
#[derive(Debug, Clone)]
pub struct Advance {
    /// Whose.
    pub grain: GrainId,
    /// The generation that was loaded; another in the store means that the run is too late (S8).
    pub generation: Generation,
    /// Entries of this grain in ascending order.
    pub entries: Vec<Entry>,
}

/// A run that takes a replica's place, whatever its cursor.
#[derive(Debug, Clone)]
pub struct Rebase {
    /// Whose.
    pub grain: GrainId,
    /// What the store must hold for this to happen.
    pub expected: Expected,
    /// A base, then the Deltas that follow it.
    pub entries: Vec<Entry>,
}

/// What a compare-and-set expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The replica's cursor; `ZERO` for one that the store does not have.
    pub cursor: Cursor,
    /// Its generation.
    pub generation: Generation,
}

impl From<&Mark> for Expected {
    fn from(mark: &Mark) -> Self {
        Self {
            cursor: mark.cursor,
            generation: mark.generation,
        }
    }
}

/// What became of one grain's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Where the replica stands now.
    pub mark: Mark,
    /// How many entries moved it.
    pub applied: usize,
    /// Why the rest was not applied; none if all was, or lay at or below the cursor.
    pub stop: Option<Stop>,
}

impl Outcome {
    /// Of a run of which nothing was applied: stopped at its first entry, or where the replica stands
    /// if it has none.
    pub fn unmoved(mark: Mark, entries: &[Entry], why: StopReason) -> Self {
        let at = entries.first().map_or(mark.cursor, Entry::cursor);
        Self {
            mark,
            applied: 0,
            stop: Some(Stop { at, why }),
        }
    }
}

/// Where and why a run stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The entry that was not applied.
    pub at: Cursor,
    /// Why.
    pub why: StopReason,
}

/// Why an entry was not applied. The replica keeps what it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// A Delta that does not fit (S3).
    #[error("the delta does not follow the replica")]
    Gap,
    /// The replica has another generation, or (rebase, remove) another cursor (S8).
    #[error("the replica has moved")]
    Moved,
    /// The run comes from a log to which store or replica do not belong (S9).
    #[error("the replica belongs to another log")]
    ForeignLog,
    /// The fold refused or panicked.
    #[error("the fold failed: {0}")]
    Fold(FoldError),
    /// A Delta, and the store has no fold.
    #[error("a delta, and the store has no fold")]
    NoFold,
    /// A schema above what the fold understands.
    #[error("schema {schema} is newer than {newest}, the newest that the fold understands")]
    Schema {
        /// The entry's.
        schema: Schema,
        /// The fold's.
        newest: Schema,
    },
    /// A state above the store's bound.
    #[error("a state of {size} bytes is over the store's limit of {limit}")]
    TooLarge {
        /// Of the state.
        size: usize,
        /// Of the store.
        limit: usize,
    },
    /// The run of a rebase does not start with a base.
    #[error("a rebase must start with a whole state or a tombstone")]
    NoBase,
}

/// What [`ReplicaStore::bind`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binding {
    /// The store now belongs, or already belonged, to the log asked for.
    Bound,
    /// It belongs to another; nothing has changed.
    Foreign {
        /// To which.
        log: LogId,
    },
}

/// A page of a store's replicas.
#[derive(Debug, Clone, Default)]
pub struct ReplicaPage {
    /// In byte order of type, then key.
    pub replicas: Vec<(GrainId, Replica)>,
    /// Where the next page begins, strictly after; it may name a grain that is not in the filter.
    /// None at the end, and only this means the end: a page may be empty.
    pub next: Option<GrainId>,
}

/// The resident grains' places in a store, by numbers that the store gives out with its handles.
pub trait ReplicaPlaces: Send + Sync + 'static {
    /// The replica of this moment, or none before the first and after a removal. Never blocks;
    /// copies no payload.
    fn load(&self, place: u64) -> Option<Replica>;

    /// A handle is dropped: called once for each that was given out.
    fn release(&self, _place: u64) {}
}

/// A lasting way to one grain's resident replica: loads it without a map in between.
pub struct ReplicaHandle {
    places: Arc<dyn ReplicaPlaces>,
    place: u64,
}

impl ReplicaHandle {
    /// For stores: a handle of a place, which is released when the handle is dropped.
    pub fn new(places: Arc<dyn ReplicaPlaces>, place: u64) -> Self {
        Self { places, place }
    }

    /// The replica of this moment, or none before the first and after a removal. Never blocks;
    /// copies no payload.
    pub fn load(&self) -> Option<Replica> {
        self.places.load(self.place)
    }
}

impl Drop for ReplicaHandle {
    fn drop(&mut self) {
        self.places.release(self.place);
    }
}

impl fmt::Debug for ReplicaHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaHandle")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// Holds the replicas of many grains, each a row of state, cursor, digest and generation.
///
/// # Contract
/// - **S1** State, cursor and digest change together, per grain, at entry boundaries.
/// - **S2** Entries at or below the cursor change nothing.
/// - **S3** A Delta that does not fit is a `Gap` and changes nothing; checked in the same transaction.
/// - **S4** A reader gets state and cursor of one moment, and the former state whole until the new
///   one is.
/// - **S5** After a crash, an error or a dropped call a durable store is before or after, at an entry
///   boundary. The caller loads the cursor to learn which.
/// - **S6** A `FullState` replaces everything. A `Tombstone` removes the state and keeps the cursor.
///   Only a `Tombstone`, `remove` or `prune` removes.
/// - **S7** Each grain has its own result; a failing or panicking fold and an oversized grain touch
///   no neighbour. An error of the whole call means unknown for all.
/// - **S8** Only `rebase` and `remove` (and `prune`) lower a cursor: by compare-and-set, and with the
///   generation raised. An apply of an older generation changes nothing.
/// - **S9** The store remembers the log it is bound to, and each replica the log it was read from.
///   Under another, apply answers `ForeignLog` and changes nothing; a replica changes its log by
///   `rebase` alone.
///
/// The generation of a grain that the store does not have is the store's own; it is raised above that
/// of every replica removed, so that a late apply cannot bring one back.
///
/// A store that keeps states as bytes applies entries by [`advance`](crate::replica::advance); an
/// engine may apply operations itself, under the same clauses.
#[async_trait]
pub trait ReplicaStore: Send + Sync + 'static {
    /// Binds the store to a log, once: before the first apply.
    ///
    /// # Contract
    /// S9. A store that is bound to none is bound now. One that is bound to another changes only if
    /// `replacing` names that other; its replicas keep their log and stay foreign until rebased.
    ///
    /// # Errors
    /// `Transient`, `Unknown`, `Permanent`; a binding that is not given is no error but
    /// [`Binding::Foreign`].
    ///
    /// # Cancel safety
    /// Bound or not; the same call again tells.
    ///
    /// # Cost
    /// One round trip.
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding>;

    /// Applies runs that were read from `log`, of many grains, each grain at most once.
    ///
    /// # Contract
    /// S1, S2, S3, S5, S6, S7, S8, S9. One outcome a run, in the order of the runs. A run stops at
    /// the first entry that cannot be applied; what preceded it is kept.
    ///
    /// # Errors
    /// Of the whole call: unknown for all, whatever the kind.
    ///
    /// # Cancel safety
    /// Each grain is before or after, at an entry boundary; load the cursor.
    ///
    /// # Cost
    /// One round trip, one transaction where there are transactions.
    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>>;

    /// Puts base..head of `log` in a replica's place as one step, whatever its cursor.
    ///
    /// # Contract
    /// S1, S5, S8, S9: iff the store is bound to `log` (else `ForeignLog`) and the replica's cursor
    /// and generation are the expected ones (else `Moved`). All of the run or nothing. The
    /// generation is raised and the replica then belongs to `log`.
    ///
    /// # Errors
    /// Unknown whether it happened, whatever the kind.
    ///
    /// # Cancel safety
    /// Before or after; load the cursor.
    ///
    /// # Cost
    /// One round trip.
    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome>;

    /// Removes one replica whole, cursor and all, iff cursor and generation are the expected ones;
    /// whether it did.
    ///
    /// # Contract
    /// S6, S8. A grain that the store does not have is not removed: false.
    ///
    /// # Errors
    /// Unknown whether it happened.
    ///
    /// # Cancel safety
    /// Before or after; load the cursor.
    ///
    /// # Cost
    /// One round trip.
    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool>;

    /// Removes replicas whole, whatever their cursor, and says how many there were. The caller
    /// vouches for it: a replica may be the last copy.
    ///
    /// # Contract
    /// S6, S8: generations are raised as by `remove`.
    ///
    /// # Errors
    /// Unknown how far it got; the same call again goes on.
    ///
    /// # Cancel safety
    /// Some, all or none are removed; the same call again goes on.
    ///
    /// # Cost
    /// One round trip.
    async fn prune(&self, grains: &[GrainId]) -> Result<u64>;

    /// The replica of this moment, or none.
    ///
    /// # Contract
    /// S4.
    ///
    /// # Errors
    /// `Transient` or `Permanent`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// None for a resident replica, else one round trip.
    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>>;

    /// Where each replica stands, in the order asked for; [`Mark::absent`] for one that the store
    /// does not have. A store whose replicas are resident makes these so.
    ///
    /// # Contract
    /// S4, S5: what it answers is what a crash would leave.
    ///
    /// # Errors
    /// `Transient` or `Permanent`. `Permanent` that names a grain is about its replica alone, which cannot
    /// be read: a follower asks for the others without it.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip.
    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>>;

    /// A page of the replicas in the filter, and of no others, in byte order of type, then key,
    /// strictly after `after`; at most `limit`. It may hold fewer, even none, with more to come: a
    /// store passes over no more than some thousand others a page.
    ///
    /// # Contract
    /// S4 for each; pages are not of one moment. `next` lies beyond `after`.
    ///
    /// # Errors
    /// `Transient` or `Permanent`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip.
    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage>;

    /// Whether replicas are resident: `peek` and `handle` serve every grain whose cursor was asked
    /// for or that was applied to since the store was opened.
    fn is_resident(&self) -> bool;

    /// The resident replica of this moment. Synchronous, never blocks on I/O, clones no payload.
    ///
    /// # Contract
    /// S4.
    fn peek(&self, grain: &GrainId) -> Option<Replica>;

    /// A lasting way to one grain's resident replica; may be taken before there is one. None if
    /// replicas are not resident.
    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle>;
}
