//! Entries in columns.

use bytes::{Bytes, BytesMut};
use gleaner_core::{
    Cursor, Digest, Draft, Entry, GrainId, Kind, Schema, Source, UnixMillis, Writer,
};

use super::heads::kind;
use super::words::length;
use super::{Known, Malformed, Tables};
use crate::proto;

/// Payloads of at least this many bytes may keep the message that they came in, if they are the
/// greater part of it. Others are copied, so that a small state does not keep a large message in memory.
const SHARED: usize = 64 << 10;

/// Entries on their way into a message.
#[derive(Debug, Default)]
pub(crate) struct Column {
    wire: proto::Entries,
    payloads: Vec<Bytes>,
    bytes: usize,
    written_at: i64,
}

impl Column {
    /// Adds an entry behind the others.
    pub(crate) fn push(&mut self, tables: &mut Tables, entry: &Entry) {
        let wire = &mut self.wire;
        wire.kinds.push(u32::from(entry.kind().code()));
        wire.epochs.push(entry.epoch().get());
        wire.sequences.push(entry.sequence().get());
        let writer = tables.writer(entry.writer(), &mut wire.new_writers);
        wire.writers.push(writer);
        wire.digests.push(entry.digest().get());
        if entry.kind() == Kind::Delta {
            wire.prevs.push(entry.prev().map_or(0, Digest::get));
        }
        let written_at = entry.written_at().get();
        wire.written_at
            .push(written_at.wrapping_sub(self.written_at));
        self.written_at = written_at;
        let source = tables.source(entry.source(), &mut wire.new_sources);
        wire.sources.push(source);
        wire.schemas.push(entry.schema().get());
        wire.lengths.push(length(entry.payload().len()));
        self.bytes = self.bytes.saturating_add(entry.payload().len());
        self.payloads.push(entry.payload().clone());
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.payloads.len()
    }

    /// The message. Its payloads are copied once, into one piece.
    pub(crate) fn finish(mut self) -> proto::Entries {
        if self.wire.schemas.iter().all(|schema| *schema == 0) {
            self.wire.schemas.clear();
        }
        self.wire.payloads = match <[Bytes; 1]>::try_from(self.payloads) {
            Ok([payload]) => payload,
            Err(payloads) => {
                let mut whole = BytesMut::with_capacity(self.bytes);
                for payload in payloads {
                    whole.extend_from_slice(&payload);
                }
                whole.freeze()
            }
        };
        self.wire
    }
}

/// Entries that belong to `grains`, `counts` of them each; none for a grain one of whose entries
/// is not what its digest says, or cannot be.
///
/// # Errors
/// [`Malformed`] if the columns do not hold together.
pub(crate) fn decode_entries(
    known: &mut Known,
    wire: Option<proto::Entries>,
    grains: &[GrainId],
    counts: &[u32],
) -> Result<Vec<Result<Vec<Entry>, Malformed>>, Malformed> {
    let mut columns = Columns::new(known, wire.unwrap_or_default())?;
    if grains.len() != counts.len() {
        return Err(Malformed("not one count for each grain"));
    }
    let all = counts
        .iter()
        .try_fold(0_usize, |sum, count| {
            sum.checked_add(usize::try_from(*count).ok()?)
        })
        .ok_or(Malformed("the counts are too large"))?;
    if all != columns.count() {
        return Err(Malformed("the counts are not those of the entries"));
    }
    let mut groups = Vec::with_capacity(grains.len());
    for (grain, count) in grains.iter().zip(counts) {
        let count = usize::try_from(*count).unwrap_or(usize::MAX);
        let mut group = Ok(Vec::with_capacity(count));
        for _ in 0..count {
            let (draft, digest) = columns.next(grain)?;
            // The rest of a bad group is read all the same: the next group stands behind it.
            if let Ok(entries) = &mut group {
                match sealed(draft, digest) {
                    Ok(entry) => entries.push(entry),
                    Err(malformed) => group = Err(malformed),
                }
            }
        }
        groups.push(group);
    }
    Ok(groups)
}

