//! F1 and F2: no grain that moved is left out, whoever writes meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gleaner_core::{Claim, Cursor, Epoch, Filter, GrainId, ReplicationLog, Writer};
use parking_lot::Mutex;

use super::reader::{Reader, feed_of};
use crate::pen::{Pen, grain};
use crate::sight::append_all;
use crate::verdict::{ensure, ensure_eq};
use crate::{LogFactory, Verdict};

/// Every kind of entry names its grain, with its head; once more after each move.
pub(crate) async fn f1_every_moved_grain_is_named(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let mut pens = Vec::new();
    for at in 0..7 {
        pens.push(Pen::new(&grain("moved", &format!("{at}"))?));
    }
    let mut reader = Reader::start(feed, Filter::all()).await?;
    for (round, kinds) in ["F", "D", "FD", "T", "FD"].into_iter().enumerate() {
        let mut heads = HashMap::new();
        for (at, pen) in pens.iter_mut().enumerate() {
            // Not all of them move in each round; none is written a delta after its tombstone.
            if round == 0 || round == 4 || at % 2 == round % 2 {
                for entry in pen.write(kinds) {
                    let head = log.append(entry).await?;
                    heads.insert(pen.grain.clone(), head.cursor);
                }
            }
        }
        reader.told.clear();
        reader.drain(feed, 3).await?;
        reader.must_know(&heads, &format!("round {round}, {kinds}"))?;
    }
    Ok(())
}

/// What is named is named with a head that the log has or had: never above, digest and kind right.
pub(crate) async fn f1_heads_in_a_page_are_the_logs(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let since = feed.start(&Filter::all()).await?;
    for kinds in ["F", "FD", "FDT", "FTF"] {
        append_all(&log, &Pen::new(&grain("heads", kinds)?).write(kinds)).await?;
    }
    let page = feed.changes(&since, &Filter::all(), 100).await?;
    ensure!(page.complete, "a page of 100 for 4 grains is complete");
    for moved in &page.moved {
        let head = crate::sight::head(&log, &moved.grain).await?;
        ensure_eq!(Some(moved.head), head, "the head of {}", moved.grain);
    }
    Ok(())
}

/// A filter leaves out no grain of its type, however many others move.
pub(crate) async fn f1_a_filter_leaves_out_none_of_its_own(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let mut readers = Vec::new();
    for filter in [
        Filter::all(),
        Filter::grain_type("a"),
        Filter::grain_type("b"),
        Filter::grain_type("nobody"),
    ] {
        readers.push(Reader::start(feed, filter).await?);
    }
    let mut heads = HashMap::new();
    for at in 0..60 {
        let grain = grain(
            ["a", "b", "ab", "a\0"].get(at % 4).unwrap_or(&"a"),
            &format!("{at}"),
        )?;
        let head = log.append(Pen::new(&grain).full("x")).await?;
        heads.insert(grain, head.cursor);
    }
    for reader in &mut readers {
        for limit in [1, 7, 1000] {
            let from = reader.since.clone();
            reader.told.clear();
            reader.drain(feed, limit).await?;
            reader.must_know(&heads, &format!("in pages of {limit}"))?;
            reader.since = from;
        }
    }
    Ok(())
}

/// A grain that was claimed and has no entry is not named; one that has keeps its head.
pub(crate) async fn f1_a_claim_moves_nothing(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let since = feed.start(&Filter::all()).await?;
    let (unborn, living) = (grain("claims", "unborn")?, grain("claims", "living")?);
    let head = log.append(Pen::new(&living).full("x")).await?;
    let claims = [&unborn, &living].map(|grain| Claim {
        grain: grain.clone(),
        epoch: Epoch::new(4),
        writer: Writer::new(8),
    });
    for answer in log.claim(&claims).await? {
        answer?;
    }
    let page = feed.changes(&since, &Filter::all(), 100).await?;
    ensure!(page.complete, "a page of 100 for one grain is complete");
    for moved in &page.moved {
        ensure!(
            moved.grain == living && moved.head == head,
            "after claims the feed names {moved:?}"
        );
    }
    ensure!(!page.moved.is_empty(), "the grain with an entry is named");
    Ok(())
}

/// Many writers, each with grains of its own that it writes once, a reader that pages all the while:
/// a complete page leaves out nothing that was acknowledged before it was asked for.
pub(crate) async fn f1_nothing_is_left_out_while_many_write(factory: &impl LogFactory) -> Verdict {
    busy(factory, 5, Filter::all(), Writing::Alone).await
}

/// The same with a filter, and with batches of many grains.
pub(crate) async fn f1_nothing_of_a_type_is_left_out_while_many_write(
    factory: &impl LogFactory,
) -> Verdict {
    busy(factory, 3, Filter::grain_type("odd"), Writing::Batches).await
}

/// The same in one large page after the other: what a page did not see lies behind its `next`.
pub(crate) async fn f2_next_is_of_the_pages_snapshot(factory: &impl LogFactory) -> Verdict {
    busy(factory, 100_000, Filter::all(), Writing::Alone).await?;
    busy(factory, 100_000, Filter::all(), Writing::Batches).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writing {
    Alone,
    Batches,
}

const WRITERS: usize = 4;

async fn busy<F: LogFactory>(
    factory: &F,
    limit: usize,
    filter: Filter,
    writing: Writing,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let acknowledged: Arc<Mutex<HashMap<GrainId, Cursor>>> = Arc::default();
    let finished = Arc::new(AtomicUsize::new(0));
    let mut reader = Reader::start(feed_of(&*log)?, filter).await?;
    let mut writers = Vec::new();
    for hand in 0..WRITERS {
        let (log, acknowledged, finished) = (
            Arc::clone(&log),
            Arc::clone(&acknowledged),
            Arc::clone(&finished),
        );
        writers.push(tokio::spawn(async move {
            let verdict = write(&*log, hand, writing, &acknowledged).await;
            finished.fetch_add(1, Ordering::SeqCst);
            verdict
        }));
    }
    let (mut pages, mut behind) = (0, 0);
    loop {
        let last = finished.load(Ordering::SeqCst) == WRITERS;
        let known = acknowledged.lock().clone();
        let page = reader.page(feed_of(&*log)?, limit).await?;
        if page.complete {
            reader.must_know(&known, &format!("by page {pages}, which says complete"))?;
            if last {
                break;
            }
        }
        pages += 1;
        // While they write it has no end; how long that takes is no matter of the feed's.
        behind += usize::from(last);
        ensure!(behind < 10_000, "the feed does not come to an end");
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await??;
    }
    let known = acknowledged.lock().clone();
    ensure_eq!(known.len(), WRITERS * 40, "grains written");
    reader.must_know(&known, "in the end")
}

async fn write<L: ReplicationLog>(
    log: &L,
    hand: usize,
    writing: Writing,
    acknowledged: &Mutex<HashMap<GrainId, Cursor>>,
) -> Verdict {
    let size = if writing == Writing::Batches { 4 } else { 1 };
    for round in 0..40 / size {
        let mut batch = Vec::new();
        for place in 0..size {
            let kind = if (round + place) % 2 == 0 {
                "even"
            } else {
                "odd"
            };
            batch.push(Pen::new(&grain(kind, &format!("{hand} {round} {place}"))?).full("x"));
        }
        for answer in log.append_batch(&batch).await? {
            let head = answer.result?;
            acknowledged.lock().insert(answer.grain, head.cursor);
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}
