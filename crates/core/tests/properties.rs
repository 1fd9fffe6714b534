//! What holds for all ids, cursors, entries and payloads, and not only for those one thinks of.

#![expect(
    clippy::unwrap_used,
    reason = "a test; clippy's exception for tests does not reach strategies"
)]

use bytes::Bytes;
use gleaner_core::append::{Verdict, judge, landed};
use gleaner_core::{
    Bincode, Budget, Codec, Cursor, Digest, Draft, Entry, Epoch, ErrorKind, Fence, Filter, GrainId,
    Head, Kind, Limits, Schema, Sequence, Source, Writer,
};
use proptest::prelude::*;

/// Numbers near the edges of what is allowed, where mistakes live, and small ones that collide.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0_u64..6,
        1 => ((1_u64 << 53) - 3)..((1_u64 << 53) + 3),
        1 => ((1_u64 << 32) - 2)..((1_u64 << 32) + 6),
        1 => any::<u64>(),
    ]
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (number(), number()).prop_map(|(epoch, sequence)| Cursor::new(epoch, sequence))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::FullState),
        Just(Kind::Delta),
        Just(Kind::Tombstone)
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (
        cursor(),
        0_u64..3,
        kind(),
        proptest::option::of(0_u64..3),
        0_usize..12,
    )
        .prop_map(|(cursor, writer, kind, prev, length)| {
            let grain = GrainId::new("t", "k").unwrap();
            let mut draft = Draft::full(grain, cursor, Writer::new(writer), vec![b'x'; length]);
            draft.kind = kind;
            draft.prev = prev.map(Digest::new);
            draft.seal()
        })
}

fn head() -> impl Strategy<Value = Option<Head>> {
    proptest::option::of(
        (cursor(), 0_u64..3, kind()).prop_map(|(cursor, digest, kind)| Head {
            cursor,
            digest: Digest::new(digest),
            kind,
            base: cursor,
        }),
    )
}

fn fence() -> impl Strategy<Value = Option<Fence>> {
    proptest::option::of((number(), 0_u64..3).prop_map(|(epoch, writer)| Fence {
        epoch: Epoch::new(epoch),
        writer: Writer::new(writer),
    }))
}

