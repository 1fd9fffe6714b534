//! F3: which positions serve, and that a start, a listing and the changes since miss nothing.

use std::collections::HashMap;
use std::sync::Arc;

use gleaner_core::{
    ChangeFeed, Cursor, ErrorKind, Filter, GrainId, Identity, LogId, Position, ReplicationLog,
};
use parking_lot::Mutex;

use super::reader::{Reader, feed_of};
use crate::pen::{Pen, grain};
use crate::sight::{append_all, listed};
use crate::verdict::{Seen, ensure, ensure_eq, ensure_matches};
use crate::{Broken, LogFactory, Verdict};

pub(super) async fn must_expire(
    feed: &dyn ChangeFeed,
    since: &Position,
    filter: &Filter,
    what: &str,
) -> Verdict {
    let seen = feed.changes(since, filter, 10).await;
    ensure_matches!(
        seen.as_ref().map_err(gleaner_core::Error::kind),
        Err(ErrorKind::Expired),
        "{what}"
    );
    Ok(())
}

/// A position, its counters and its filter: what a backend can read of it.
fn counters(position: &Position) -> Seen<Vec<u64>> {
    let identity = position.identity().clone();
    Ok(position
        .counters(&identity, position.filter(), "kit")?
        .to_vec())
}

/// A position serves its own filter and narrower ones; a wider or another one is `Expired`.
pub(crate) async fn f3_a_wider_filter_is_expired(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let (all, a, b) = (
        Filter::all(),
        Filter::grain_type("a"),
        Filter::grain_type("b"),
    );
    let (wide, narrow) = (feed.start(&all).await?, feed.start(&a).await?);
    for grain_type in ["a", "b"] {
        append_all(&log, &Pen::new(&grain(grain_type, "x")?).write("F")).await?;
    }
    must_expire(feed, &narrow, &all, "a position of type a, for all").await?;
    must_expire(feed, &narrow, &b, "a position of type a, for type b").await?;
    for (since, filter) in [(&wide, &all), (&wide, &a), (&wide, &b), (&narrow, &a)] {
        let page = feed.changes(since, filter, 10).await?;
        ensure!(
            page.moved.iter().any(|moved| filter.includes(&moved.grain)),
            "a position for {:?} must serve {filter:?}, named {:?}",
            since.filter(),
            page.moved
        );
    }
    // What a narrower page gave serves that filter alone.
    let next = feed.changes(&wide, &a, 10).await?.next;
    must_expire(
        feed,
        &next,
        &all,
        "the position behind a page of type a, for all",
    )
    .await?;
    must_expire(
        feed,
        &next,
        &b,
        "the position behind a page of type a, for type b",
    )
    .await?;
    feed.changes(&next, &a, 10).await?;
    Ok(())
}

/// A position of another log, or of another history of this one, is `Expired`.
pub(crate) async fn f3_another_identity_is_expired(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let (_other_guard, other) = factory.open().await;
    let feed = feed_of(&log)?;
    let all = Filter::all();
    for log in [&log, &other] {
        append_all(log, &Pen::new(&grain("t", "x")?).write("F")).await?;
    }
    let foreign = feed_of(&other)?.start(&all).await?;
    must_expire(feed, &foreign, &all, "a position of another log").await?;
    let own = feed.start(&all).await?;
    let identity = log.identity().await?;
    ensure_eq!(*own.identity(), identity, "the identity of a position");
    let mut history = identity.history.to_vec();
    history.push(1);
    for identity in [
        Identity::new(identity.log.clone(), history),
        Identity::new(LogId::new("another"), identity.history.clone()),
    ] {
        let since = Position::new(identity, all.clone(), counters(&own)?);
        must_expire(feed, &since, &all, "a position of another identity").await?;
    }
    feed.changes(&own, &all, 10).await?;
    Ok(())
}

/// A position beyond the end is `Expired`: this log never gave it.
pub(crate) async fn f3_beyond_the_end_is_expired(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let all = Filter::all();
    append_all(&log, &Pen::new(&grain("t", "x")?).write("FDF")).await?;
    let end = feed.start(&all).await?;
    let numbers = counters(&end)?;
    for ahead in [1_000_000, u64::from(u32::MAX) << 20] {
        let beyond: Vec<u64> = numbers
            .iter()
            .map(|number| number.saturating_add(ahead))
            .collect();
        let since = Position::new(end.identity().clone(), all.clone(), beyond);
        must_expire(
            feed,
            &since,
            &all,
            &format!("a position {ahead} beyond the end"),
        )
        .await?;
    }
    let none = Position::new(end.identity().clone(), all.clone(), Vec::new());
    must_expire(feed, &none, &all, "a position without a shard").await
}

/// Start, then a listing in pages, then the changes: while others write, no grain is missed.
pub(crate) async fn f3_start_list_changes_miss_nothing(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let acknowledged: Arc<Mutex<HashMap<GrainId, Cursor>>> = Arc::default();
    let mut writers = Vec::new();
    for hand in 0..3 {
        let (log, acknowledged) = (Arc::clone(&log), Arc::clone(&acknowledged));
        writers.push(tokio::spawn(async move {
            for round in 0..40 {
                // Some grains are written again and again, others once.
                let key = if round % 3 == 0 {
                    format!("{hand}")
                } else {
                    format!("{hand} {round}")
                };
                let grain = grain("listed", &key)?;
                let mut pen = Pen::new(&grain);
                pen.leap(round);
                let head = log.append(pen.full("x")).await?;
                acknowledged.lock().insert(grain, head.cursor);
                tokio::task::yield_now().await;
            }
            Ok::<(), Broken>(())
        }));
    }
    let mut readers = Vec::new();
    for filter in [
        Filter::all(),
        Filter::grain_type("listed"),
        Filter::grain_type("listed").key_prefix("1"),
        Filter::all().share(1, 2)?,
    ] {
        let feed = feed_of(&*log)?;
        let mut reader = Reader::start(feed, filter.clone()).await?;
        for (grain, head) in listed(&*log, &filter, 3).await? {
            reader.told.insert(grain, head.cursor);
        }
        reader.page(feed, 4).await?;
        readers.push(reader);
    }
    for writer in writers {
        writer.await??;
    }
    let known = acknowledged.lock().clone();
    ensure!(known.len() > 60, "grains written: {}", known.len());
    for reader in &mut readers {
        reader.drain(feed_of(&*log)?, 4).await?;
        reader.must_know(&known, "by start, listing and changes")?;
    }
    Ok(())
}
