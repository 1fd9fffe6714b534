//! [`Entry`]: one state, change or end of a grain, sealed with its digest.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::{Cursor, Digest, Epoch, Error, GrainId, Limits, Sequence};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The whole state: replaces everything before it. A base.
    FullState,
    /// A change to the state just before it.
    Delta,
    /// The end of the grain; carries no payload. A base. A later entry may bring the grain back.
    Tombstone,
}

impl Kind {
    /// The byte that stands for it in digests and in storage: 0, 1, 2.
    pub const fn code(self) -> u8 {
        match self {
            Self::FullState => 0,
            Self::Delta => 1,
            Self::Tombstone => 2,
        }
    }

    /// The kind a byte stands for.
    ///
    /// # Errors
    /// [`UnknownKind`] for a byte that this version does not know.
    pub const fn from_code(code: u8) -> Result<Self, UnknownKind> {
        match code {
            0 => Ok(Self::FullState),
            1 => Ok(Self::Delta),
            2 => Ok(Self::Tombstone),
            _ => Err(UnknownKind(code)),
        }
    }

    /// Whether a replica can be rebuilt from here: a `FullState` or a `Tombstone`.
    pub const fn is_base(self) -> bool {
        !matches!(self, Self::Delta)
    }
}

/// A kind byte written by a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry kind {0} is unknown to this version")]
pub struct UnknownKind(u8);

/// The random number that a publisher draws when it opens; with the epoch it names the one writer
/// that a log accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Writer(u64);

