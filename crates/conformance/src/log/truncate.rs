//! L7: truncation always leaves a base to rebuild from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gleaner_core::{Budget, Cursor, ErrorKind, ReplicationLog, Truncation};

use crate::awkward::awkward_grains;
use crate::pen::{Pen, cursors, grain, head_of, is_chain};
use crate::sight::{append_all, append_many, head, history, refused};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{LogFactory, Verdict};

/// At every cursor: what is left begins at the newest base at or below it.
pub(crate) async fn l7_truncation_is_rounded_down_to_a_base(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for at in 0..=9_u64 {
        let grain = grain("cut", &format!("{at}"))?;
        let mut pen = Pen::new(&grain);
        let mut all = pen.write("FDDF");
        all.extend(pen.turn(2, 8).write("FDTFD"));
        append_all(&log, &all).await?;
        let before = match at {
            0 => Cursor::ZERO,
            1..=4 => Cursor::new(1, at),
            _ => Cursor::new(2, at),
        };
        let first = all
            .iter()
            .rposition(|entry| entry.kind().is_base() && entry.cursor() <= before)
            .unwrap_or(0);
        let left = all.get(first..).unwrap_or_default();
        let done = log.truncate(&grain, before).await?;
        ensure_eq!(
            done.removed,
            first as u64,
            "entries removed before {before}"
        );
        if first > 0 {
            ensure_eq!(
                Some(done.floor),
                cursors(left).first().copied(),
                "the floor after truncation before {before}"
            );
        }
        ensure_eq!(
            cursors(&history(&log, &grain).await?),
            cursors(left),
            "what is left before {before}"
        );
        ensure_eq!(head(&log, &grain).await?, head_of(&all), "the head stays");
    }
    Ok(())
}

/// Beyond the head the newest base and what follows it stay.
pub(crate) async fn l7_beyond_the_head_the_newest_base_stays(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for before in [
        Cursor::new(1, 99),
        Cursor::new(7, 1),
        Cursor::new((1 << 53) - 1, (1 << 53) - 1),
        Cursor::new(u64::MAX, u64::MAX),
    ] {
        let grain = grain("cut", &format!("{before}"))?;
        let mut pen = Pen::new(&grain);
        let all = pen.write("FFDD");
        append_all(&log, &all).await?;
        let done = log.truncate(&grain, before).await?;
        let expected = Truncation {
            removed: 1,
            floor: Cursor::new(1, 2),
        };
        ensure_eq!(done, expected, "truncation before {before}");
        ensure_eq!(
            history(&log, &grain).await?,
            all.get(1..).unwrap_or_default().to_vec(),
            "what is left"
        );
        append_all(&log, &pen.write("DF")).await?;
    }
    Ok(())
}

/// The same truncation again, or an earlier one, removes nothing; the floor does not fall.
pub(crate) async fn l7_truncation_again_changes_nothing(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "again")?;
    let all = Pen::new(&grain).write("FDFDFD");
    append_all(&log, &all).await?;
    let first = log.truncate(&grain, Cursor::new(1, 5)).await?;
    ensure_eq!(first.removed, 4, "entries removed");
    for before in [5, 6, 4, 3, 1, 0] {
        let again = log.truncate(&grain, Cursor::new(1, before)).await?;
        let expected = Truncation {
            removed: 0,
            floor: Cursor::new(1, 5),
        };
        ensure_eq!(
            again,
            expected,
            "truncation before 1:{before}, after one before 1:5"
        );
    }
    ensure_eq!(
        history(&log, &grain).await?,
        all.get(4..).unwrap_or_default().to_vec(),
        "what is left"
    );
    Ok(())
}

/// A dead grain keeps tombstone, head, fence and floor.
pub(crate) async fn l7_dead_grains_keep_head_fence_and_floor(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "dead")?;
    let mut pen = Pen::new(&grain);
    let all = pen.turn(3, 8).write("FDT");
    append_all(&log, &all).await?;
    let done = log.truncate(&grain, Cursor::new(9, 9)).await?;
    let expected = Truncation {
        removed: 2,
        floor: Cursor::new(3, 3),
    };
    ensure_eq!(done, expected, "truncation of a dead grain");
    ensure_eq!(head(&log, &grain).await?, head_of(&all), "the head");
    ensure_eq!(
        history(&log, &grain).await?,
        all.get(2..).unwrap_or_default().to_vec(),
        "what is left"
    );
    let late = pen.clone().turn(2, 7).full("late");
    ensure_matches!(
        refused(&log, &late).await?,
        ErrorKind::Fenced { .. },
        "a deposed writer, after truncation"
    );
    let below = log
        .read_from(&grain, Cursor::new(3, 1), Budget::UNBOUNDED)
        .await;
    ensure_matches!(
        below.as_ref().map_err(gleaner_core::Error::kind),
        Err(ErrorKind::Truncated { .. }),
        "reading below the floor"
    );
    append_all(&log, &pen.write("F")).await
}

