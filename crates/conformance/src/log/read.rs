//! L5 and L6: what is visible stays, and how it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gleaner_core::{Budget, Cursor, ErrorKind, ReplicationLog};

use crate::pen::{Dice, Pen, cursors, grain};
use crate::sight::{append_all, fits, history, sizes};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{LogFactory, Verdict};

/// While entries are written, each read holds all that a former one held, at the same places.
pub(crate) async fn l5_no_hole_fills_in_later(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let done = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    let grain = grain("plane", "holes")?;
    let reader = {
        let (log, done, grain) = (Arc::clone(&log), Arc::clone(&done), grain.clone());
        let reads = Arc::clone(&reads);
        tokio::spawn(async move {
            let mut known: Vec<Cursor> = Vec::new();
            loop {
                let last = done.load(Ordering::SeqCst);
                let seen = cursors(&history(&*log, &grain).await?);
                ensure!(
                    seen.starts_with(&known),
                    "an entry vanished, or appeared below visible ones: first {known:?}, then {seen:?}"
                );
                known = seen;
                reads.fetch_add(1, Ordering::SeqCst);
                if last {
                    return Ok(known.len());
                }
                tokio::task::yield_now().await;
            }
        })
    };
    // Writers race for each number, so that refused ones lie between the accepted ones.
    let mut pen = Pen::new(&grain);
    let mut written = 0;
    let mut round = 0;
    while round < 40 || (reads.load(Ordering::SeqCst) < 60 && !reader.is_finished()) {
        round += 1;
        let entries = pen
            .clone()
            .write(if round % 3 == 0 { "FDDF" } else { "FF" });
        let (one, other) = tokio::join!(log.append_batch(&entries), log.append_batch(&entries));
        for answer in [one?, other?].into_iter().flatten() {
            ensure!(
                answer.result.is_ok(),
                "the same batch twice at once: {answer:?}"
            );
        }
        written += entries.len();
        if let Some(last) = entries.last() {
            pen = Pen::after(last);
        }
        pen.leap(1);
        // In step with the reader, which reads all of it each time: a history that grew while it
        // reads would keep it from ever having read often enough.
        let read = reads.load(Ordering::SeqCst);
        while reads.load(Ordering::SeqCst) == read && !reader.is_finished() {
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::SeqCst);
    ensure_eq!(reader.await??, written, "entries seen in the end");
    Ok(())
}

/// Every entry is read again as it was, after others, a claim and a new epoch.
pub(crate) async fn l5_entries_stay_as_they_are(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "stays")?;
    let mut pen = Pen::new(&grain);
    let mut written = Vec::new();
    for epoch in 1..=4 {
        let entries = pen.turn(epoch, epoch).write("FDDTFD");
        append_all(&log, &entries).await?;
        written.extend(entries);
        let seen = history(&log, &grain).await?;
        ensure_eq!(seen, written, "the whole history in epoch {epoch}");
    }
    Ok(())
}

/// What was truncated does not come back, and nothing above the floor goes.
pub(crate) async fn l5_below_the_floor_is_gone_for_good(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "gone")?;
    let mut pen = Pen::new(&grain);
    let mut left = pen.write("FDFDD");
    append_all(&log, &left).await?;
    log.truncate(&grain, Cursor::new(1, 4)).await?;
    left.drain(..2);
    for kinds in ["F", "D", "TF", "D"] {
        let entries = pen.write(kinds);
        append_all(&log, &entries).await?;
        left.extend(entries);
        ensure_eq!(
            history(&log, &grain).await?,
            left,
            "the history after truncation"
        );
    }
    Ok(())
}

/// Strictly after a cursor, ascending: at entries, between them, between epochs, at the end.
pub(crate) async fn l6_reads_strictly_after(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "after")?;
    let mut pen = Pen::new(&grain);
    let mut all = pen.leap(2).write("FD");
    all.extend(pen.leap(5).write("FD"));
    all.extend(pen.turn(4, 8).write("FD"));
    append_all(&log, &all).await?;
    let last = (1_u64 << 53) - 1;
    let mut afters = vec![
        Cursor::ZERO,
        Cursor::new(0, 5),
        Cursor::new(1, 0),
        Cursor::new(1, 1),
        Cursor::new(1, 6),
        Cursor::new(1, last),
        Cursor::new(2, 0),
        Cursor::new(3, last),
        Cursor::new(4, 0),
        Cursor::new(4, last),
        Cursor::new(last, last),
        Cursor::new(u64::MAX, u64::MAX),
    ];
    afters.extend(cursors(&all));
    for after in afters {
        let page = log.read_from(&grain, after, Budget::UNBOUNDED).await?;
        let expected: Vec<Cursor> = cursors(&all)
            .into_iter()
            .filter(|cursor| *cursor > after)
            .collect();
        ensure_eq!(cursors(&page.entries), expected, "entries after {after}");
        ensure!(
            !page.more,
            "all entries after {after} came, and more is said"
        );
    }
    Ok(())
}

