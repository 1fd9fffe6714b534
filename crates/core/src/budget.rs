//! [`Budget`]: how much one read may bring back.

/// The most entries and payload bytes that a read returns. Neither cuts an answer to nothing: where
/// there is an entry, at least one comes back, however large it is (L6, L8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    entries: usize,
    bytes: usize,
}

impl Budget {
    /// No bound. For tests and small logs.
    pub const UNBOUNDED: Self = Self {
        entries: usize::MAX,
        bytes: usize::MAX,
    };

    /// A budget; fewer than one entry counts as one.
    pub const fn new(entries: usize, bytes: usize) -> Self {
        Self {
            entries: if entries == 0 { 1 } else { entries },
            bytes,
        }
    }

    /// The most entries; at least one.
    pub const fn entries(&self) -> usize {
        self.entries
    }

    /// The most payload bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes an entry of `payload` bytes off the budget; false, and nothing taken, if it does not
    /// fit. `first` is the one entry that always fits.
    #[must_use]
    pub fn take(&mut self, payload: usize, first: bool) -> bool {
        if !first && (self.entries == 0 || payload > self.bytes) {
            return false;
        }
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(payload);
        true
    }

    /// Whether nothing more fits, not even an empty payload.
    pub const fn is_spent(&self) -> bool {
        self.entries == 0 || self.bytes == 0
    }
}