/// A claim above the entries survives truncation.
pub(crate) async fn l7_a_claim_survives_truncation(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "claimed")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.write("FF")).await?;
    super::append::claim(&log, pen.clone().turn(5, 8)).await?;
    log.truncate(&grain, Cursor::new(9, 9)).await?;
    ensure_matches!(
        refused(&log, &pen.clone().full("late")).await?,
        ErrorKind::Fenced { .. },
        "the deposed writer, after truncation"
    );
    append_all(&log, &pen.turn(5, 8).write("F")).await
}

/// A grain without entries, and one without a base below the cursor, lose nothing.
pub(crate) async fn l7_nothing_to_truncate_is_no_error(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let unknown = grain("plane", "unknown")?;
    let done = log.truncate(&unknown, Cursor::new(1, 1)).await?;
    let expected = Truncation {
        removed: 0,
        floor: Cursor::ZERO,
    };
    ensure_eq!(done, expected, "truncation of an unknown grain");
    ensure_eq!(
        head(&log, &unknown).await?,
        None,
        "the unknown grain's head"
    );
    let grain = grain("plane", "high")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.turn(2, 7).leap(10).write("FD")).await?;
    let done = log.truncate(&grain, Cursor::new(1, 99)).await?;
    ensure_eq!(done.removed, 0, "entries removed below the first");
    let page = log
        .read_from(&grain, Cursor::new(2, 11), Budget::UNBOUNDED)
        .await?;
    ensure_eq!(page.entries.len(), 1, "entries after the first");
    Ok(())
}

/// Of many awkward ids, each is cut by itself.
pub(crate) async fn l7_grains_are_told_apart_by_bytes(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grains = awkward_grains()?;
    let histories: Vec<_> = grains
        .iter()
        .map(|grain| Pen::new(grain).write("FDF"))
        .collect();
    append_many(&log, &histories.concat()).await?;
    for (at, grain) in grains.iter().enumerate() {
        if at % 2 == 0 {
            let cut = log.truncate(grain, Cursor::new(1, 3)).await?;
            ensure_eq!(cut.removed, 2, "entries removed of {grain}");
        }
    }
    for (at, (grain, all)) in grains.iter().zip(&histories).enumerate() {
        let left = all.get(if at % 2 == 0 { 2.. } else { 0.. });
        ensure_eq!(
            cursors(&history(&log, grain).await?),
            cursors(left.unwrap_or_default()),
            "what is left of {grain}"
        );
    }
    Ok(())
}

/// While one side appends and another truncates, every read begins with a base and is a chain.
pub(crate) async fn l7_readers_always_find_a_base(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let grain = grain("plane", "busy")?;
    let done = Arc::new(AtomicBool::new(false));
    let cutter = {
        let (log, done, grain) = (Arc::clone(&log), Arc::clone(&done), grain.clone());
        tokio::spawn(async move {
            let mut floor = Cursor::ZERO;
            while !done.load(Ordering::SeqCst) {
                let cut = log.truncate(&grain, Cursor::new(9, 9)).await?;
                ensure!(
                    cut.floor >= floor,
                    "the floor fell from {floor} to {}",
                    cut.floor
                );
                floor = cut.floor;
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    };
    let reads = Arc::new(AtomicUsize::new(0));
    let reader = {
        let (log, done, grain) = (Arc::clone(&log), Arc::clone(&done), grain.clone());
        let reads = Arc::clone(&reads);
        tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                let page = log
                    .read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED)
                    .await?;
                ensure!(
                    page.entries
                        .first()
                        .is_none_or(|entry| entry.kind().is_base())
                        && is_chain(&page.entries),
                    "what is left must begin with a base: {:?}",
                    cursors(&page.entries)
                );
                reads.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    };
    let mut pen = Pen::new(&grain);
    let mut verdict = Ok(());
    // Until the reader has had its share, also on a backend where an append is over in no time.
    let mut round = 0;
    while round < 40 || (reads.load(Ordering::SeqCst) < 300 && !reader.is_finished()) {
        round += 1;
        let entries = pen.write(if round % 5 == 4 { "TF" } else { "FDDDD" });
        verdict = append_all(&*log, &entries).await;
        if verdict.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    let (cut, read): (Verdict, Verdict) = (cutter.await?, reader.await?);
    verdict.and(cut).and(read)
}
