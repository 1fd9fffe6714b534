//! What is encoded comes back, and what does not hold together is told and never believed.

use bytes::Bytes;
use gleaner_core::{
    Cursor, Digest, Draft, Entry, Error, ErrorKind, Fence, Filter, GrainId, Head, Identity, Kind,
    LogId, Position, Schema, Source, UnixMillis, Writer,
};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::proto;

fn grain() -> impl Strategy<Value = GrainId> {
    let part = prop_oneof!["[ab]{1,2}", "\\PC{1,20}", Just("\0\n\u{7f}".to_owned())];
    (part.clone(), part).prop_map(|(name, key)| GrainId::new(name, key).unwrap())
}

fn entry() -> impl Strategy<Value = Entry> {
    (
        grain(),
        (1..1_u64 << 53, 1..1_u64 << 53),
        0..3_u8,
        any::<u64>(),
        any::<i64>(),
        "[a-c]{0,2}",
        prop_oneof![Just(0_u32), any::<u32>()],
        vec(any::<u8>(), 0..64),
    )
        .prop_map(
            |(grain, (epoch, sequence), kind, writer, written_at, source, schema, payload)| {
                let kind = Kind::from_code(kind).unwrap();
                Draft {
                    grain,
                    cursor: Cursor::new(epoch, sequence),
                    writer: Writer::new(writer % 4),
                    kind,
                    prev: (kind == Kind::Delta).then(|| Digest::new(writer)),
                    written_at: UnixMillis::new(written_at),
                    source: Source::new(source),
                    schema: Schema::new(schema),
                    payload: if kind == Kind::Tombstone {
                        Bytes::new()
                    } else {
                        Bytes::from(payload)
                    },
                }
                .seal()
            },
        )
}

/// Entries of one grain each, on a wire whose pages share their tables.
fn page(tables: &mut Tables, entries: &[Entry]) -> proto::AppendRequest {
    let mut column = Column::default();
    for entry in entries {
        column.push(tables, entry);
    }
    proto::AppendRequest {
        grains: Some(encode_grains(tables, entries.iter().map(Entry::grain))),
        counts: vec![1; entries.len()],
        entries: Some(column.finish()),
    }
}

fn read(known: &mut Known, wire: proto::AppendRequest) -> Result<Vec<Entry>, Malformed> {
    let grains = decode_grains(known, wire.grains)?;
    let groups = decode_entries(known, wire.entries, &grains, &wire.counts)?;
    let mut entries = Vec::new();
    for group in groups {
        entries.extend(group?);
    }
    Ok(entries)
}

