//! The secondary's side of Gleaner: follow grains of a log, keep their replicas at the newest state,
//! and read them knowing how old they are.
//!
//! [`Follower`] runs many poll-and-apply actors over one log and one store; [`ReplicationConsumer`]
//! runs one. What an actor decides is in `gleaner-actor`; this crate performs it (`driver`) and serves
//! reads past the actors ([`Reader`], [`GrainReader`]). It knows no backend.
//!
//! ```text
//! log.changes / log.catch_up -> driver -> GrainActor decides -> store.apply -> Reader
//!                                 |                                             ^
//!                                 +--- GrainCell: pending, confirmed at --------+
//! ```
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use gleaner_consumer::{ReadOptions, ReplicationConsumer};
//! use gleaner_core::{Codec, Bincode, Cursor, Draft, GrainId, ReplicationLog, Writer};
//! use gleaner_memory::{MemoryLog, MemoryReplicaStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (log, store) = (Arc::new(MemoryLog::new()), Arc::new(MemoryReplicaStore::new()));
//! let id = GrainId::new("aircraft", "N14228")?;
//! let state = Bincode::<1024>.encode(&"at the gate".to_owned())?;
//! log.append(Draft::full(id.clone(), Cursor::new(1, 1), Writer::new(7), state).seal()).await?;
//!
//! let one = ReplicationConsumer::builder(log, store, id)
//!     .poll_interval(Duration::from_millis(100))
//!     .spawn();
//! one.ready().await?;
//! let seen = one.reader::<String>().get(ReadOptions::max_age(Duration::from_secs(5)))?;
//! assert_eq!(seen.state, "at the gate");
//! one.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod bootstrap;
mod cell;
mod changes;
mod clock;
mod consumer;
mod control;
mod counts;
mod directory;
mod driver;
mod feeds;
mod follower;
#[cfg(feature = "metrics")]
mod metrics;
mod patience;
mod reach;
mod read;
mod reader;
mod settings;
mod shared;
mod stirred;
mod survey;
mod sync;
mod watch;

pub use bootstrap::Bootstrap;
pub use changes::ChangeStream;
pub use clock::{Clock, Reading, SystemClock};
pub use consumer::{ConsumerBuilder, ReplicationConsumer};
pub use control::{ControlError, GrainControl};
pub use counts::Progress;
pub use follower::{CaughtUp, FollowError, Follower, FollowerBuilder};
pub use gleaner_actor::{Health, Moment, Refusal};
pub use read::{Answer, ReadError, ReadOptions};
pub use reader::{GrainReader, RawReader, Reader};
pub use settings::Settings;
pub use watch::GrainWatch;
