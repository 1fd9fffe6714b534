//! S5, S8 and S9 across a restart: what a store opened anew still holds.

use gleaner_core::{Binding, Expected, Filter, LogId, Rebase, ReplicaStore, StopReason};

use super::bench::{applied, apply_as, bound, fold, mark, ours, row, stands};
use crate::pen::{Pen, grain};
use crate::verdict::{Seen, ensure, ensure_eq, ensure_matches};
use crate::{Broken, StoreFactory, Verdict};

async fn reopened<F: StoreFactory>(factory: &F, guard: &F::Guard) -> Seen<F::Store> {
    factory.reopen(guard, Some(fold())).await.ok_or_else(|| {
        Broken::new(
            "the factory reopens nothing: implement reopen, or declare the s..._reopened_... tests not applicable",
        )
    })
}

/// Rows are there again, whole: states, ended ones, rebased ones; and runs go on behind them.
pub(crate) async fn s5_reopened_store_holds_what_it_answered(
    factory: &impl StoreFactory,
) -> Verdict {
    let (guard, mut store) = bound(factory).await?;
    let mut grains = Vec::new();
    for kinds in ["F", "FDD", "FT", "DF"] {
        let grain = grain("kept", kinds)?;
        let mut pen = Pen::new(&grain);
        applied(&store, &grain, &pen.write("F")).await?;
        grains.push((pen, kinds));
    }
    for round in 0..3 {
        for (pen, kinds) in &mut grains {
            let run = pen.write(kinds);
            applied(&store, &pen.grain, &run).await?;
            if round == 1 && *kinds == "F" {
                let now = mark(&store, &pen.grain).await?;
                let rebase = Rebase {
                    grain: pen.grain.clone(),
                    expected: Expected::from(&now),
                    entries: run.clone(),
                };
                let outcome = store.rebase(&ours(), rebase).await?;
                ensure_eq!(outcome.stop, None, "a rebase");
            }
        }
        let mut before = Vec::new();
        for (pen, _) in &grains {
            before.push(row(&store, &pen.grain).await?);
        }
        drop(store);
        store = reopened(factory, &guard).await?;
        // A listing first: it must not depend on what was read before.
        let listed = store.list(&Filter::all(), None, 100).await?;
        ensure_eq!(
            listed.replicas.len(),
            grains.len(),
            "replicas listed after reopening"
        );
        for ((pen, kinds), before) in grains.iter().zip(before) {
            ensure_eq!(
                row(&store, &pen.grain).await?,
                before,
                "round {round}: the replica of {kinds} after reopening"
            );
        }
    }
    Ok(())
}

/// What was removed stays removed, and its generation raised.
pub(crate) async fn s8_reopened_store_refuses_late_applies(factory: &impl StoreFactory) -> Verdict {
    let (guard, store) = bound(factory).await?;
    let (removed, rebased) = (grain("late", "removed")?, grain("late", "rebased")?);
    let mut marks = Vec::new();
    for grain in [&removed, &rebased] {
        applied(&store, grain, &Pen::new(grain).write("FDF")).await?;
        marks.push(mark(&store, grain).await?);
    }
    if let [first, second] = marks.as_slice() {
        ensure!(
            store.remove(&removed, Expected::from(first)).await?,
            "a remove"
        );
        let rebase = Rebase {
            grain: rebased.clone(),
            expected: Expected::from(second),
            entries: Pen::new(&rebased).write("F"),
        };
        ensure_eq!(store.rebase(&ours(), rebase).await?.stop, None, "a rebase");
    }
    drop(store);
    let store = reopened(factory, &guard).await?;
    for (grain, before) in [&removed, &rebased].into_iter().zip(&marks) {
        let replica = row(&store, grain).await?;
        let late = Pen::new(grain).leap(7).write("F");
        let outcome = apply_as(&store, &ours(), grain, before.generation, &late).await?;
        ensure_matches!(
            outcome.stop.map(|stop| stop.why),
            Some(StopReason::Moved),
            "a late apply to {grain}, after reopening"
        );
        ensure_eq!(row(&store, grain).await?, replica, "the replica of {grain}");
        let after = mark(&store, grain).await?;
        ensure!(
            after.generation > before.generation,
            "{grain}: a generation that fell"
        );
    }
    ensure_eq!(
        row(&store, &removed).await?,
        None,
        "a removed replica after reopening"
    );
    stands(&store, &rebased, &Pen::new(&rebased).write("F")).await
}

/// The binding is there again.
pub(crate) async fn s9_reopened_store_remembers_its_log(factory: &impl StoreFactory) -> Verdict {
    let (guard, store) = bound(factory).await?;
    let theirs = LogId::new("another log");
    let old = grain("plane", "old")?;
    applied(&store, &old, &Pen::new(&old).write("F")).await?;
    drop(store);
    let store = reopened(factory, &guard).await?;
    ensure_eq!(
        store.bind(&theirs, None).await?,
        Binding::Foreign { log: ours() },
        "bound to another, after reopening"
    );
    let generation = mark(&store, &old).await?.generation;
    let run = Pen::new(&old).leap(5).write("F");
    let outcome = apply_as(&store, &theirs, &old, generation, &run).await?;
    ensure_eq!(
        outcome.applied,
        0,
        "entries of another log, applied after reopening"
    );
    ensure_eq!(
        store.bind(&theirs, Some(&ours())).await?,
        Binding::Bound,
        "bound to another, replacing ours"
    );
    drop(store);
    let store = reopened(factory, &guard).await?;
    ensure_eq!(
        store.bind(&ours(), None).await?,
        Binding::Foreign {
            log: theirs.clone()
        },
        "bound to the former, after reopening"
    );
    let outcome = apply_as(&store, &theirs, &old, generation, &run).await?;
    ensure_matches!(
        outcome.stop.map(|stop| stop.why),
        Some(StopReason::ForeignLog),
        "a run for a replica of the former log, after reopening"
    );
    Ok(())
}
