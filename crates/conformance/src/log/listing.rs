//! L9 and L11 in listings: every grain once, in byte order, from any place.

use gleaner_core::{Cursor, Filter, GrainId, Head, ReplicationLog};

use super::fidelity::awkward_grains;
use crate::pen::{Pen, grain, head_of};
use crate::sight::{append_all, listed};
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
    for name in [
        "type",
        "a",
        "A",
        "a/b",
        "a\0",
        "*",
        "%",
        "_",
        ">",
        "\0",
        "\u{1f33e}",
        "unknown",
        "",
    ] {
        let filter = Filter::grain_type(name);
        let own: Vec<_> = expected
            .iter()
            .filter(|(grain, _)| grain.grain_type() == name)
            .cloned()
            .collect();
        for limit in [1, 3, 1000] {
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
        ] {
            let page = log.list_heads(&filter, Some(after), 2).await?;
            let rest: Vec<_> = expected
                .iter()
                .filter(|(grain, _)| grain > after && filter.includes(grain))
                .cloned()
                .collect();
            let first: Vec<_> = rest.iter().take(2).cloned().collect();
            ensure_eq!(page.heads, first, "two heads after {after} of {filter:?}");
            ensure!(
                page.next.is_some() || rest.len() <= 2,
                "the listing after {after} ended with {} heads left out",
                rest.len() - 2
            );
        }
    }
    Ok(())
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