fn sealed(draft: Draft, digest: Digest) -> Result<Entry, Malformed> {
    if !draft.cursor.is_valid() {
        return Err(Malformed("an entry's numbers are impossible"));
    }
    if draft.kind == Kind::Tombstone && !draft.payload.is_empty() {
        return Err(Malformed("a tombstone has a payload"));
    }
    draft
        .seal_as(digest)
        .map_err(|_| Malformed("an entry is not what its digest says"))
}

/// Columns that are of one length, read row by row.
struct Columns<'a> {
    known: &'a Known,
    wire: proto::Entries,
    at: usize,
    deltas: usize,
    begins: usize,
    written_at: i64,
}

impl<'a> Columns<'a> {
    fn new(known: &'a mut Known, mut wire: proto::Entries) -> Result<Self, Malformed> {
        known.learn_sources(std::mem::take(&mut wire.new_sources))?;
        known.learn_writers(std::mem::take(&mut wire.new_writers))?;
        let count = wire.kinds.len();
        let deltas = wire
            .kinds
            .iter()
            .filter(|kind| **kind == u32::from(Kind::Delta.code()))
            .count();
        let columns = [
            wire.epochs.len(),
            wire.sequences.len(),
            wire.writers.len(),
            wire.digests.len(),
            wire.written_at.len(),
            wire.sources.len(),
            wire.lengths.len(),
        ];
        if columns.iter().any(|length| *length != count)
            || wire.prevs.len() != deltas
            || !(wire.schemas.is_empty() || wire.schemas.len() == count)
        {
            return Err(Malformed("entries' columns differ in length"));
        }
        let bytes: u64 = wire.lengths.iter().map(|length| u64::from(*length)).sum();
        if usize::try_from(bytes).ok() != Some(wire.payloads.len()) {
            return Err(Malformed("the lengths are not those of the payloads"));
        }
        Ok(Self {
            known,
            wire,
            at: 0,
            deltas: 0,
            begins: 0,
            written_at: 0,
        })
    }

    fn count(&self) -> usize {
        self.wire.kinds.len()
    }

    /// The next row.
    fn next(&mut self, grain: &GrainId) -> Result<(Draft, Digest), Malformed> {
        let (wire, at) = (&self.wire, self.at);
        let number = |column: &[u64]| column.get(at).copied();
        let place = |column: &[u32]| column.get(at).copied();
        let row = (
            place(&wire.kinds),
            number(&wire.epochs),
            number(&wire.sequences),
            number(&wire.digests),
            place(&wire.writers),
            place(&wire.sources),
            wire.written_at.get(at),
            place(&wire.lengths),
        );
        let (
            Some(code),
            Some(epoch),
            Some(sequence),
            Some(digest),
            Some(writer),
            Some(source),
            Some(passed),
            Some(length),
        ) = row
        else {
            return Err(Malformed("an entry is missing"));
        };
        let kind = kind(code)?;
        let prev = if kind == Kind::Delta {
            let prev = wire.prevs.get(self.deltas).copied();
            self.deltas += 1;
            Some(Digest::new(prev.ok_or(Malformed("a prev is missing"))?))
        } else {
            None
        };
        let ends = usize::try_from(length)
            .ok()
            .and_then(|length| self.begins.checked_add(length))
            .filter(|ends| *ends <= wire.payloads.len())
            .ok_or(Malformed("a payload is cut off"))?;
        let payload = kept(&wire.payloads, self.begins, ends);
        let writer: Writer = self.known.writer(writer)?;
        let source: Source = self.known.source(source)?.clone();
        let schema = Schema::new(place(&wire.schemas).unwrap_or(0));
        self.begins = ends;
        self.at += 1;
        self.written_at = self.written_at.wrapping_add(*passed);
        let draft = Draft {
            grain: grain.clone(),
            cursor: Cursor::new(epoch, sequence),
            writer,
            kind,
            prev,
            written_at: UnixMillis::new(self.written_at),
            source,
            schema,
            payload,
        };
        Ok((draft, Digest::new(digest)))
    }
}

/// A payload out of a message's.
fn kept(payloads: &Bytes, begins: usize, ends: usize) -> Bytes {
    let length = ends - begins;
    if length >= SHARED && length > payloads.len() / 2 {
        payloads.slice(begins..ends)
    } else {
        Bytes::copy_from_slice(payloads.get(begins..ends).unwrap_or_default())
    }
}
