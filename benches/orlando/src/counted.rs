//! [`Counted`]: what goes through a log.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use orlando_core::replication::ReplicationEntry;
use orlando_persistence::{ReplicationError, ReplicationLog};

/// Counts calls, and the entries and payload bytes that reads bring back.
pub struct Counted {
    log: Arc<dyn ReplicationLog>,
    /// Whether what reads bring back is counted, at the price of a second box around each read; calls
    /// alone are counted for nothing.
    contents: bool,
    calls: AtomicU64,
    bytes: AtomicU64,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ReplicationError>> + Send + 'a>>;

impl Counted {
    pub fn new(log: Arc<dyn ReplicationLog>, contents: bool) -> Arc<Self> {
        Arc::new(Self {
            log,
            contents,
            calls: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        })
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    pub fn payload_bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

// Written out instead of by the macro, so that a counted call costs no box of its own.
impl ReplicationLog for Counted {
    fn append<'a, 'r>(&'a self, entry: ReplicationEntry) -> Answer<'r, u64>
    where
        'a: 'r,
        Self: 'r,
    {
        self.calls.fetch_add(1, Relaxed);
        self.log.append(entry)
    }

    fn read_from<'a, 'b, 'c, 'r>(
        &'a self,
        grain_type: &'b str,
        grain_key: &'c str,
        after_sequence: u64,
        limit: usize,
    ) -> Answer<'r, Vec<ReplicationEntry>>
    where
        'a: 'r,
        'b: 'r,
        'c: 'r,
        Self: 'r,
    {
        self.calls.fetch_add(1, Relaxed);
        let read = self
            .log
            .read_from(grain_type, grain_key, after_sequence, limit);
        if !self.contents {
            return read;
        }
        Box::pin(async move {
            let entries = read.await?;
            let bytes: usize = entries.iter().map(|entry| entry.payload.len()).sum();
            self.bytes.fetch_add(bytes as u64, Relaxed);
            Ok(entries)
        })
    }

    fn latest_sequence<'a, 'b, 'c, 'r>(
        &'a self,
        grain_type: &'b str,
        grain_key: &'c str,
    ) -> Answer<'r, u64>
    where
        'a: 'r,
        'b: 'r,
        'c: 'r,
        Self: 'r,
    {
        self.calls.fetch_add(1, Relaxed);
        self.log.latest_sequence(grain_type, grain_key)
    }

    fn truncate<'a, 'b, 'c, 'r>(
        &'a self,
        grain_type: &'b str,
        grain_key: &'c str,
        before_sequence: u64,
    ) -> Answer<'r, u64>
    where
        'a: 'r,
        'b: 'r,
        'c: 'r,
        Self: 'r,
    {
        self.calls.fetch_add(1, Relaxed);
        self.log.truncate(grain_type, grain_key, before_sequence)
    }
}
