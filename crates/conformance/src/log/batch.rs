//! L3: batches.

use std::sync::Arc;

use gleaner_core::{Entry, ErrorKind, ReplicationLog};

use crate::pen::{Pen, cursors, grain, head_of};
use crate::sight::{answer, append_all, head, history};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{LogFactory, Verdict};

/// A batch of many grains, their entries mixed: all land, one answer a grain, in order of first entry.
pub(crate) async fn l3_a_batch_is_answered_per_grain(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let (a, b, c) = (grain("t", "a")?, grain("t", "b")?, grain("t", "c")?);
    let (mut pa, mut pb, mut pc) = (Pen::new(&a), Pen::new(&b), Pen::new(&c));
    let batch: Vec<Entry> = [
        pc.write("F"),
        pa.write("FD"),
        pc.write("D"),
        pb.write("T"),
        pa.write("D"),
        pc.write("F"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let answers = log.append_batch(&batch).await?;
    let order: Vec<_> = answers.iter().map(|answer| answer.grain.clone()).collect();
    ensure_eq!(
        order,
        vec![c.clone(), a.clone(), b.clone()],
        "the grains answered for"
    );
    for (grain, count) in [(&a, 3), (&b, 1), (&c, 3)] {
        let own: Vec<Entry> = batch
            .iter()
            .filter(|entry| entry.grain() == grain)
            .cloned()
            .collect();
        let answer = answer(&answers, grain)?;
        ensure_eq!(answer.landed, count, "how many landed of {grain}");
        ensure_eq!(
            answer.result.clone().ok(),
            head_of(&own),
            "the head of {grain}"
        );
        ensure_eq!(
            cursors(&history(&log, grain).await?),
            cursors(&own),
            "the history of {grain}"
        );
    }
    ensure!(
        log.append_batch(&[]).await?.is_empty(),
        "an empty batch is answered for no grain"
    );
    Ok(())
}

/// A refused entry stops its grain: nothing behind it lands, even if it would fit.
pub(crate) async fn l3_a_grain_stops_at_the_first_refusal(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("t", "prefix")?;
    let mut pen = Pen::new(&grain);
    let mut batch = pen.write("FD");
    let landed = batch.clone();
    pen.leap(1);
    // A delta that leaves a number out, and behind it a whole state that would fit the head.
    batch.push(pen.delta("stray"));
    batch.push(pen.full("would fit"));
    let answers = log.append_batch(&batch).await?;
    let answer = answer(&answers, &grain)?;
    ensure_eq!(answer.landed, 2, "how many landed before the refusal");
    let refusal = answer.result.as_ref().err().map(gleaner_core::Error::kind);
    ensure_matches!(
        refusal,
        Some(ErrorKind::Conflict { head }) if *head == head_of(&landed),
        "why the third was refused"
    );
    ensure_eq!(
        cursors(&history(&log, &grain).await?),
        cursors(&landed),
        "the history after a refusal in the midst of a batch"
    );
    ensure_eq!(head(&log, &grain).await?, head_of(&landed), "the head");
    Ok(())
}

/// One grain's refusal touches no other, whatever its place and kind.
pub(crate) async fn l3_grains_are_independent(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for place in 0..3 {
        let mut batch = Vec::new();
        for at in 0..3 {
            let grain = grain("t", &format!("{place} {at}"))?;
            let mut pen = Pen::new(&grain);
            if at == place {
                match place {
                    0 => batch.push(pen.delta("no head")),
                    1 => {
                        append_all(&log, &pen.clone().turn(9, 9).write("F")).await?;
                        batch.push(pen.full("fenced"));
                    }
                    _ => {
                        pen.turn(0, 7);
                        batch.push(pen.full("invalid"));
                    }
                }
            } else {
                batch.extend(pen.write("FDF"));
            }
        }
        let answers = log.append_batch(&batch).await?;
        ensure_eq!(answers.len(), 3, "grains answered for");
        for (at, answer) in answers.iter().enumerate() {
            let (landed, fine) = if at == place { (0, false) } else { (3, true) };
            ensure!(
                answer.landed == landed && answer.result.is_ok() == fine,
                "the bad grain at place {place}, grain {at}: {answer:?}"
            );
            let count = history(&log, &answer.grain).await?.len();
            let expected = if fine { 3 } else { usize::from(place == 1) };
            ensure_eq!(
                count,
                expected,
                "entries of grain {at}, the bad one at {place}"
            );
        }
    }
    Ok(())
}

/// The same batch again, whole, in part or grown, resumes behind the head.
pub(crate) async fn l3_a_retry_resumes_behind_the_head(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let whole = "FDDFDTF";
    for done in 0..=whole.len() {
        let grain = grain("retry", &format!("{done}"))?;
        let batch = Pen::new(&grain).write(whole);
        append_all(&log, batch.get(..done).unwrap_or_default()).await?;
        for round in 0..2 {
            let answers = log.append_batch(&batch).await?;
            let answer = answer(&answers, &grain)?;
            ensure_eq!(
                (answer.landed, answer.result.clone().ok()),
                (batch.len(), head_of(&batch)),
                "a batch of which {done} had landed, round {round}"
            );
            ensure_eq!(
                cursors(&history(&log, &grain).await?),
                cursors(&batch),
                "the history after a retry, {done} had landed"
            );
        }
    }
    Ok(())
}

/// A batch that ends below the head is no retry: nothing of it is written.
pub(crate) async fn l3_an_overtaken_batch_is_refused(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("t", "overtaken")?;
    let entries = Pen::new(&grain).write("FFF");
    append_all(&log, &entries).await?;
    let answers = log
        .append_batch(entries.get(..2).unwrap_or_default())
        .await?;
    let answer = answer(&answers, &grain)?;
    ensure_matches!(
        answer.result.as_ref().err().map(gleaner_core::Error::kind),
        Some(ErrorKind::Conflict { head: Some(_) }),
        "entries below the head"
    );
    ensure_eq!(history(&log, &grain).await?.len(), 3, "entries");
    Ok(())
}

/// Batches that race, on shared and on own grains: each grain's history is a chain, and exactly
/// what was answered as landed.
pub(crate) async fn l3_racing_batches_land_as_prefixes(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let shared = grain("t", "shared")?;
    let mut tasks = Vec::new();
    for hand in 0..5 {
        let own = grain("t", &format!("own {hand}"))?;
        let (log, shared) = (Arc::clone(&log), shared.clone());
        tasks.push(tokio::spawn(async move {
            let mut pen = Pen::new(&own);
            for round in 0..6 {
                let mut batch = pen.write("FD");
                let mut other = Pen::new(&shared);
                other.sequence = round * 2;
                batch.insert(1, other.full(format!("{hand}")));
                batch.push(other.delta(format!("{hand}")));
                for answer in log.append_batch(&batch).await? {
                    if answer.grain == own {
                        ensure!(
                            answer.landed == 2 && answer.result.is_ok(),
                            "an undisputed grain: {answer:?}"
                        );
                    } else if answer.result.is_ok() {
                        ensure_eq!(answer.landed, 2, "landed of an accepted run");
                    }
                }
            }
            Ok(history(&*log, &own).await?.len())
        }));
    }
    for task in tasks {
        ensure_eq!(task.await??, 12, "entries of an undisputed grain");
    }
    let entries = history(&*log, &shared).await?;
    ensure!(
        !entries.is_empty() && crate::pen::is_chain(&entries),
        "the disputed grain's history: {entries:?}"
    );
    Ok(())
}

/// A batch over a limit is refused whole.
pub(crate) async fn l3_a_batch_over_a_limit_writes_nothing(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    super::limits::triable(factory, &log)?;
    let limits = log.limits();
    let grain = grain("t", "too many")?;
    let mut pen = Pen::new(&grain);
    let batch: Vec<Entry> = (0..=limits.max_batch_entries())
        .map(|_| pen.full("x"))
        .collect();
    let answer = log.append_batch(&batch).await;
    ensure_matches!(
        answer.as_ref().map_err(gleaner_core::Error::kind),
        Err(ErrorKind::Invalid),
        "one entry more than a batch takes"
    );
    let count = limits.max_batch_bytes() / limits.max_payload().max(1) + 1;
    if count <= limits.max_batch_entries() {
        let payload = bytes::Bytes::from(vec![7_u8; limits.max_payload()]);
        let mut pen = Pen::new(&grain);
        let batch: Vec<Entry> = (0..count).map(|_| pen.full(payload.clone())).collect();
        let answer = log.append_batch(&batch).await;
        ensure_matches!(
            answer.as_ref().map_err(gleaner_core::Error::kind),
            Err(ErrorKind::Invalid),
            "{count} of the largest payloads in one batch"
        );
    }
    ensure_eq!(
        head(&log, &grain).await?,
        None,
        "the head after refused batches"
    );
    ensure!(
        history(&log, &grain).await?.is_empty(),
        "a refused batch wrote"
    );
    Ok(())
}