/// With any bound on entries and bytes: within it, at least one, and `more` says truly.
pub(crate) async fn l6_more_is_truthful_within_any_budget(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "budget")?;
    let mut pen = Pen::new(&grain);
    let all: Vec<_> = [5, 100, 1, 30, 30, 0, 200, 7]
        .into_iter()
        .map(|size| pen.full(vec![b'x'; size]))
        .collect();
    append_all(&log, &all).await?;
    for entries in 1..=all.len() + 1 {
        for bytes in [0, 1, 6, 100, 105, 131, 373, usize::MAX] {
            let budget = Budget::new(entries, bytes);
            let (mut after, mut seen, mut rounds) = (Cursor::ZERO, Vec::new(), 0);
            loop {
                let page = log.read_from(&grain, after, budget).await?;
                ensure!(
                    fits(&page.entries, budget),
                    "entries of {:?} bytes for {budget:?}",
                    sizes(&page.entries)
                );
                let Some(last) = page.entries.last() else {
                    ensure!(false, "an empty page after {after} for {budget:?}");
                    break;
                };
                after = last.cursor();
                seen.extend(cursors(&page.entries));
                ensure_eq!(
                    page.more,
                    seen.len() < all.len(),
                    "more after {after} for {budget:?}"
                );
                rounds += 1;
                ensure!(rounds <= all.len(), "pages without end for {budget:?}");
                if !page.more {
                    break;
                }
            }
            ensure_eq!(seen, cursors(&all), "the pages together, for {budget:?}");
        }
    }
    Ok(())
}

/// One entry larger than the budget still comes.
pub(crate) async fn l6_one_entry_comes_however_large(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "large")?;
    let mut pen = Pen::new(&grain);
    let size = log.limits().max_payload().min(300_000);
    let entries = [pen.full(vec![1; size]), pen.full(vec![2; size])];
    append_all(&log, &entries).await?;
    for bytes in [0, 1, size - 1] {
        let page = log
            .read_from(&grain, Cursor::ZERO, Budget::new(9, bytes))
            .await?;
        ensure_eq!(
            page.entries.len(),
            1,
            "entries of {size} bytes for {bytes} bytes"
        );
        ensure!(page.more, "the second is still to come");
    }
    Ok(())
}

/// A grain that the log does not know is empty, whatever the cursor.
pub(crate) async fn l6_an_unknown_grain_is_empty(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    append_all(&log, &Pen::new(&grain("plane", "known")?).write("F")).await?;
    let unknown = grain("plane", "unknown")?;
    for after in [Cursor::ZERO, Cursor::new(1, 1), Cursor::new(9, 9)] {
        let page = log.read_from(&unknown, after, Budget::new(3, 3)).await?;
        ensure!(
            page.entries.is_empty() && !page.more,
            "an unknown grain after {after}: {page:?}"
        );
    }
    ensure_eq!(
        log.latest_sequence(&unknown).await?.get(),
        0,
        "an unknown grain's newest sequence"
    );
    Ok(())
}

/// Below the floor: `Truncated`, naming it. At the floor, above, and at ZERO: entries.
pub(crate) async fn l6_below_the_floor_is_truncated(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "floor")?;
    let mut pen = Pen::new(&grain);
    let all = pen.write("FDDFDD");
    append_all(&log, &all).await?;
    let cut = log.truncate(&grain, Cursor::new(1, 5)).await?;
    ensure_eq!(cut.floor, Cursor::new(1, 4), "the floor after truncation");
    for after in [
        Cursor::new(0, 9),
        Cursor::new(1, 0),
        Cursor::new(1, 1),
        Cursor::new(1, 3),
    ] {
        let seen = log.read_from(&grain, after, Budget::UNBOUNDED).await;
        ensure_matches!(
            seen.as_ref().map_err(gleaner_core::Error::kind),
            Err(ErrorKind::Truncated { floor }) if *floor == cut.floor,
            "reading after {after}, below the floor"
        );
    }
    for (after, first) in [
        (Cursor::ZERO, 3),
        (Cursor::new(1, 4), 4),
        (Cursor::new(1, 5), 5),
        (Cursor::new(1, 6), 6),
    ] {
        let page = log.read_from(&grain, after, Budget::UNBOUNDED).await?;
        ensure_eq!(
            page.entries.as_slice(),
            all.get(first..).unwrap_or_default(),
            "reading after {after}, with the floor at 1:4"
        );
    }
    Ok(())
}

/// Neighbours in storage do not leak into a page.
pub(crate) async fn l6_a_page_is_of_one_grain(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let mut dice = Dice::new(6);
    let mut pens = Vec::new();
    for (grain_type, key) in [
        ("a", "b"),
        ("a", "b\0"),
        ("a", "bb"),
        ("a\0", "b"),
        ("ab", "b"),
    ] {
        pens.push((Pen::new(&grain(grain_type, key)?), Vec::new()));
    }
    for _ in 0..40 {
        let at = dice.pick(pens.len());
        if let Some((pen, written)) = pens.get_mut(at) {
            let entries = pen.write("F");
            append_all(&log, &entries).await?;
            written.extend(entries);
        }
    }
    for (pen, written) in &pens {
        ensure_eq!(
            history(&log, &pen.grain).await?,
            *written,
            "the entries of {}",
            pen.grain
        );
    }
    Ok(())
}