proptest! {
    // A failure prints the input that it was shrunk to; no file is kept beside the sources.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// L1 and the fence, from their words, whatever judge is asked.
    #[test]
    fn judge_never_panics_and_never_goes_back(
        head in head(), fence in fence(), entry in entry(),
    ) {
        let limits = Limits::default().with_max_payload(8);
        match judge(head.as_ref(), fence.as_ref(), &entry, &limits, "test") {
            Ok(Verdict::Write(next, after)) => {
                prop_assert!(entry.cursor().is_valid());
                prop_assert!(entry.payload().len() <= 8);
                prop_assert_eq!(next.cursor, entry.cursor());
                prop_assert_eq!(next.digest, entry.digest());
                prop_assert!(next.base <= next.cursor);
                if let Some(head) = head {
                    prop_assert!(next.cursor.sequence > head.cursor.sequence);
                    prop_assert!(next.cursor.epoch >= head.cursor.epoch);
                }
                if let (Some(before), Some(after)) = (fence, after) {
                    prop_assert!(after.epoch >= before.epoch);
                    prop_assert!(after.epoch > before.epoch || after.writer == before.writer);
                }
                // Judged again on what it has led to, it is a retry: an unknown outcome may always
                // be asked for once more.
                prop_assert_eq!(landed(Some(&next), &[&entry]), 1);
                let again = judge(Some(&next), after.as_ref(), &entry, &limits, "test");
                prop_assert_eq!(again.unwrap(), Verdict::Retry(next));
            }
            Ok(Verdict::Retry(found)) => {
                prop_assert_eq!(Some(found), head);
                prop_assert_eq!(found.cursor, entry.cursor());
            }
            Err(error) => {
                let definite = matches!(
                    error.kind(),
                    ErrorKind::Invalid | ErrorKind::Fenced { .. } | ErrorKind::Conflict { .. }
                );
                prop_assert!(definite, "{:?}", error);
                prop_assert!(!error.is_retryable());
            }
        }
    }

    #[test]
    fn cursors_are_ordered_by_epoch_then_sequence(one in cursor(), other in cursor()) {
        let plain = |at: Cursor| (at.epoch.get(), at.sequence.get());
        prop_assert_eq!(one.cmp(&other), plain(one).cmp(&plain(other)));
        prop_assert!(!one.holds(other) || one >= other);
        prop_assert_eq!(one.holds(other) && other.holds(one), one == other);
        if one.is_just_below(other) {
            prop_assert!(one < other);
            prop_assert_eq!(other.predecessor(), one);
        }
        if one.is_valid() {
            prop_assert!(one.predecessor() < one && Cursor::ZERO < one);
        }
        prop_assert!(one.sequence.next().is_none_or(|next| next <= Sequence::MAX));
    }

    #[test]
    fn ids_are_ordered_and_told_apart_by_their_bytes(
        a in ("\\PC{1,4}", "\\PC{1,4}"), b in ("\\PC{1,4}", "\\PC{1,4}"),
    ) {
        let id = |(grain_type, key): &(String, String)| {
            GrainId::new(grain_type.as_str(), key.as_str()).unwrap()
        };
        let (one, other) = (id(&a), id(&b));
        let bytes = |(t, k): &(String, String)| (t.as_bytes().to_vec(), k.as_bytes().to_vec());
        prop_assert_eq!(one.cmp(&other), bytes(&a).cmp(&bytes(&b)));
        prop_assert_eq!(one.to_string() == other.to_string(), one == other);
        let filter = Filter::grain_type(a.0.as_str());
        prop_assert_eq!(filter.includes(&other), a.0 == b.0);
    }

    #[test]
    fn an_id_is_made_of_any_text_of_1_to_512_bytes(text in "(?s).{0,300}") {
        let fits = (1..=GrainId::MAX_PART).contains(&text.len());
        prop_assert_eq!(GrainId::new(text.as_str(), "k").is_ok(), fits);
        prop_assert_eq!(GrainId::new("t", text.as_str()).is_ok(), fits);
    }

    #[test]
    fn a_source_is_cut_at_a_character(text in "(?s).{0,200}") {
        let source = Source::new(text.as_str());
        prop_assert!(source.as_str().len() <= Source::MAX);
        prop_assert!(text.starts_with(source.as_str()));
        prop_assert!(source.as_str().len() > Source::MAX - 4 || source.as_str() == text);
    }

    /// Any bytes are a value or an error; a value's encoding is those bytes.
    #[test]
    fn decoding_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
        type Value = (Option<String>, Vec<(u16, bool)>, std::collections::BTreeMap<u8, i64>);
        let codec: Bincode = Bincode;
        let payload = Bytes::from(payload);
        let decoded: Result<Value, _> = codec.decode(&payload, Schema::default());
        if let Ok(value) = decoded {
            let again = codec.encode(&value).unwrap();
            let back: Value = codec.decode(&again, Schema::default()).unwrap();
            prop_assert_eq!(back, value);
        }
    }

    #[test]
    fn a_budget_is_never_overdrawn(
        entries in 0_usize..5, bytes in 0_usize..20,
        payloads in proptest::collection::vec(0_usize..9, 0..12),
    ) {
        let mut budget = Budget::new(entries, bytes);
        let mut taken = Vec::new();
        for payload in &payloads {
            if !budget.take(*payload, taken.is_empty()) {
                break;
            }
            taken.push(*payload);
        }
        prop_assert!(taken.len() <= entries.max(1));
        // The first always fits; behind one that was too large only empty ones do.
        let bound = bytes.max(taken.first().copied().unwrap_or(0));
        prop_assert!(taken.iter().sum::<usize>() <= bound);
        prop_assert_eq!(taken.is_empty(), payloads.is_empty());
    }
}
