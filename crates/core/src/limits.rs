//! [`Limits`]: the largest payload and batch that a log takes (L12).

/// What a log takes in one entry and in one batch. An entry or batch beyond it is `Invalid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_field_names,
    reason = "each is a maximum, and the word belongs to it"
)]
pub struct Limits {
    max_payload: usize,
    max_batch_entries: usize,
    max_batch_bytes: usize,
}

impl Limits {
    /// 16 MiB: the largest payload unless said otherwise. Large enough for any grain that is read as
    /// one value, small enough that a reader never doubles its memory for one entry.
    pub const DEFAULT_MAX_PAYLOAD: usize = 16 << 20;
    /// 4,096 entries a batch: a few milliseconds of work for every backend.
    pub const DEFAULT_MAX_BATCH_ENTRIES: usize = 4096;
    /// 64 MiB a batch: always room for one entry of the largest payload.
    pub const DEFAULT_MAX_BATCH_BYTES: usize = 64 << 20;

    /// The largest payload, in bytes.
    pub const fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// The most entries in one `append_batch`.
    pub const fn max_batch_entries(&self) -> usize {
        self.max_batch_entries
    }

    /// The most payload bytes in one `append_batch`; at least [`Self::max_payload`].
    pub const fn max_batch_bytes(&self) -> usize {
        if self.max_batch_bytes < self.max_payload {
            self.max_payload
        } else {
            self.max_batch_bytes
        }
    }

    /// Sets the largest payload, in bytes.
    #[must_use]
    pub const fn with_max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Sets the most entries in one batch; at least one.
    #[must_use]
    pub const fn with_max_batch_entries(mut self, entries: usize) -> Self {
        self.max_batch_entries = if entries == 0 { 1 } else { entries };
        self
    }

    /// Sets the most payload bytes in one batch.
    #[must_use]
    pub const fn with_max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = bytes;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: Self::DEFAULT_MAX_PAYLOAD,
            max_batch_entries: Self::DEFAULT_MAX_BATCH_ENTRIES,
            max_batch_bytes: Self::DEFAULT_MAX_BATCH_BYTES,
        }
    }
}
