//! L9 and L11 in listings: every grain once, in byte order, from any place.

use gleaner_core::{Cursor, Entry, Filter, GrainId, Head, ReplicationLog, Slice};

use crate::awkward::{awkward_grains, awkward_names};
use crate::pen::{Dice, Pen, grain, head_of};
use crate::sight::{append_all, append_many, listed, listed_after};
use crate::verdict::{Seen, ensure, ensure_eq};
use crate::{LogFactory, Verdict};

async fn written<L: ReplicationLog>(log: &L, grains: &[GrainId]) -> Seen<Vec<(GrainId, Head)>> {
    let mut all = Vec::new();
    for (at, grain) in grains.iter().enumerate().rev() {
        let kinds = ["F", "FD", "FT"].get(at % 3).unwrap_or(&"F");
        let entries = Pen::new(grain).write(kinds);
        append_all(log, &entries).await?;
        all.extend(head_of(&entries).map(|head| (grain.clone(), head)));
    }
    all.reverse();
    Ok(all)
}

/// Awkward ids, dead grains included, in byte order of type, then key, whatever the page.
pub(crate) async fn l9_listings_are_in_byte_order(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let expected = written(&log, &awkward_grains()?).await?;
    for limit in [
        1,
        2,
        7,
        expected.len() - 1,
        expected.len(),
        expected.len() + 1,
        1000,
    ] {
        let seen = listed(&log, &Filter::all(), limit).await?;
        ensure_eq!(
            names(&seen),
            names(&expected),
            "the order, in pages of {limit}"
        );
        ensure_eq!(seen, expected, "the heads, in pages of {limit}");
    }
    Ok(())
}

fn names(heads: &[(GrainId, Head)]) -> Vec<&GrainId> {
    heads.iter().map(|(grain, _)| grain).collect()
}

/// A filter by type gives that type's grains, compared as bytes, and no other.
pub(crate) async fn l9_listings_hold_what_the_filter_says(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let expected = written(&log, &awkward_grains()?).await?;
    let mut types = awkward_names()?;
    types.extend(["type", "a/b", "unknown", ""].map(str::to_owned));
    for name in &types {
        let filter = Filter::grain_type(name.as_str());
        let own: Vec<_> = expected
            .iter()
            .filter(|(grain, _)| grain.grain_type() == name)
            .cloned()
            .collect();
        for limit in [2, 1000] {
            let seen = listed(&log, &filter, limit).await?;
            ensure_eq!(seen, own, "the heads of type {name:?}, in pages of {limit}");
        }
    }
    Ok(())
}

/// A listing goes on strictly after any id, one that exists or not.
pub(crate) async fn l9_listings_go_on_after_any_id(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grains = awkward_grains()?;
    let (kept, left_out): (Vec<_>, Vec<_>) = grains
        .iter()
        .cloned()
        .enumerate()
        .partition(|(at, _)| at % 3 != 0);
    let kept: Vec<GrainId> = kept.into_iter().map(|(_, grain)| grain).collect();
    let expected = written(&log, &kept).await?;
    let mut afters: Vec<GrainId> = left_out.into_iter().map(|(_, grain)| grain).collect();
    afters.extend(kept.iter().cloned());
    for after in &afters {
        for filter in [
            Filter::all(),
            Filter::grain_type("type"),
            Filter::grain_type("a"),
            Filter::grain_type("type").key_prefix("a"),
            Filter::all().key_prefix("a"),
            Filter::all().slices(300..700),
        ] {
            let rest: Vec<_> = expected
                .iter()
                .filter(|(grain, _)| grain > after && filter.includes(grain))
                .cloned()
                .collect();
            let seen = listed_after(&log, &filter, Some(after), 5).await?;
            ensure_eq!(seen, rest, "the heads after {after} of {filter:?}");
        }
    }
    Ok(())
}

/// A key prefix, of one type or of all, is compared as bytes: no wildcard, no other case, no other
/// form of a letter, whole keys and longer ones.
pub(crate) async fn l9_listings_hold_what_a_key_prefix_says(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let expected = written(&log, &awkward_grains()?).await?;
    let mut prefixes = awkward_names()?;
    prefixes.extend(["", "b", "b.", "b\0", "abc", "e", "xxx"].map(str::to_owned));
    for prefix in &prefixes {
        for name in [None, Some("type"), Some("a"), Some("unknown")] {
            let rule = name.map_or_else(Filter::all, Filter::grain_type);
            let filter = rule.key_prefix(prefix.as_str());
            let own: Vec<_> = expected
                .iter()
                .filter(|(grain, _)| name.is_none_or(|name| grain.grain_type() == name))
                .filter(|(grain, _)| grain.grain_key().as_bytes().starts_with(prefix.as_bytes()))
                .cloned()
                .collect();
            for limit in [2, 1000] {
                let seen = listed(&log, &filter, limit).await?;
                ensure_eq!(seen, own, "the heads of {filter}, in pages of {limit}");
            }
        }
    }
    let longer = Filter::all().key_prefix("x".repeat(513));
    let seen = listed(&log, &longer, 10).await?;
    ensure!(seen.is_empty(), "no key is that long: {seen:?}");
    Ok(())
}

