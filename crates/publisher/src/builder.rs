//! [`PublisherBuilder`]: how a publisher is set up.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gleaner_core::{ReplicationLog, Schema, Source, Writer};

use crate::backoff::Backoff;
use crate::compaction::Compaction;
use crate::publisher::Publisher;

/// When states are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As soon as there is something to send. While calls are under way, states gather.
    #[default]
    Immediate,
    /// All that gathered, at most once in this time; the first after a pause at once. A flush, and a
    /// publisher that is full, do not wait for it.
    Batched(Duration),
}

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) source: Source,
    pub(crate) schema: Schema,
    pub(crate) mode: Mode,
    pub(crate) coalesce: bool,
    pub(crate) max_buffered_bytes: usize,
    pub(crate) compaction: Compaction,
    pub(crate) backoff: Backoff,
    pub(crate) call_timeout: Duration,
    pub(crate) writer: Writer,
    #[cfg(test)]
    pub(crate) fault: Option<crate::fault::Fault>,
}

/// Sets a [`Publisher`] up; begun by [`Publisher::builder`]. The crate's documentation lists the
/// defaults and why they are so.
#[must_use]
pub struct PublisherBuilder {
    log: Arc<dyn ReplicationLog>,
    config: Config,
    waits: (Duration, Duration),
    seed: Option<u64>,
}

impl PublisherBuilder {
    pub(crate) fn new(log: Arc<dyn ReplicationLog>) -> Self {
        let waits = (Duration::from_millis(100), Duration::from_secs(30));
        Self {
            log,
            config: Config {
                source: Source::default(),
                schema: Schema::default(),
                mode: Mode::Immediate,
                coalesce: true,
                max_buffered_bytes: 64 << 20,
                compaction: Compaction::default(),
                backoff: Backoff::new(waits.0, waits.1, 0),
                call_timeout: Duration::from_secs(30),
                writer: draw(),
                #[cfg(test)]
                fault: None,
            },
            waits,
            seed: None,
        }
    }

    /// The name of this cluster, written into every entry as a label.
    pub fn source(mut self, name: impl Into<Arc<str>>) -> Self {
        self.config.source = Source::new(name);
        self
    }

    /// The layout of the payloads; a grain may set its own by
    /// [`with_schema`](crate::GrainPublisher::with_schema).
    pub fn schema(mut self, schema: Schema) -> Self {
        self.config.schema = schema;
        self
    }

    /// When states are sent.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.config.mode = mode;
        self
    }

    /// Whether an unsent whole state gives way to a newer one (P2). Without it, every state that was
    /// published stands in the log.
    pub fn coalesce(mut self, coalesce: bool) -> Self {
        self.config.coalesce = coalesce;
        self
    }

    /// How many bytes of states may be unsent or under way, over all grains; between 256 bytes and
    /// 4 GiB. An entry counts 256 bytes beside its payload. A state that is larger than all of it is
    /// admitted while nothing else is.
    pub fn max_buffered_bytes(mut self, bytes: usize) -> Self {
        self.config.max_buffered_bytes = bytes;
        self
    }

    /// How much history is kept.
    pub fn compaction(mut self, compaction: Compaction) -> Self {
        self.config.compaction = compaction;
        self
    }

    /// The shortest and longest wait before a failed call is made again; between them it doubles,
    /// with jitter.
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.waits = (min, max);
        self
    }

    /// After how long a call that was not answered is given up as of unknown outcome, and made again.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.config.call_timeout = timeout;
        self
    }

    /// Where the jitter comes from, for runs that can be repeated. The default is random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Where the writers of the openings come from, for runs that can be repeated. The default is
    /// random, and must be, where two publishers may meet in one log: a log tells writers of one
    /// epoch apart by it.
    pub fn writer(mut self, writer: Writer) -> Self {
        self.config.writer = writer;
        self
    }

    /// Starts the sender.
    ///
    /// # Panics
    /// Outside of a tokio runtime with its timer enabled.
    pub fn spawn(mut self) -> Publisher {
        let seed = self.seed.unwrap_or_else(|| draw().get());
        self.config.backoff = Backoff::new(self.waits.0, self.waits.1, seed);
        Publisher::start(self.log, self.config)
    }

    #[cfg(test)]
    pub(crate) fn fault(mut self, fault: Option<crate::fault::Fault>) -> Self {
        self.config.fault = fault;
        self
    }
}

impl std::fmt::Debug for PublisherBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublisherBuilder")
            .field("mode", &self.config.mode)
            .field("coalesce", &self.config.coalesce)
            .field("max_buffered_bytes", &self.config.max_buffered_bytes)
            .field("compaction", &self.config.compaction)
            .finish_non_exhaustive()
    }
}

/// A random number from the standard library's own source: `RandomState` is keyed by the operating
/// system, and hashing clock and process apart covers a fork of this process.
fn draw() -> Writer {
    let clock = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    Writer::new(RandomState::new().hash_one((clock, std::process::id())))
}
