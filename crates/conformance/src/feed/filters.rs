//! F1 and F3 with filters by key prefix and slices.

use std::collections::HashMap;

use gleaner_core::{ChangeFeed, Cursor, Filter, GrainId, ReplicationLog};

use super::positions::must_expire;
use super::reader::{Reader, feed_of};
use crate::awkward::{awkward_grains, awkward_names};
use crate::log::crowd_and_few;
use crate::pen::{Dice, Pen, grain};
use crate::sight::{append_all, append_many};
use crate::verdict::{Seen, ensure, ensure_eq};
use crate::{LogFactory, Verdict};

/// Every awkward grain written once.
async fn written<L: ReplicationLog>(log: &L) -> Seen<HashMap<GrainId, Cursor>> {
    let mut heads = HashMap::new();
    for grain in awkward_grains()? {
        let entry = Pen::new(&grain).full("x");
        heads.insert(grain, entry.cursor());
        append_all(log, std::slice::from_ref(&entry)).await?;
    }
    Ok(heads)
}

/// The grains that are named from a position on, each once.
async fn told(feed: &dyn ChangeFeed, filter: &Filter, reader: &mut Reader) -> Seen<Vec<GrainId>> {
    reader.drain(feed, 50).await?;
    let mut told: Vec<GrainId> = reader.told.keys().cloned().collect();
    told.sort();
    for grain in &told {
        ensure!(
            filter.includes(grain),
            "{grain} is named, and is not in the filter: {filter}"
        );
    }
    Ok(told)
}

/// A key prefix and slices, with a type and without: none that moved is left out, and no other
/// is named, since a follower follows what is named.
pub(crate) async fn f1_a_filter_by_prefix_or_slices_names_its_own_alone(
    factory: &impl LogFactory,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let typed = Filter::grain_type("type");
    let mut readers = Vec::new();
    for filter in [
        Filter::all().key_prefix("a"),
        Filter::all().key_prefix("\0"),
        Filter::all().key_prefix("%"),
        Filter::all().key_prefix("x".repeat(512)),
        typed.clone().key_prefix("a"),
        typed.clone().key_prefix("\u{1f33e}"),
        Filter::all().slices(0..512),
        typed.clone().slices(100..900),
        typed.key_prefix("a").slices(0..512),
    ] {
        let reader = Reader::start(feed, filter.clone()).await?;
        readers.push((filter, reader));
    }
    let heads = written(&log).await?;
    for (filter, reader) in &mut readers {
        told(feed, filter, reader).await?;
        reader.must_know(&heads, &format!("of {filter}"))?;
    }
    Ok(())
}

/// A page names each of many awkward ids with its own head; so does one of its type alone, and one of
/// the keys that begin as it does.
pub(crate) async fn f1_grains_are_named_by_their_bytes(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let start = feed.start(&Filter::all()).await?;
    let mut heads = HashMap::new();
    for (at, grain) in awkward_grains()?.iter().enumerate() {
        let head = log
            .append(Pen::new(grain).leap(at as u64).full("x"))
            .await?;
        heads.insert(grain.clone(), head.cursor);
    }
    let mut filters = vec![Filter::all(), Filter::grain_type("type")];
    for name in awkward_names()? {
        filters.push(Filter::grain_type(name.as_str()));
        filters.push(Filter::all().key_prefix(name));
    }
    for filter in &filters {
        let mut reader = Reader::start(feed, filter.clone()).await?;
        // A position of all serves each of them (F3).
        reader.since = start.clone();
        reader.drain(feed, 100).await?;
        reader.must_know(&heads, &format!("of {filter}"))?;
        for (grain, told) in &reader.told {
            ensure_eq!(
                heads.get(grain),
                Some(told),
                "what the feed tells of {grain}"
            );
        }
    }
    Ok(())
}

