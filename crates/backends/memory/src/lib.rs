//! Gleaner in memory: the plainest reading of the contracts.
//!
//! Owns [`MemoryLog`], a log with a change feed and wake-ups, and [`MemoryReplicaStore`], the store
//! that most followers keep their replicas in. Both end with the process; what that means for each
//! clause stands in this crate's README. It knows no other backend, no publisher and no follower.
//!
//! ```
//! use gleaner_core::{Cursor, Draft, GrainId, ReplicationLog, Writer};
//! use gleaner_memory::MemoryLog;
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let log = MemoryLog::new();
//! let plane = GrainId::new("aircraft", "N14228")?;
//! let entry = Draft::full(plane.clone(), Cursor::new(1, 1), Writer::new(7), "at the gate").seal();
//! let head = log.append(entry).await?;
//! assert_eq!(log.heads(&[plane]).await?, [Some(head)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod feed;
mod grains;
mod history;
mod log;
mod places;
mod slots;
mod store;
mod sync;

pub use log::MemoryLog;
pub use store::MemoryReplicaStore;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The name that errors carry.
const BACKEND: &str = "memory";

/// How many grains outside its filter a call passes over before it answers with what it has, so that
/// a filter which few grains pass does not hold a lock for all the others: 4,096 take well under a
/// millisecond.
const SCAN: usize = 4096;
