//! S4 in listings and marks: each grain by its bytes, in order, from any place.

use gleaner_core::{Advance, Filter, GrainId, Mark, Replica, ReplicaStore, Slice};

use super::bench::{applied, bound, mark, ours, row};
use crate::awkward::{awkward_grains, awkward_names};
use crate::pen::{Pen, grain};
use crate::verdict::{Seen, ensure, ensure_eq};
use crate::{StoreFactory, Verdict};

type Rows = Vec<(GrainId, Replica)>;

/// Every third one ended.
async fn filled<S: ReplicaStore>(store: &S, grains: &[GrainId]) -> Seen<Rows> {
    let mut runs = Vec::new();
    for (at, grain) in grains.iter().enumerate().rev() {
        let mut pen = Pen::new(grain);
        runs.push(Advance {
            grain: grain.clone(),
            generation: mark(store, grain).await?.generation,
            entries: pen
                .leap(at as u64)
                .write(if at % 3 == 0 { "FT" } else { "FD" }),
        });
    }
    for outcome in store.apply(&ours(), runs).await? {
        ensure!(
            outcome.stop.is_none() && outcome.applied == 2,
            "a run: {outcome:?}"
        );
    }
    let mut rows = Vec::new();
    for (at, grain) in grains.iter().enumerate() {
        let Some(replica) = row(store, grain).await? else {
            return Err(crate::Broken::new(format!("{grain} has no replica")));
        };
        ensure_eq!(
            replica.cursor().sequence.get(),
            at as u64 + 2,
            "the replica of {grain}"
        );
        rows.push((grain.clone(), replica));
    }
    Ok(rows)
}

async fn listed<S: ReplicaStore>(store: &S, filter: &Filter, limit: usize) -> Seen<Rows> {
    listed_after(store, filter, None, limit).await
}

/// From a place on.
async fn listed_after<S: ReplicaStore>(
    store: &S,
    filter: &Filter,
    after: Option<&GrainId>,
    limit: usize,
) -> Seen<Rows> {
    let (mut all, mut after): (Rows, Option<GrainId>) = (Vec::new(), after.cloned());
    loop {
        let page = store.list(filter, after.as_ref(), limit).await?;
        ensure!(
            page.replicas.len() <= limit.max(1),
            "{} replicas for a limit of {limit}",
            page.replicas.len()
        );
        all.extend(page.replicas);
        match page.next {
            None => return Ok(all),
            Some(next) => {
                ensure!(
                    after.as_ref().is_none_or(|before| *before < next),
                    "list does not get on: next is {next} after {after:?}"
                );
                after = Some(next);
            }
        }
    }
}

/// Awkward ids, ended ones included, in byte order of type, then key, whatever page and filter.
pub(crate) async fn s4_listings_are_in_byte_order(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let empty = store.list(&Filter::all(), None, 10).await?;
    ensure!(
        empty.replicas.is_empty() && empty.next.is_none(),
        "an empty store lists {empty:?}"
    );
    let rows = filled(&store, &awkward_grains()?).await?;
    for limit in [0, 1, 7, rows.len() - 1, rows.len(), 1000] {
        let seen = listed(&store, &Filter::all(), limit).await?;
        let names = |rows: &Rows| {
            rows.iter()
                .map(|(grain, _)| grain.clone())
                .collect::<Vec<_>>()
        };
        ensure_eq!(names(&seen), names(&rows), "the order, in pages of {limit}");
        ensure_eq!(seen, rows, "the replicas, in pages of {limit}");
    }
    let mut types = awkward_names()?;
    types.extend(["type", "a/b", "unknown", ""].map(str::to_owned));
    for name in &types {
        let filter = Filter::grain_type(name.as_str());
        let own: Rows = rows
            .iter()
            .filter(|(grain, _)| filter.includes(grain))
            .cloned()
            .collect();
        for limit in [2, 1000] {
            let seen = listed(&store, &filter, limit).await?;
            ensure_eq!(seen, own, "replicas of type {name:?}, in pages of {limit}");
        }
    }
    Ok(())
}

/// A key prefix is compared as bytes, whatever is in it.
pub(crate) async fn s4_listings_hold_what_a_key_prefix_says(
    factory: &impl StoreFactory,
) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let rows = filled(&store, &awkward_grains()?).await?;
    for prefix in &awkward_names()? {
        for rule in [Filter::all(), Filter::grain_type("type")] {
            let typed = rule.clone();
            let filter = rule.key_prefix(prefix.as_str());
            let own: Rows = rows
                .iter()
                .filter(|(grain, _)| typed.includes(grain))
                .filter(|(grain, _)| grain.grain_key().as_bytes().starts_with(prefix.as_bytes()))
                .cloned()
                .collect();
            for limit in [2, 1000] {
                let seen = listed(&store, &filter, limit).await?;
                ensure_eq!(seen, own, "the replicas of {filter}, in pages of {limit}");
            }
        }
    }
    Ok(())
}

