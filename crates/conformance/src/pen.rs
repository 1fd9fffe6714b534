//! [`Pen`]: writes a grain's entries one after the other, numbers and digests kept right.

use bytes::Bytes;
use gleaner_core::{Cursor, Digest, Draft, Entry, GrainId, Head, Kind, Writer};

use crate::verdict::Seen;

/// A grain id; the kit's own are always valid.
pub(crate) fn grain(grain_type: &str, grain_key: &str) -> Seen<GrainId> {
    Ok(GrainId::new(grain_type, grain_key)?)
}

/// A writer of one grain that knows what it wrote last. A clone is a second hand on the same
/// history.
#[derive(Debug, Clone)]
pub(crate) struct Pen {
    pub(crate) grain: GrainId,
    pub(crate) epoch: u64,
    pub(crate) writer: Writer,
    /// The number written last.
    pub(crate) sequence: u64,
    digest: Digest,
}

impl Pen {
    /// Writer 7 of epoch 1, before the first entry.
    pub(crate) fn new(grain: &GrainId) -> Self {
        Self {
            grain: grain.clone(),
            epoch: 1,
            writer: Writer::new(7),
            sequence: 0,
            digest: Digest::ZERO,
        }
    }

    /// The hand that wrote this entry.
    pub(crate) fn after(entry: &Entry) -> Self {
        Self {
            grain: entry.grain().clone(),
            epoch: entry.epoch().get(),
            writer: entry.writer(),
            sequence: entry.sequence().get(),
            digest: entry.digest(),
        }
    }

    /// Goes on as another writer, in another epoch.
    pub(crate) fn turn(&mut self, epoch: u64, writer: u64) -> &mut Self {
        self.epoch = epoch;
        self.writer = Writer::new(writer);
        self
    }

    /// Leaves numbers out: the next entry's is one more than these.
    pub(crate) fn leap(&mut self, numbers: u64) -> &mut Self {
        self.sequence = self.sequence.saturating_add(numbers);
        self
    }

    pub(crate) fn full(&mut self, payload: impl Into<Bytes>) -> Entry {
        let cursor = self.next();
        self.wrote(Draft::full(self.grain.clone(), cursor, self.writer, payload).seal())
    }

    pub(crate) fn delta(&mut self, payload: impl Into<Bytes>) -> Entry {
        let cursor = self.next();
        let draft = Draft::delta(
            self.grain.clone(),
            cursor,
            self.writer,
            self.digest,
            payload,
        );
        self.wrote(draft.seal())
    }

    pub(crate) fn tombstone(&mut self) -> Entry {
        let cursor = self.next();
        self.wrote(Draft::tombstone(self.grain.clone(), cursor, self.writer).seal())
    }

    /// `F` a whole state, `D` a delta, `T` a tombstone; the payloads are the entries' numbers.
    pub(crate) fn write(&mut self, kinds: &str) -> Vec<Entry> {
        kinds
            .chars()
            .map(|kind| match kind {
                'T' => self.tombstone(),
                'D' => self.delta(format!("+{}", self.sequence + 1)),
                _ => self.full(format!("={}", self.sequence + 1)),
            })
            .collect()
    }

    fn next(&self) -> Cursor {
        Cursor::new(self.epoch, self.sequence.saturating_add(1))
    }

    fn wrote(&mut self, entry: Entry) -> Entry {
        self.sequence = entry.sequence().get();
        self.digest = entry.digest();
        entry
    }
}

/// The head that a history ends in.
pub(crate) fn head_of(history: &[Entry]) -> Option<Head> {
    let last = history.last()?;
    let base = history.iter().rfind(|entry| entry.kind().is_base())?;
    Some(Head {
        cursor: last.cursor(),
        digest: last.digest(),
        kind: last.kind(),
        base: base.cursor(),
    })
}

/// Where entries stand, for messages and comparisons.
pub(crate) fn cursors(entries: &[Entry]) -> Vec<Cursor> {
    entries.iter().map(Entry::cursor).collect()
}

/// Whether each Delta follows the entry before it, and numbers rise. What the first one follows is
/// for the caller to check.
pub(crate) fn is_chain(entries: &[Entry]) -> bool {
    entries
        .iter()
        .zip(entries.iter().skip(1))
        .all(|(before, entry)| {
            entry.sequence() > before.sequence()
                && entry.epoch() >= before.epoch()
                && (entry.kind() != Kind::Delta
                    || (entry.prev() == Some(before.digest())
                        && before.cursor().is_just_below(entry.cursor())))
        })
}

/// Numbers that look random and are the same in every run.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// One of `0..sides`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        // xorshift64*: its high bits are good enough to vary a test.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides.max(1)
    }

    /// As [`Self::roll`], for counts.
    pub(crate) fn pick(&mut self, sides: usize) -> usize {
        usize::try_from(self.roll(sides as u64)).unwrap_or(0)
    }
}
