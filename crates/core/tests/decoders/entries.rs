//! `Draft::seal_as`: a stored entry is what it was, or it is refused.

use bytes::Bytes;
use gleaner_core::append::judge;
use gleaner_core::{Cursor, Digest, Draft, GrainId, Kind, Limits, Schema, Writer};

use crate::corpus::samples;
use crate::mutation::{Mutator, hex};

/// The layout of these files: digest, kind, epoch, sequence, writer, schema, whether there is a
/// `prev`, `prev`, and the payload to the end; little-endian.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    /// None for a header that is cut or of a kind that is not known.
    fn read(bytes: &'a [u8]) -> Option<(Digest, Draft)> {
        let mut fields = Self(bytes);
        let stored = Digest::new(fields.number()?);
        let [code] = fields.take()?;
        let kind = Kind::from_code(code).ok()?;
        let cursor = Cursor::new(fields.number()?, fields.number()?);
        let writer = Writer::new(fields.number()?);
        let schema = Schema::new(u32::from_le_bytes(fields.take()?));
        let [has_prev] = fields.take()?;
        let prev = Digest::new(fields.number()?);
        let grain = GrainId::new("aircraft", "N14228").unwrap();
        let payload = Bytes::copy_from_slice(fields.0);
        let mut draft = Draft::full(grain, cursor, writer, payload);
        draft.kind = kind;
        draft.prev = (has_prev != 0).then_some(prev);
        draft.schema = schema;
        Some((stored, draft))
    }
}

/// What the digest covers, and the digest: equal for two entries that say the same.
fn said(stored: Digest, draft: &Draft) -> impl PartialEq + use<> {
    (
        (stored, draft.kind, draft.cursor, draft.writer),
        (draft.schema, draft.prev, draft.payload.clone()),
    )
}

#[test]
fn every_file_of_the_corpus_behaves_as_it_is_named() {
    for sample in samples("entry", 17) {
        let read = Fields::read(&sample.bytes);
        let verdict = match read.map(|(stored, draft)| draft.seal_as(stored).is_ok()) {
            None => "unread",
            Some(true) => "sealed",
            Some(false) => "refused",
        };
        assert_eq!(verdict, sample.part(0), "{}", sample.name);
    }
}

/// Sealed iff it says exactly what one of the entries said that were sealed before: no change of a
/// covered field passes, and none of the others is refused.
#[test]
fn a_mutated_entry_is_sealed_iff_it_says_what_it_said() {
    let samples = samples("entry", 17);
    let whole: Vec<_> = samples
        .iter()
        .filter(|sample| sample.part(0) == "sealed")
        .map(|sample| {
            let (stored, draft) = Fields::read(&sample.bytes).unwrap();
            said(stored, &draft)
        })
        .collect();
    let limits = Limits::default().with_max_payload(500);
    let (mut sealed, mut refused) = (0, 0);
    for seed in 0..120_000 {
        let bytes = Mutator::new(seed).mutate(&samples, &samples);
        let Some((stored, draft)) = Fields::read(&bytes) else {
            continue;
        };
        let unchanged = whole.contains(&said(stored, &draft));
        match draft.seal_as(stored) {
            Ok(entry) => {
                sealed += 1;
                assert!(unchanged, "seed {seed}: {}", hex(&bytes));
                // What was sealed may still not be what a log takes.
                let fits = entry.check(&limits, "test").is_ok();
                let judged = judge(None, None, &entry, &limits, "test");
                assert!(fits || judged.is_err(), "seed {seed}: {}", hex(&bytes));
            }
            Err(mismatch) => {
                refused += 1;
                assert!(!unchanged, "seed {seed}: {mismatch}: {}", hex(&bytes));
            }
        }
    }
    assert!(sealed > 100 && refused > 10_000, "{sealed} {refused}");
}