/// By key prefix and slices, alone and with a type: the replicas of the filter, and no others.
pub(crate) async fn s4_listings_hold_what_the_filter_says(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let rows = filled(&store, &awkward_grains()?).await?;
    for name in [None, Some("type"), Some("a")] {
        for prefix in [
            "",
            "a",
            "A",
            "a\0",
            "\0",
            "%",
            "_",
            "\u{1f33e}",
            "xxx",
            "none",
        ] {
            for slices in [0..1024, 0..512, 300..400] {
                let rule = name.map_or_else(Filter::all, Filter::grain_type);
                let filter = rule.key_prefix(prefix).slices(slices.clone());
                let own: Rows = rows
                    .iter()
                    .filter(|(grain, _)| name.is_none_or(|name| grain.grain_type() == name))
                    .filter(|(grain, _)| {
                        grain.grain_key().as_bytes().starts_with(prefix.as_bytes())
                    })
                    .filter(|(grain, _)| slices.contains(&Slice::of(grain).get()))
                    .cloned()
                    .collect();
                for limit in [1, 1000] {
                    let seen = listed(&store, &filter, limit).await?;
                    ensure_eq!(seen, own, "the replicas of {filter}, in pages of {limit}");
                }
            }
        }
    }
    Ok(())
}

/// A listing goes on strictly after any id; removed replicas are not in it.
pub(crate) async fn s4_listings_go_on_after_any_id(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grains = awkward_grains()?;
    let mut rows = filled(&store, &grains).await?;
    let gone: Vec<GrainId> = grains.iter().step_by(4).cloned().collect();
    ensure_eq!(
        store.prune(&gone).await?,
        gone.len() as u64,
        "replicas pruned"
    );
    rows.retain(|(grain, _)| !gone.contains(grain));
    for after in &grains {
        for filter in [
            Filter::all(),
            Filter::grain_type("type"),
            Filter::grain_type("type").key_prefix("a"),
            Filter::all().key_prefix("a"),
            Filter::all().slices(300..700),
        ] {
            let rest: Rows = rows
                .iter()
                .filter(|(grain, _)| grain > after && filter.includes(grain))
                .cloned()
                .collect();
            let seen = listed_after(&store, &filter, Some(after), 5).await?;
            ensure_eq!(seen, rest, "the replicas after {after} of {filter:?}");
        }
    }
    Ok(())
}

/// Marks in the order asked for, twice, and of strangers.
pub(crate) async fn s4_marks_are_in_the_order_asked_for(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let (a, b, stranger) = (grain("t", "a")?, grain("t", "b")?, grain("t", "stranger")?);
    applied(&store, &a, &Pen::new(&a).write("FD")).await?;
    applied(&store, &b, &Pen::new(&b).write("FT")).await?;
    let marks = store
        .cursor(&[stranger.clone(), b.clone(), a.clone(), b.clone()])
        .await?;
    let expected = vec![
        mark(&store, &stranger).await?,
        mark(&store, &b).await?,
        mark(&store, &a).await?,
        mark(&store, &b).await?,
    ];
    ensure_eq!(marks, expected, "marks");
    ensure_eq!(
        marks
            .first()
            .map(|mark| mark == &Mark::absent(mark.generation)),
        Some(true),
        "a stranger's mark is that of an absent grain"
    );
    ensure!(store.cursor(&[]).await?.is_empty(), "no grains, no marks");
    Ok(())
}

/// A handle taken before the first state sees it come, change, go and come again.
pub(crate) async fn s4_a_handle_lasts(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "handle")?;
    let now = mark(&store, &grain).await?;
    let handle = store.handle(&grain);
    ensure_eq!(
        handle.is_some(),
        store.is_resident(),
        "whether there is a handle"
    );
    let Some(handle) = handle else {
        ensure_eq!(
            store.peek(&grain),
            None,
            "peek at a store that is not resident"
        );
        return Ok(());
    };
    ensure_eq!(handle.load(), None, "a handle before the first state");
    ensure_eq!(store.peek(&grain), None, "peek before the first state");
    ensure_eq!(
        now.cursor,
        gleaner_core::Cursor::ZERO,
        "the cursor before the first state"
    );
    for round in 0..4 {
        let mut pen = Pen::new(&grain);
        for kinds in ["F", "D", "T", "F"] {
            applied(&store, &grain, &pen.write(kinds)).await?;
            ensure_eq!(
                handle.load(),
                store.get(&grain).await?,
                "round {round}: the handle after {kinds}"
            );
        }
        if round % 2 == 0 {
            store.prune(std::slice::from_ref(&grain)).await?;
        } else {
            let expected = (&mark(&store, &grain).await?).into();
            ensure!(store.remove(&grain, expected).await?, "a remove");
        }
        ensure_eq!(
            handle.load(),
            None,
            "round {round}: the handle after a removal"
        );
        let fresh = store.handle(&grain).and_then(|handle| handle.load());
        ensure_eq!(fresh, None, "round {round}: a new handle after a removal");
    }
    Ok(())
}
