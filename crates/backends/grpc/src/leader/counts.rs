//! [`LeaderCounts`]: what a leader has done.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a leader has done since it began. Each number is read by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LeaderCounts {
    /// Connections that are open now.
    pub connections: u64,
    /// Connections that were opened.
    pub connected: u64,
    /// Calls and watches that were begun.
    pub calls: u64,
    /// Calls that no token, or the wrong one, came with.
    pub refused: u64,
    /// Bytes received from followers, HTTP/2's frames included; encryption and TCP are not.
    pub bytes_received: u64,
    /// Bytes sent to followers, likewise.
    pub bytes_sent: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) calls: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
}

impl Counts {
    pub(super) fn read(&self) -> LeaderCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LeaderCounts {
            connections: read(&self.connections),
            connected: read(&self.connected),
            calls: read(&self.calls),
            refused: read(&self.refused),
            bytes_received: read(&self.received),
            bytes_sent: read(&self.sent),
        }
    }
}