proptest! {
    #[test]
    fn entries_come_back_over_pages(pages in vec(vec(entry(), 0..8), 1..4)) {
        let (mut tables, mut known) = (Tables::default(), Known::default());
        for entries in pages {
            let bytes = page(&mut tables, &entries).encode_to_vec();
            let wire = proto::AppendRequest::decode(&bytes[..]).unwrap();
            let back = read(&mut known, wire).unwrap();
            prop_assert_eq!(&back, &entries);
            for (back, entry) in back.iter().zip(&entries) {
                prop_assert_eq!(back.written_at(), entry.written_at());
                prop_assert_eq!(back.source(), entry.source());
                prop_assert_eq!(back.schema(), entry.schema());
                prop_assert_eq!(back.payload(), entry.payload());
            }
        }
    }

    /// Whatever is changed in a message's bytes: an entry comes back as it was, or not at all.
    #[test]
    fn a_damaged_entry_is_never_believed(
        entries in vec(entry(), 1..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut bytes = page(&mut Tables::default(), &entries).encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(wire) = proto::AppendRequest::decode(&bytes[..]) else { return Ok(()) };
        if let Ok(back) = read(&mut Known::default(), wire) {
            // A grain's name, and labels, are not in the digest: what an entry says of its state is.
            let says = |entry: &Entry| (entry.cursor(), entry.digest(), entry.payload().clone());
            for back in &back {
                prop_assert!(entries.iter().any(|entry| says(entry) == says(back)));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..512)) {
        read_everything(&bytes);
    }

    #[test]
    fn filters_come_back(name in proptest::option::of("[a-b]{0,3}"), prefix in "[a-b]{0,3}", slices in vec(0..1024_u16, 0..20), sliced in any::<bool>()) {
        let mut filter = name.map_or(Filter::all(), Filter::grain_type).key_prefix(prefix);
        if sliced {
            filter = filter.slices(slices);
        }
        prop_assert_eq!(decode_filter(Some(encode_filter(&filter))).unwrap(), filter);
    }

    #[test]
    fn heads_and_positions_come_back(entries in vec(entry(), 0..8), counters_ in vec(any::<u64>(), 0..70)) {
        let heads: Vec<Head> = entries
            .iter()
            .map(|entry| Head {
                cursor: entry.cursor(),
                digest: entry.digest(),
                kind: entry.kind(),
                base: if entry.kind().is_base() { entry.cursor() } else { Cursor::new(1, 1) },
            })
            .collect();
        let mut wire = proto::Heads::default();
        for head in &heads {
            push_head(&mut wire, head);
        }
        let mut reader = HeadReader::new(Some(wire)).unwrap();
        for head in &heads {
            prop_assert_eq!(&reader.next().unwrap(), head);
        }
        reader.end().unwrap();
        let identity = Identity::new(LogId::new(b"log"), Bytes::from_static(b"history"));
        let position = Position::new(identity, Filter::all(), counters_);
        let back = decode_position(Some(encode_position(&position)), &Filter::all()).unwrap();
        prop_assert_eq!(back, position);
    }
}

/// Every message that either end reads, and every decoder behind it.
fn read_everything(bytes: &[u8]) {
    let grain = GrainId::new("t", "k").unwrap();
    if let Ok(wire) = proto::AppendRequest::decode(bytes) {
        let _ = read(&mut Known::default(), wire);
    }
    if let Ok(wire) = proto::Heads::decode(bytes)
        && let Ok(mut heads) = HeadReader::new(Some(wire))
    {
        while heads.next().is_ok() {}
    }
    if let Ok(wire) = proto::Error::decode(bytes) {
        let _ = decode_error(wire, Some(&grain));
    }
    if let Ok(wire) = proto::ChangesRequest::decode(bytes) {
        let filter = decode_filter(wire.filter).unwrap_or_default();
        let _ = decode_position(wire.since, &filter);
    }
    crate::read::tests::read_answers(bytes);
}

fn refusal(wire: proto::AppendRequest) -> &'static str {
    read(&mut Known::default(), wire).unwrap_err().0
}

#[test]
fn what_does_not_hold_together_is_told() {
    let grain = GrainId::new("aircraft", "N14228").unwrap();
    let entry = Draft::full(grain, Cursor::new(1, 1), Writer::new(7), "state").seal();
    let whole = || page(&mut Tables::default(), std::slice::from_ref(&entry));
    let changed = |change: fn(&mut proto::Grains, &mut proto::Entries, &mut Vec<u32>)| {
        let mut wire = whole();
        change(
            wire.grains.as_mut().unwrap(),
            wire.entries.as_mut().unwrap(),
            &mut wire.counts,
        );
        refusal(wire)
    };
    assert!(read(&mut Known::default(), whole()).is_ok());
    assert!(changed(|grains, _, _| grains.types[0] = 1).contains("never sent"));
    assert!(changed(|grains, _, _| grains.key_lengths[0] = 7).contains("cut off"));
    assert!(changed(|grains, _, _| grains.key_lengths[0] = 5).contains("more keys"));
    assert!(changed(|grains, _, _| grains.key_lengths[0] = 0).contains("empty or too long"));
    assert!(
        changed(|grains, _, _| grains.keys = Bytes::from_static(b"\xff12345")).contains("UTF-8")
    );
    assert!(changed(|grains, _, _| grains.key_lengths.clear()).contains("differ"));
    assert!(changed(|_, _, counts| counts[0] = 2).contains("counts"));
    assert!(changed(|_, _, counts| counts.clear()).contains("count"));
    assert!(changed(|_, entries, _| entries.kinds[0] = 3).contains("kind"));
    assert!(changed(|_, entries, _| entries.kinds[0] = 1).contains("differ"));
    assert!(changed(|_, entries, _| entries.epochs[0] = 2).contains("digest"));
    assert!(changed(|_, entries, _| entries.epochs[0] = 0).contains("impossible"));
    assert!(changed(|_, entries, _| entries.sequences[0] = 1 << 53).contains("impossible"));
    assert!(changed(|_, entries, _| entries.lengths[0] = 4).contains("lengths"));
    assert!(changed(|_, entries, _| entries.lengths[0] = u32::MAX).contains("lengths"));
    assert!(changed(|_, entries, _| entries.writers[0] = 1).contains("never sent"));
    assert!(changed(|_, entries, _| entries.sources[0] = 9).contains("never sent"));
    assert!(changed(|_, entries, _| entries.digests.clear()).contains("differ"));
    assert!(changed(|_, entries, _| entries.prevs.push(1)).contains("differ"));
    assert!(changed(|_, entries, _| entries.schemas = vec![0, 0]).contains("differ"));
    assert!(
        changed(|_, entries, _| entries.new_writers = vec![0; (1 << 14) + 1]).contains("too long")
    );
}

#[test]
fn errors_come_back_as_what_may_be_done() {
    let grain = GrainId::new("aircraft", "N14228").unwrap();
    let head = Head {
        cursor: Cursor::new(3, 9),
        digest: Digest::new(5),
        kind: Kind::Delta,
        base: Cursor::new(3, 7),
    };
    let fence = Fence {
        epoch: Cursor::new(4, 1).epoch,
        writer: Writer::new(8),
    };
    let floor = Cursor::new(2, 2);
    for kind in [
        ErrorKind::Transient,
        ErrorKind::Unknown,
        ErrorKind::Fenced { fence },
        ErrorKind::Conflict { head: Some(head) },
        ErrorKind::Conflict { head: None },
        ErrorKind::Truncated { floor },
        ErrorKind::Expired,
        ErrorKind::Invalid,
        ErrorKind::Permanent,
    ] {
        let error = Error::new(kind, "sqlite", "why").at(&grain, Cursor::new(3, 10));
        let back = decode_error(encode_error(&error), Some(&grain)).unwrap();
        assert_eq!(back.kind(), kind);
        assert_eq!(back.grain(), Some(&grain));
        assert_eq!(back.cursor(), Some(Cursor::new(3, 10)));
        let status = status_of_error(&Error::new(kind, "sqlite", "cannot open /secret/path"));
        let back = error_of_status(&status, ErrorKind::Transient, None);
        assert_eq!(back.kind(), kind);
        assert!(back.to_string().contains("sqlite"));
        // What went wrong beneath the log is not for followers.
        let beneath = matches!(
            kind,
            ErrorKind::Transient | ErrorKind::Unknown | ErrorKind::Permanent
        );
        assert_eq!(back.to_string().contains("/secret/path"), !beneath);
    }
}

#[test]
fn a_status_alone_says_what_may_have_happened() {
    use tonic::{Code, Status};
    for (code, expected) in [
        (Code::Unauthenticated, ErrorKind::Permanent),
        (Code::PermissionDenied, ErrorKind::Permanent),
        (Code::Unimplemented, ErrorKind::Permanent),
        (Code::InvalidArgument, ErrorKind::Invalid),
        (Code::ResourceExhausted, ErrorKind::Transient),
        // The answer did not fit a message: the call was done.
        (Code::OutOfRange, ErrorKind::Unknown),
        (Code::DeadlineExceeded, ErrorKind::Unknown),
        (Code::Unavailable, ErrorKind::Unknown),
        (Code::Internal, ErrorKind::Unknown),
        (Code::Cancelled, ErrorKind::Unknown),
    ] {
        let error = error_of_status(&Status::new(code, ""), ErrorKind::Unknown, None);
        assert_eq!(error.kind(), expected, "{code:?}");
        let denied =
            std::error::Error::source(&error).is_some_and(<dyn std::error::Error>::is::<Denied>);
        let refuses = matches!(code, Code::Unauthenticated | Code::PermissionDenied);
        assert_eq!(denied, refuses, "{code:?}");
    }
    // Made of a broken connection, whatever its code.
    let mut broken = Status::new(Code::ResourceExhausted, "too much of everything");
    broken.set_source(std::sync::Arc::new(std::io::Error::other("reset")));
    let error = error_of_status(&broken, ErrorKind::Transient, None);
    assert_eq!(error.kind(), ErrorKind::Transient);
    let error = error_of_status(&broken, ErrorKind::Unknown, None);
    assert_eq!(error.kind(), ErrorKind::Unknown);
}
