//! F2 and F4: pages of any size get on, and what comes later lies behind them.

use std::collections::HashMap;

use gleaner_core::{Filter, ReplicationLog};

use super::reader::{Reader, feed_of};
use crate::pen::{Pen, grain};
use crate::sight::{append_all, append_many};
use crate::verdict::{ensure, ensure_eq};
use crate::{LogFactory, Verdict};

/// Feed shards that a backend may have: each gets a share of the limit, and at least one.
const SHARDS: usize = 64;

/// What is appended after a page, complete or cut, is named behind it, also of a grain that the
/// page named.
pub(crate) async fn f2_what_comes_later_is_after_next(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let mut reader = Reader::start(feed, Filter::all()).await?;
    let mut pens = Vec::new();
    for at in 0..9 {
        let mut pen = Pen::new(&grain("later", &format!("{at}"))?);
        append_all(&log, &pen.write("F")).await?;
        pens.push(pen);
    }
    for limit in [1, 2, 5, 100] {
        reader.page(feed, limit).await?;
        reader.told.clear();
        let mut heads = HashMap::new();
        for pen in &mut pens {
            let head = log.append(pen.full("again")).await?;
            heads.insert(pen.grain.clone(), head.cursor);
        }
        reader.drain(feed, limit).await?;
        reader.must_know(&heads, &format!("after a page of {limit}"))?;
    }
    Ok(())
}

/// At the end: complete, and nothing to say; so it stays until something is written.
pub(crate) async fn f2_the_end_is_complete(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let mut reader = Reader::start(feed, Filter::all()).await?;
    ensure!(
        reader.page(feed, 10).await?.complete,
        "an empty log's feed is at its end"
    );
    let grain = grain("end", "x")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.write("FDF")).await?;
    reader.drain(feed, 10).await?;
    for _ in 0..3 {
        ensure!(
            reader.page(feed, 10).await?.complete,
            "a drained feed to which nothing was written is at its end"
        );
    }
    // A position taken now, and a drained reader, are both told of the next move.
    let mut fresh = Reader::start(feed, Filter::all()).await?;
    let head = log.append(pen.full("next")).await?;
    for reader in [&mut reader, &mut fresh] {
        reader.told.clear();
        reader.drain(feed, 10).await?;
        reader.must_know([(&grain, &head.cursor)], "the move after the end")?;
    }
    Ok(())
}

/// A page is about as large as asked for, and any limit gets to the end.
pub(crate) async fn f4_any_limit_gets_to_the_end(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let mut reader = Reader::start(feed, Filter::all()).await?;
    let start = reader.since.clone();
    let mut batch = Vec::new();
    for at in 0..300 {
        batch.push(Pen::new(&grain("many", &format!("{at}"))?).full("x"));
    }
    let mut heads = HashMap::new();
    append_many(&log, &batch).await?;
    for entry in &batch {
        heads.insert(entry.grain().clone(), entry.cursor());
    }
    ensure_eq!(heads.len(), 300, "grains written");
    for limit in [0, 1, 10, 299, 300, 10_000] {
        reader.since = start.clone();
        reader.told.clear();
        for pages in 1.. {
            let page = reader.page(feed, limit).await?;
            ensure!(
                page.moved.len() <= limit + SHARDS,
                "a page of limit {limit} names {} grains",
                page.moved.len()
            );
            ensure!(
                pages <= 2_000,
                "300 grains in pages of {limit} do not come to an end"
            );
            if page.complete {
                break;
            }
        }
        reader.must_know(&heads, &format!("in pages of {limit}"))?;
    }
    Ok(())
}
