//! [`ReplicationConsumer`]: exactly one grain, its own poll interval.

use std::sync::Arc;

use gleaner_core::{Bincode, Codec, GrainId, Raw, RawState, ReplicaStore, ReplicationLog};
use serde::de::DeserializeOwned;

use crate::changes::ChangeStream;
use crate::control::GrainControl;
use crate::counts::Progress;
use crate::follower::{CaughtUp, FollowError, Follower};
use crate::reader::GrainReader;
use crate::settings::{Settings, setters};

/// Follows one grain: the simplest use. The grain is polled by itself, one query an interval; to follow
/// many, or to be woken by the log's hints, use a [`Follower`].
///
/// Dropping it ends it at once; [`Self::shutdown`] drains.
#[derive(Debug)]
pub struct ReplicationConsumer {
    follower: Follower,
    grain: GrainId,
}

impl ReplicationConsumer {
    /// Begins to describe a consumer of `grain` from `log` into `store`.
    pub fn builder(
        log: Arc<dyn ReplicationLog>,
        store: Arc<dyn ReplicaStore>,
        grain: GrainId,
    ) -> ConsumerBuilder {
        let settings = Settings {
            feed: false,
            hints: false,
            alone: true,
            ..Settings::default()
        };
        ConsumerBuilder {
            log,
            store,
            grain,
            settings,
        }
    }

    /// Returns when the grain has been compared with the log once.
    ///
    /// # Errors
    /// As [`Follower::ready`].
    ///
    /// # Cancel safety
    /// Waits only.
    pub async fn ready(&self) -> Result<(), FollowError> {
        self.follower.ready().await
    }

    /// Returns when the replica has been proved in step at the moment of the call or later.
    ///
    /// # Errors
    /// As [`Follower::caught_up`].
    ///
    /// # Cancel safety
    /// Waits only.
    pub async fn caught_up(&self) -> Result<CaughtUp, FollowError> {
        self.follower.caught_up().await
    }

    /// A reader of the grain's state in the default codec.
    pub fn reader<T: serde::Serialize + DeserializeOwned>(&self) -> GrainReader<T> {
        self.reader_with(Bincode)
    }

    /// A reader of the grain's state as bytes.
    pub fn raw_reader(&self) -> GrainReader<RawState, Raw> {
        self.reader_with(Raw)
    }

    /// A reader of the grain's state in your own codec.
    pub fn reader_with<T, C: Codec<T>>(&self, codec: C) -> GrainReader<T, C> {
        self.follower.reader_of(&self.grain, codec)
    }

    /// A control handle to the grain.
    pub fn control(&self) -> GrainControl {
        self.follower.control(self.grain.clone())
    }

    /// A stream that yields whenever the replica has moved.
    pub fn changes(&self) -> ChangeStream {
        self.follower.changes()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.follower.progress()
    }

    /// Tells the `metrics` facade how it stands now; as [`Follower::sample`].
    #[cfg(feature = "metrics")]
    pub fn sample(&self) {
        self.follower.sample();
    }

    /// Ends it, as [`Follower::shutdown`].
    ///
    /// # Cancel safety
    /// It ends all the same.
    pub async fn shutdown(&self) {
        self.follower.shutdown().await;
    }
}

/// Describes a [`ReplicationConsumer`]; defaults are those of [`Settings`].
#[must_use = "nothing is followed until spawn"]
pub struct ConsumerBuilder {
    log: Arc<dyn ReplicationLog>,
    store: Arc<dyn ReplicaStore>,
    grain: GrainId,
    settings: Settings,
}

impl std::fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("grain", &self.grain)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl ConsumerBuilder {
    setters!();

    /// Starts the consumer on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn spawn(self) -> ReplicationConsumer {
        let Self {
            log,
            store,
            grain,
            settings,
        } = self;
        let follower = Follower::start(log, store, settings, Some(grain.clone()));
        ReplicationConsumer { follower, grain }
    }
}
