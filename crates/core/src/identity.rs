//! [`Identity`]: which log this is, and which of its possible histories.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;
use triomphe::ThinArc;

/// The opaque name of a log, drawn at random when the log is created. A log that was deleted and
/// begun anew has another. One pointer; a clone costs one reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LogId(ThinArc<(), u8>);

impl LogId {
    /// Copies the drawn bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Self {
        Self(ThinArc::from_header_and_slice((), bytes.as_ref()))
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.slice
    }
}

impl Ord for LogId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for LogId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
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