impl Writer {
    /// Wraps a drawn number.
    pub const fn new(drawn: u64) -> Self {
        Self(drawn)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The version of a payload's layout, chosen by the publishing application; handed to decoder and
/// fold. Gleaner gives it no meaning beyond "larger is newer".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Schema(u32);

impl Schema {
    /// The newest there can be.
    pub const MAX: Self = Self(u32::MAX);

    /// Wraps a version.
    pub const fn new(version: u32) -> Self {
        Self(version)
    }

    /// The version.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of the cluster that wrote an entry. A label for people: nothing is decided by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Source(Arc<str>);

impl Source {
    /// The longest name, in bytes.
    pub const MAX: usize = 255;

    /// A label. What lies beyond [`Self::MAX`] bytes is cut off at a character's start.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let name: Arc<str> = name.into();
        if name.len() <= Self::MAX {
            return Self(name);
        }
        let end = (0..=Self::MAX)
            .rev()
            .find(|at| name.is_char_boundary(*at))
            .unwrap_or(0);
        Self(name.get(..end).unwrap_or_default().into())
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Milliseconds since 1970 on the writer's wall clock. Shown to people; no age is counted from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct UnixMillis(i64);

impl UnixMillis {
    /// Wraps a count of milliseconds.
    pub const fn new(millis: i64) -> Self {
        Self(millis)
    }

    /// The count.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// An entry that is still being written: fields are free until [`Draft::seal`] computes its digest.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Whose entry it is.
    pub grain: GrainId,
    /// Its epoch and number.
    pub cursor: Cursor,
    /// Who writes it.
    pub writer: Writer,
    /// What it is.
    pub kind: Kind,
    /// A Delta's predecessor's digest; none for other kinds.
    pub prev: Option<Digest>,
    /// When it was written, by the writer's wall clock.
    pub written_at: UnixMillis,
    /// The writer's cluster.
    pub source: Source,
    /// The payload's layout.
    pub schema: Schema,
    /// The state or change; empty for a Tombstone.
    pub payload: Bytes,
}

impl Draft {
    fn new(grain: GrainId, cursor: Cursor, writer: Writer, kind: Kind, payload: Bytes) -> Self {
        Self {
            grain,
            cursor,
            writer,
            kind,
            prev: None,
            written_at: UnixMillis::default(),
            source: Source::default(),
            schema: Schema::default(),
            payload,
        }
    }

    /// A whole state.
    pub fn full(grain: GrainId, cursor: Cursor, writer: Writer, payload: impl Into<Bytes>) -> Self {
        Self::new(grain, cursor, writer, Kind::FullState, payload.into())
    }

    /// A change to the entry whose digest is `prev`.
    pub fn delta(
        grain: GrainId,
        cursor: Cursor,
        writer: Writer,
        prev: Digest,
        payload: impl Into<Bytes>,
    ) -> Self {
        let mut draft = Self::new(grain, cursor, writer, Kind::Delta, payload.into());
        draft.prev = Some(prev);
        draft
    }

    /// The end of a grain.
    pub fn tombstone(grain: GrainId, cursor: Cursor, writer: Writer) -> Self {
        Self::new(grain, cursor, writer, Kind::Tombstone, Bytes::new())
    }

    /// Closes the entry: its digest is computed and no field changes any more.
    pub fn seal(self) -> Entry {
        let digest = Digest::of(
            self.kind,
            self.cursor,
            self.writer,
            self.schema,
            self.prev,
            &self.payload,
        );
        Entry {
            draft: self,
            digest,
        }
    }

    /// Closes an entry read back from storage or from a wire, checking that it still says what it
    /// said when `stored` was computed.
    ///
    /// # Errors
    /// [`DigestMismatch`] if a covered field has changed since.
    pub fn seal_as(self, stored: Digest) -> Result<Entry, DigestMismatch> {
        let entry = self.seal();
        if entry.digest == stored {
            Ok(entry)
        } else {
            Err(DigestMismatch {
                cursor: entry.cursor(),
                stored,
                computed: entry.digest,
            })
        }
    }
}

/// An entry whose stored digest is not that of its fields: it was damaged or forged on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {cursor} carries digest {stored}, its fields give {computed}")]
pub struct DigestMismatch {
    cursor: Cursor,
    stored: Digest,
    computed: Digest,
}

/// One sealed entry of a grain's history. A clone costs reference counts, never a copy of the payload.
///
/// ```
/// use gleaner_core::{Cursor, Draft, GrainId, Kind, Writer};
/// let grain = GrainId::new("aircraft", "N14228")?;
/// let first = Draft::full(grain.clone(), Cursor::new(1, 1), Writer::new(7), "at the gate").seal();
/// let then = Draft::delta(grain, Cursor::new(1, 2), Writer::new(7), first.digest(), "off").seal();
/// assert_eq!(then.prev(), Some(first.digest()));
/// assert!(first.kind().is_base() && !then.kind().is_base());
/// # Ok::<(), gleaner_core::InvalidGrain>(())
/// ```
#[derive(Debug, Clone)]
pub struct Entry {
    draft: Draft,
    digest: Digest,
}

impl Entry {
    /// Whose entry it is.
    pub fn grain(&self) -> &GrainId {
        &self.draft.grain
    }

    /// Its epoch and number.
    pub fn cursor(&self) -> Cursor {
        self.draft.cursor
    }

    /// Its writer's epoch.
    pub fn epoch(&self) -> Epoch {
        self.draft.cursor.epoch
    }

    /// Its number.
    pub fn sequence(&self) -> Sequence {
        self.draft.cursor.sequence
    }

    /// Who wrote it.
    pub fn writer(&self) -> Writer {
        self.draft.writer
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.draft.kind
    }

    /// A Delta's predecessor's digest.
    pub fn prev(&self) -> Option<Digest> {
        self.draft.prev
    }

    /// The hash of all this.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// When it was written, by the writer's wall clock.
    pub fn written_at(&self) -> UnixMillis {
        self.draft.written_at
    }

    /// The cluster that wrote it.
    pub fn source(&self) -> &Source {
        &self.draft.source
    }

    /// The payload's layout.
    pub fn schema(&self) -> Schema {
        self.draft.schema
    }

    /// The state or change.
    pub fn payload(&self) -> &Bytes {
        &self.draft.payload
    }

    /// What L2 (1) asks of an entry whatever the log holds.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid), naming what is wrong: a number that is zero or above
    /// 2^53 - 1, a payload over the limit, a Tombstone with a payload, a `prev` that is missing from
    /// a Delta or stands on another kind.
    pub fn check(&self, limits: &Limits, backend: &'static str) -> crate::Result<()> {
        let complaint = if !self.cursor().is_valid() {
            "epoch and sequence must lie in 1 ..= 2^53 - 1".to_owned()
        } else if self.kind() == Kind::Tombstone && !self.payload().is_empty() {
            "a tombstone carries no payload".to_owned()
        } else if (self.kind() == Kind::Delta) != self.prev().is_some() {
            "a delta, and nothing else, carries its predecessor's digest".to_owned()
        } else if self.payload().len() > limits.max_payload() {
            format!(
                "payload of {} bytes is over the limit of {}",
                self.payload().len(),
                limits.max_payload()
            )
        } else {
            return Ok(());
        };
        Err(Error::invalid(backend, complaint).at(self.grain(), self.cursor()))
    }
}

/// Two entries are equal when grain and digest are: the digest takes in everything else that
/// matters. `written_at` and `source` are labels and are not compared.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.draft.grain == other.draft.grain
            && self.draft.cursor == other.draft.cursor
            && self.digest == other.digest
    }
}

impl Eq for Entry {}