/// The feeds of the shares of any number of followers name every grain exactly once.
pub(crate) async fn f1_shares_are_a_partition(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let start = feed.start(&Filter::all()).await?;
    let mut expected: Vec<GrainId> = written(&log).await?.into_keys().collect();
    expected.sort();
    let mut dice = Dice::new(5);
    for round in 0..6 {
        let of = [1, 2, 1024].get(round).copied();
        let of = of.unwrap_or_else(|| u16::try_from(2 + dice.roll(40)).unwrap_or(2));
        let mut named = Vec::new();
        for index in 0..of {
            let share = Filter::all().share(index, of)?;
            let mut reader = Reader::start(feed, share.clone()).await?;
            // A position of all serves each share (F3).
            reader.since = start.clone();
            named.extend(told(feed, &share, &mut reader).await?);
        }
        named.sort();
        ensure_eq!(named, expected, "what {of} followers are told together");
    }
    Ok(())
}

/// Few in the filter among many that moved: an empty page is not the end.
pub(crate) async fn f1_a_sparse_filter_is_read_to_its_end(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let (crowd, few) = crowd_and_few()?;
    let filter = Filter::all().key_prefix("few");
    let start = feed.start(&filter).await?;
    append_many(&log, &crowd).await?;
    append_many(&log, &few).await?;
    let heads: HashMap<_, _> = few
        .iter()
        .map(|entry| (entry.grain().clone(), entry.cursor()))
        .collect();
    for limit in [100, 1000] {
        let mut reader = Reader::start(feed, filter.clone()).await?;
        reader.since = start.clone();
        reader.drain(feed, limit).await?;
        reader.must_know(&heads, &format!("the few among many, in pages of {limit}"))?;
    }
    Ok(())
}

/// A position serves longer prefixes and fewer slices; a shorter or another prefix, more or other
/// slices, and none at all, are `Expired`.
pub(crate) async fn f3_a_wider_prefix_or_slice_is_expired(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let typed = Filter::grain_type("t");
    let (prefix, slices) = (typed.clone().key_prefix("ab"), typed.clone().slices(0..512));
    let served = [
        (&prefix, prefix.clone()),
        (&prefix, typed.clone().key_prefix("abc")),
        (&prefix, prefix.clone().slices(0..10)),
        (&slices, slices.clone()),
        (&slices, typed.clone().slices(500..512)),
        (&slices, slices.clone().key_prefix("a")),
    ];
    let refused = [
        (&prefix, typed.clone()),
        (&prefix, typed.clone().key_prefix("a")),
        (&prefix, typed.clone().key_prefix("b")),
        (&prefix, Filter::all().key_prefix("ab")),
        (&prefix, slices.clone()),
        (&slices, typed.clone()),
        (&slices, typed.clone().slices(0..513)),
        (&slices, typed.clone().slices(512..1024)),
        (&slices, Filter::all().slices(0..512)),
        (&slices, prefix.clone()),
    ];
    let mut heads = HashMap::new();
    let mut starts = HashMap::new();
    for filter in [&prefix, &slices] {
        starts.insert(filter.clone(), feed.start(filter).await?);
    }
    for at in 0..100 {
        let begins = ["a", "ab", "abc", "b"].get(at % 4).unwrap_or(&"a");
        let grain = grain("t", &format!("{begins}{at}"))?;
        let head = log.append(Pen::new(&grain).full("x")).await?;
        heads.insert(grain, head.cursor);
    }
    for (of, filter) in served {
        let mut reader = Reader::start(feed, filter.clone()).await?;
        if let Some(start) = starts.get(of) {
            reader.since = start.clone();
        }
        reader.drain(feed, 9).await?;
        reader.must_know(&heads, &format!("of {filter}, by a position of {of}"))?;
        if filter != *of {
            // What a narrower page gave serves that filter alone.
            let what = format!("the position behind a page of {filter}, for {of}");
            must_expire(feed, &reader.since, of, &what).await?;
        }
    }
    for (of, filter) in refused {
        if let Some(start) = starts.get(of) {
            must_expire(
                feed,
                start,
                &filter,
                &format!("a position of {of}, for {filter}"),
            )
            .await?;
        }
    }
    Ok(())
}