/// Slices, alone and with type and prefix, hold the grains whose slice they name.
pub(crate) async fn l9_listings_hold_what_slices_say(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let expected = written(&log, &awkward_grains()?).await?;
    for rule in [
        Filter::all(),
        Filter::grain_type("type"),
        Filter::all().key_prefix("a"),
    ] {
        for slices in [0..1, 0..512, 512..1024, 100..900] {
            let filter = rule.clone().slices(slices.clone());
            let own: Vec<_> = expected
                .iter()
                .filter(|(grain, _)| rule.includes(grain))
                .filter(|(grain, _)| slices.contains(&Slice::of(grain).get()))
                .cloned()
                .collect();
            for limit in [1, 4, 1000] {
                let seen = listed(&log, &filter, limit).await?;
                ensure_eq!(seen, own, "the heads of {filter}, in pages of {limit}");
            }
        }
        let none = listed(&log, &rule.slices([]), 10).await?;
        ensure!(none.is_empty(), "no slice holds no grain: {none:?}");
    }
    Ok(())
}

/// The shares of any number of followers name every grain exactly once.
pub(crate) async fn l9_shares_are_a_partition(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let expected = written(&log, &awkward_grains()?).await?;
    let mut dice = Dice::new(9);
    for round in 0..8 {
        let of = [1, 2, 3, 1024].get(round).copied();
        let of = of.unwrap_or_else(|| u16::try_from(2 + dice.roll(40)).unwrap_or(2));
        let mut named = Vec::new();
        for index in 0..of {
            let share = Filter::all().share(index, of)?;
            named.extend(listed(&log, &share, 1 + dice.pick(20)).await?);
        }
        named.sort_by(|(one, _), (other, _)| one.cmp(other));
        ensure_eq!(named, expected, "what {of} followers list together");
    }
    Ok(())
}

/// Few in the filter among many: whatever a backend looks at in one call, the listing gets to them.
pub(crate) async fn l9_a_sparse_filter_is_listed_to_its_end(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let (crowd, few) = crowd_and_few()?;
    append_many(&log, &crowd).await?;
    append_many(&log, &few).await?;
    let names: Vec<&GrainId> = few.iter().map(Entry::grain).collect();
    let filter = Filter::all().key_prefix("few");
    for limit in [1, 2, 1000] {
        let seen = listed(&log, &filter, limit).await?;
        let seen: Vec<&GrainId> = seen.iter().map(|(grain, _)| grain).collect();
        ensure_eq!(seen, names, "the few among many, in pages of {limit}");
    }
    Ok(())
}

/// Entries of some thousand grains, more than a backend is expected to look at in one call, and of a
/// few whose keys begin with `few`, among them and behind them, in order.
pub(crate) fn crowd_and_few() -> Seen<(Vec<Entry>, Vec<Entry>)> {
    let mut crowd = Vec::new();
    for at in 0..5_000 {
        crowd.push(Pen::new(&grain("crowd", &format!("{at:05}"))?).full("x"));
    }
    let mut few = Vec::new();
    for (name, key) in [("crowd", "few"), ("crowd", "few 1"), ("last", "few")] {
        few.push(Pen::new(&grain(name, key)?).full("x"));
    }
    Ok((crowd, few))
}

/// A page of a limit of nothing still gets on; the end is said; answers carry the identity.
pub(crate) async fn l9_listings_end(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let identity = log.identity().await?;
    let empty = log.list_heads(&Filter::all(), None, 10).await?;
    ensure!(
        empty.heads.is_empty() && empty.next.is_none(),
        "an empty log: {empty:?}"
    );
    ensure_eq!(empty.identity, identity, "the identity of an empty listing");
    let grains = [grain("t", "a")?, grain("t", "b")?, grain("t", "c")?];
    let expected = written(&log, &grains).await?;
    ensure_eq!(
        listed(&log, &Filter::all(), 0).await?,
        expected,
        "in pages of none"
    );
    let page = log.list_heads(&Filter::all(), grains.last(), 10).await?;
    ensure!(
        page.heads.is_empty() && page.next.is_none(),
        "after the last: {page:?}"
    );
    ensure_eq!(page.identity, identity, "the identity of a listing");
    Ok(())
}

/// Truncated, dead and re-based grains are listed with the heads they have.
pub(crate) async fn l9_listings_agree_with_heads(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let mut grains = Vec::new();
    for kinds in ["FFF", "FDFD", "FDT", "TF"] {
        let grain = grain("kinds", kinds)?;
        append_all(&log, &Pen::new(&grain).write(kinds)).await?;
        log.truncate(&grain, Cursor::new(9, 9)).await?;
        grains.push(grain);
    }
    grains.sort();
    let heads = log.heads(&grains).await?;
    let expected: Vec<(GrainId, Head)> = grains
        .iter()
        .cloned()
        .zip(heads)
        .filter_map(|(grain, head)| head.map(|head| (grain, head)))
        .collect();
    ensure_eq!(expected.len(), 4, "heads after truncation");
    ensure_eq!(
        listed(&log, &Filter::all(), 3).await?,
        expected,
        "listed heads"
    );
    // Asked for in any order, twice, and with strangers between.
    let mixed: Vec<GrainId> = [grains.get(2), grains.first(), grains.get(2)]
        .into_iter()
        .flatten()
        .cloned()
        .chain([grain("kinds", "stranger")?])
        .collect();
    let seen = log.heads(&mixed).await?;
    let wanted: Vec<Option<Head>> = mixed
        .iter()
        .map(|grain| {
            expected
                .iter()
                .find(|(id, _)| id == grain)
                .map(|(_, head)| *head)
        })
        .collect();
    ensure_eq!(seen, wanted, "heads in the order asked for");
    Ok(())
}
