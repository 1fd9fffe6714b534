//! Gleaner keeps read replicas of grains (virtual actors, keyed entities) on other clusters than the
//! one that owns them, and says truthfully how old they are.
//!
//! The owner publishes a grain's state to a [`ReplicationLog`] after each turn; each other cluster
//! follows the log and keeps a [`ReplicaStore`] at the newest state, which it reads locally. This crate
//! is what an application depends on: features choose the backends, [`open`] and [`open_store`] open
//! them by URL, and the rest is re-exported from the crates that own it. With the feature `metrics` a
//! [`Follower`] tells its numbers through the facade of that name.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use gleaner::{Filter, Follower, GrainId, Publisher, ReadOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = |name| dir.path().join(name).display().to_string();
//! // The cluster that owns the grain.
//! let log = gleaner::open(&format!("sqlite:{}", path("grains.db"))).await?;
//! let publisher = Publisher::builder(log).source("eu-west").spawn();
//! let plane = publisher.grain("aircraft", "N14228").await?;
//! let cursor = plane.publish(&"over the Atlantic".to_owned()).await?;
//!
//! // Another cluster.
//! let log = gleaner::open(&format!("sqlite:{}", path("grains.db"))).await?;
//! let store = gleaner::open_store(&format!("sqlite:{}", path("replicas.db")), None).await?;
//! let follower = Follower::builder(log, store).poll_interval(Duration::from_millis(100)).spawn();
//! follower.follow_all(Filter::grain_type("aircraft")).await?;
//! let options = ReadOptions::at_least(cursor).wait(Duration::from_secs(5));
//! let id = GrainId::new("aircraft", "N14228")?;
//! let seen = follower.reader::<String>().get_when(&id, options).await?;
//! assert_eq!(seen.state, "over the Atlantic");
//! # follower.shutdown().await;
//! # publisher.shutdown().await?;
//! # Ok(())
//! # }
//! ```

mod open;
mod redacted;

pub use gleaner_consumer::{
    Answer, Bootstrap, CaughtUp, ChangeStream, Clock, ConsumerBuilder, ControlError, FollowError,
    Follower, FollowerBuilder, GrainControl, GrainReader, GrainWatch, Health, Moment, Progress,
    RawReader, ReadError, ReadOptions, Reader, Reading, Refusal, ReplicationConsumer, Settings,
    SystemClock,
};
pub use gleaner_core::*;
pub use gleaner_publisher::*;
pub use open::{OpenError, open, open_store};
pub use redacted::redacted;

/// The log and store in memory.
#[cfg(feature = "memory")]
pub mod memory {
    pub use gleaner_memory::*;
}

/// The log and store in SQLite files.
#[cfg(feature = "sqlite")]
pub mod sqlite {
    pub use gleaner_sqlite::*;
}

/// A leader's log over the network, and the leader.
#[cfg(feature = "grpc")]
pub mod grpc {
    pub use gleaner_grpc::*;
}

/// The log and store in a PostgreSQL database.
#[cfg(feature = "postgres")]
pub mod postgres {
    pub use gleaner_postgres::*;
}
