//! The words and the contracts of Gleaner.
//!
//! A cluster that owns a grain appends [`Entry`]s to a [`ReplicationLog`]; other clusters bring a
//! [`ReplicaStore`] to the newest state, woken by a [`ChangeFeed`] where the log has one. This crate
//! owns those words, the numbered clauses that every log, feed and store is held to, and the pure
//! rules that decide them ([`judge`](append::judge), [`advance`](replica::advance)). It does no I/O,
//! reads no clock and knows no backend.
//!
//! ```text
//! ReplicationLog (L1-L12)      ChangeFeed (F1-F5)            ReplicaStore (S1-S9)
//!   append, claim                start, changes, wait          apply, rebase, remove
//!   heads, list_heads            pushed                        get, cursor, list
//!   read_from, catch_up                                        peek, handle
//!   truncate
//! ```

pub mod append;
mod budget;
mod catch_up;
pub mod codec;
mod cursor;
mod digest;
mod entry;
mod error;
mod feed;
mod filter;
mod fold;
mod grain;
mod head;
mod identity;
mod limits;
mod log;
mod names;
#[cfg(gleaner_plant)]
pub mod plant;
pub mod replica;
mod slice;
mod slice_set;
mod store;

pub use budget::Budget;
pub use catch_up::{CatchUp, Caught, Run, run_after};
pub use codec::{Bincode, Codec, CodecError, Raw};
pub use cursor::{Cursor, Epoch, Sequence};
pub use digest::Digest;
pub use entry::{
    DigestMismatch, Draft, Entry, Kind, Schema, Source, UnixMillis, UnknownKind, Writer,
};
pub use error::{Error, ErrorKind, Result};
pub use feed::{ChangeFeed, Changes, Moved, Position, Pushed, PushedRun};
pub use filter::{Filter, InvalidShare};
pub use fold::{Fold, FoldError};
pub use grain::{GrainId, InvalidGrain};
pub use head::{Fence, Head};
pub use identity::{Identity, LogId};
pub use limits::Limits;
pub use log::{Appended, Claim, HeadPage, Page, ReplicationLog, Truncation};
pub use names::Names;
pub use replica::{Generation, Mark, RawState, Replica, ReplicaSlot, Stamp};
pub use slice::Slice;
pub use slice_set::SliceSet;
pub use store::{
    Advance, Binding, Expected, Outcome, Rebase, ReplicaHandle, ReplicaPage, ReplicaPlaces,
    ReplicaStore, Stop, StopReason,
};
