//! L6 again: entries come back as they were, grains are never taken for one another.

use bytes::Bytes;
use gleaner_core::{
    Budget, Cursor, Digest, Draft, Entry, ReplicationLog, Schema, Source, UnixMillis, Writer,
};

use crate::awkward::awkward_grains;
use crate::pen::{Pen, grain};
use crate::sight::{answer, append_all, caught, head, history};
use crate::verdict::{ensure, ensure_eq};
use crate::{LogFactory, Verdict};

/// Every field, labels included.
pub(crate) fn same(seen: &Entry, written: &Entry) -> Verdict {
    ensure_eq!(seen.grain(), written.grain(), "grain");
    ensure_eq!(seen.cursor(), written.cursor(), "cursor");
    let at = written.cursor();
    ensure_eq!(seen.writer(), written.writer(), "writer of {at}");
    ensure_eq!(seen.kind(), written.kind(), "kind of {at}");
    ensure_eq!(seen.prev(), written.prev(), "prev of {at}");
    ensure_eq!(seen.digest(), written.digest(), "digest of {at}");
    ensure_eq!(
        seen.written_at(),
        written.written_at(),
        "written_at of {at}"
    );
    ensure_eq!(seen.source(), written.source(), "source of {at}");
    ensure_eq!(seen.schema(), written.schema(), "schema of {at}");
    ensure!(
        seen.payload() == written.payload(),
        "the payload of {at} has {} bytes, {} were written, or others",
        seen.payload().len(),
        written.payload().len()
    );
    Ok(())
}

/// Extreme numbers, labels and payloads come back equal, by `read_from` and by `catch_up`.
pub(crate) async fn l6_entries_come_back_whole(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "whole")?;
    let writer = Writer::new(u64::MAX);
    let epoch = (1 << 53) - 1;
    let big = log.limits().max_payload().min(1 << 20);
    let every_byte: Vec<u8> = (0..=u8::MAX).cycle().take(big).collect();
    let payloads = [
        Bytes::new(),
        Bytes::from_static(b"\0"),
        Bytes::from(every_byte),
        Bytes::from_static(&[0xff; 300]),
        Bytes::from_static("{\"text\": \"\u{1f33e} ' \\\" % _\"}".as_bytes()),
    ];
    let times = [i64::MIN, -1, 0, 1_760_000_000_000, i64::MAX];
    let schemas = [0, 1, u32::MAX / 2 + 1, u32::MAX, 7];
    let sources = [
        String::new(),
        "eu-west".into(),
        "\0'\u{1f33e}".into(),
        "s".repeat(255),
        "x".into(),
    ];
    let mut written: Vec<Entry> = Vec::new();
    for delta in [false, true] {
        let labels = payloads.iter().zip(times).zip(schemas).zip(&sources);
        for (((payload, time), schema), source) in labels {
            let cursor = Cursor::new(epoch, written.len() as u64 + 1);
            let mut draft = if delta {
                let prev = written.last().map_or(Digest::ZERO, Entry::digest);
                Draft::delta(grain.clone(), cursor, writer, prev, payload.clone())
            } else {
                Draft::full(grain.clone(), cursor, writer, payload.clone())
            };
            draft.written_at = UnixMillis::new(time);
            draft.schema = Schema::new(schema);
            draft.source = Source::new(source.as_str());
            written.push(draft.seal());
        }
    }
    let mut end = Draft::tombstone(grain.clone(), Cursor::new(epoch, 11), writer);
    end.source = Source::new("last");
    end.schema = Schema::new(9);
    written.push(end.seal());
    for (at, entry) in written.iter().enumerate() {
        append_all(&log, std::slice::from_ref(entry)).await?;
        let base = if at < 5 || at == 10 { at } else { 4 };
        let run = caught(&log, &grain, Cursor::ZERO, Budget::UNBOUNDED).await?;
        let expected = written.get(base..=at).unwrap_or_default();
        ensure_eq!(run.entries.len(), expected.len(), "entries in a run");
        for (seen, written) in run.entries.iter().zip(expected) {
            same(seen, written)?;
        }
    }
    let seen = history(&log, &grain).await?;
    ensure_eq!(seen.len(), written.len(), "entries in the history");
    for (seen, written) in seen.iter().zip(&written) {
        same(seen, written)?;
    }
    Ok(())
}

/// Each of many awkward ids is a grain of its own, in every call that takes one.
pub(crate) async fn l6_grains_are_told_apart_by_bytes(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grains = awkward_grains()?;
    let mut written = Vec::new();
    for (at, grain) in grains.iter().enumerate() {
        let mut pen = Pen::new(grain);
        let entries = [pen.leap(at as u64).full(format!("{at}")), pen.delta("+")];
        append_all(&log, entries.get(..1).unwrap_or_default()).await?;
        written.push(entries);
    }
    // One by one, and then together.
    let second: Vec<Entry> = written.iter().map(|[_, delta]| delta.clone()).collect();
    for batch in second.chunks(log.limits().max_batch_entries().clamp(1, 200)) {
        let answers = log.append_batch(batch).await?;
        for entry in batch {
            let answer = answer(&answers, entry.grain())?;
            let head = answer.result.clone()?;
            ensure_eq!(
                head.cursor,
                entry.cursor(),
                "the answer for {}",
                entry.grain()
            );
        }
    }
    let heads = log.heads(&grains).await?;
    for ((grain, entries), seen) in grains.iter().zip(&written).zip(&heads) {
        ensure_eq!(
            *seen,
            crate::pen::head_of(entries),
            "the head of {grain} among others"
        );
        ensure_eq!(*seen, head(&log, grain).await?, "the head of {grain} alone");
        let history = history(&log, grain).await?;
        ensure_eq!(
            history.as_slice(),
            entries.as_slice(),
            "the history of {grain}"
        );
        for (seen, written) in history.iter().zip(entries) {
            same(seen, written)?;
        }
    }
    let wants: Vec<_> = grains
        .iter()
        .map(|grain| (grain.clone(), Cursor::ZERO))
        .collect();
    let answer = log.catch_up(&wants, Budget::UNBOUNDED).await?;
    for (at, entries) in written.iter().enumerate() {
        let run = crate::sight::run_at(&answer, at)?;
        ensure_eq!(
            run.entries.as_slice(),
            entries.as_slice(),
            "the run of grain {at}"
        );
    }
    Ok(())
}
