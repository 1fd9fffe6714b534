//! [`Identity`]: which log this is, and which of its possible histories.

use std::fmt;

use bytes::Bytes;

/// The opaque name of a log, drawn at random when the log is created. A log that was deleted and
/// begun anew has another.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(Bytes);

impl LogId {
    /// Wraps the drawn bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// Which log, and which history of it (L11).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Drawn when the log was created.
    pub log: LogId,
    /// Opaque; changes whenever the history may have forked: a restored copy, an asynchronous
    /// failover, a re-sharding. Feed positions do not outlive it; replicas do.
    pub history: Bytes,
}

impl Identity {
    /// An identity from its two parts.
    pub fn new(log: LogId, history: impl Into<Bytes>) -> Self {
        Self {
            log,
            history: history.into(),
        }
    }
}
