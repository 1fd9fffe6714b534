//! Frames and the records in them: what the log's file is made of.
//!
//! ```text
//! frame:  "GLF1" | length of the body, u64 | checksum, u64 | body: one record or more
//! ```
//! Integers are little-endian. The checksum is XXH3 over the body, with the frame's place in the
//! file as its seed: a frame that a payload carries inside is none of ours.

use bytes::{Buf, BufMut, Bytes};
use gleaner::{
    Cursor, Digest, Draft, Entry, Epoch, Fence, GrainId, Kind, Schema, Source, UnixMillis, Writer,
};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const MAGIC: &[u8] = b"GLF1";

/// One thing that the file says.
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// The log's name; the first record, once.
    Log(Bytes),
    /// A grain's fence.
    Fence(GrainId, Fence),
    /// Below it a grain's history is gone.
    Floor(GrainId, Cursor),
    Entry(Entry),
}

/// Records as one frame, to stand at a place in the file.
pub(crate) fn frame(at: usize, records: &[Record]) -> Vec<u8> {
    let mut body = Vec::new();
    for record in records {
        write(&mut body, record);
    }
    let mut frame = MAGIC.to_vec();
    frame.put_u64_le(body.len() as u64);
    frame.put_u64_le(xxh3_64_with_seed(&body, at as u64));
    frame.append(&mut body);
    frame
}

/// The records of a file, without a torn frame at its end.
///
/// Each frame is durable before the next is written. So a frame that is not whole is the last one,
/// cut off by a crash, and nobody was told Ok for it. If whole ones follow, it was written, synced
/// and damaged since: then nothing may be dropped in silence.
pub(crate) fn records(file: &[u8]) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    let mut at = 0;
    while let Some((mut body, next)) = frame_at(file, at) {
        while !body.is_empty() {
            let read = read(&mut body);
            records.push(read.ok_or_else(|| format!("an unknown record lies at byte {at}"))?);
        }
        at = next;
    }
    if (at..file.len()).any(|behind| frame_at(file, behind).is_some()) {
        return Err(format!("byte {at} is damaged, whole frames follow it"));
    }
    Ok(records)
}

/// The body of the frame at a place, and where the next begins; none if it is not whole.
fn frame_at(file: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let mut rest = file.get(at..)?.strip_prefix(MAGIC)?;
    let length = usize::try_from(rest.try_get_u64_le().ok()?).ok()?;
    let checksum = rest.try_get_u64_le().ok()?;
    let (body, left) = rest.split_at_checked(length)?;
    let whole = xxh3_64_with_seed(body, at as u64) == checksum;
    whole.then_some((body, file.len() - left.len()))
}

fn write(out: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Log(name) => {
            out.put_u8(0);
            write_bytes(out, name);
        }
        Record::Fence(grain, fence) => {
            out.put_u8(1);
            write_grain(out, grain);
            out.put_u64_le(fence.epoch.get());
            out.put_u64_le(fence.writer.get());
        }
        Record::Floor(grain, floor) => {
            out.put_u8(2);
            write_grain(out, grain);
            write_cursor(out, *floor);
        }
        Record::Entry(entry) => {
            out.put_u8(3);
            write_grain(out, entry.grain());
            write_cursor(out, entry.cursor());
            out.put_u64_le(entry.writer().get());
            out.put_u8(entry.kind().code());
            out.put_u8(u8::from(entry.prev().is_some()));
            out.put_u64_le(entry.prev().unwrap_or_default().get());
            out.put_u64_le(entry.digest().get());
            out.put_i64_le(entry.written_at().get());
            write_bytes(out, entry.source().as_str().as_bytes());
            out.put_u32_le(entry.schema().get());
            write_bytes(out, entry.payload());
        }
    }
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u64_le(bytes.len() as u64);
    out.put_slice(bytes);
}

fn write_grain(out: &mut Vec<u8>, grain: &GrainId) {
    write_bytes(out, grain.grain_type().as_bytes());
    write_bytes(out, grain.grain_key().as_bytes());
}

fn write_cursor(out: &mut Vec<u8>, cursor: Cursor) {
    out.put_u64_le(cursor.epoch.get());
    out.put_u64_le(cursor.sequence.get());
}

/// One record off the front; none for one of a newer version, or one that does not hold together.
fn read(from: &mut &[u8]) -> Option<Record> {
    Some(match from.try_get_u8().ok()? {
        0 => Record::Log(Bytes::copy_from_slice(read_bytes(from)?)),
        1 => {
            let grain = read_grain(from)?;
            let fence = Fence {
                epoch: Epoch::new(from.try_get_u64_le().ok()?),
                writer: Writer::new(from.try_get_u64_le().ok()?),
            };
            Record::Fence(grain, fence)
        }
        2 => Record::Floor(read_grain(from)?, read_cursor(from)?),
        3 => {
            let grain = read_grain(from)?;
            let cursor = read_cursor(from)?;
            let writer = Writer::new(from.try_get_u64_le().ok()?);
            let kind = Kind::from_code(from.try_get_u8().ok()?).ok()?;
            let follows = from.try_get_u8().ok()? == 1;
            let prev = Digest::new(from.try_get_u64_le().ok()?);
            let digest = Digest::new(from.try_get_u64_le().ok()?);
            let draft = Draft {
                grain,
                cursor,
                writer,
                kind,
                prev: follows.then_some(prev),
                written_at: UnixMillis::new(from.try_get_i64_le().ok()?),
                source: Source::new(read_text(from)?),
                schema: Schema::new(from.try_get_u32_le().ok()?),
                payload: Bytes::copy_from_slice(read_bytes(from)?),
            };
            Record::Entry(draft.seal_as(digest).ok()?)
        }
        _ => return None,
    })
}

fn read_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(from.try_get_u64_le().ok()?).ok()?;
    let (bytes, left) = from.split_at_checked(length)?;
    *from = left;
    Some(bytes)
}

fn read_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(read_bytes(from)?).ok()
}

fn read_grain(from: &mut &[u8]) -> Option<GrainId> {
    let grain_type = read_text(from)?;
    GrainId::new(grain_type, read_text(from)?).ok()
}

fn read_cursor(from: &mut &[u8]) -> Option<Cursor> {
    let epoch = from.try_get_u64_le().ok()?;
    Some(Cursor::new(epoch, from.try_get_u64_le().ok()?))
}
