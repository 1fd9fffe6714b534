//! S1, S6 and S8: what is done to one of many awkward ids is done to no other.

use std::collections::BTreeMap;

use gleaner_core::{Advance, Expected, GrainId, Replica, ReplicaStore};

use super::bench::{bound, mark, ours, row, stands, text};
use super::generations::rebase;
use crate::awkward::awkward_grains;
use crate::pen::Pen;
use crate::verdict::{Seen, ensure, ensure_eq};
use crate::{StoreFactory, Verdict};

type Rows = BTreeMap<GrainId, Replica>;

/// Applies to all grains in one call what makes each one's state its own.
async fn filled<S: ReplicaStore>(store: &S, grains: &[GrainId]) -> Seen<Rows> {
    let marks = store.cursor(grains).await?;
    ensure_eq!(marks.len(), grains.len(), "marks of all grains");
    let runs = grains.iter().zip(&marks).enumerate();
    let runs: Vec<Advance> = runs
        .map(|(at, (grain, mark))| Advance {
            grain: grain.clone(),
            generation: mark.generation,
            entries: Pen::new(grain).leap(at as u64).write("FD"),
        })
        .collect();
    for (run, outcome) in runs.iter().zip(store.apply(&ours(), runs.clone()).await?) {
        ensure!(
            outcome.stop.is_none() && outcome.applied == 2,
            "the run of {}: {outcome:?}",
            run.grain
        );
    }
    let mut rows = Rows::new();
    for (at, run) in runs.iter().enumerate() {
        stands(store, &run.grain, &run.entries).await?;
        let replica = row(store, &run.grain).await?;
        ensure_eq!(
            text(replica.as_ref()),
            format!("={}+{}", at + 1, at + 2),
            "the state of {}",
            run.grain
        );
        rows.extend(replica.map(|replica| (run.grain.clone(), replica)));
    }
    Ok(rows)
}

/// What the store has of these must be what is in the rows, asked for one by one and together.
async fn has<S: ReplicaStore>(store: &S, grains: &[GrainId], rows: &Rows, after: &str) -> Verdict {
    let marks = store.cursor(grains).await?;
    ensure_eq!(marks.len(), grains.len(), "marks of all grains");
    for (grain, mark) in grains.iter().zip(&marks) {
        let own = rows.get(grain);
        let seen = row(store, grain).await?;
        ensure_eq!(seen.as_ref(), own, "the replica of {grain} {after}");
        if let Some(replica) = own {
            ensure_eq!(
                *mark,
                replica.mark(),
                "the mark of {grain} among others {after}"
            );
        } else {
            ensure!(mark.log.is_none(), "{grain} has a mark {after}: {mark:?}");
        }
    }
    Ok(())
}

/// Each has a state, a cursor and a mark of its own.
pub(crate) async fn s1_grains_are_told_apart_by_bytes(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grains = awkward_grains()?;
    let rows = filled(&store, &grains).await?;
    has(&store, &grains, &rows, "among others").await
}

/// A removed or pruned one takes no other with it.
pub(crate) async fn s6_grains_are_told_apart_by_bytes(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grains = awkward_grains()?;
    let mut rows = filled(&store, &grains).await?;
    let half = grains.len() / 2;
    // Backwards, so that every name is removed before one that it may be taken for and that comes first.
    for (at, grain) in grains.iter().enumerate().rev() {
        let expected = Expected::from(&mark(&store, grain).await?);
        ensure!(store.remove(grain, expected).await?, "{grain} is removed");
        rows.remove(grain);
        if at == half || at == 0 {
            has(&store, &grains, &rows, "after the later ones were removed").await?;
        }
    }
    let mut rows = filled(&store, &grains).await?;
    let pruned: Vec<GrainId> = grains.iter().step_by(2).cloned().collect();
    let count = store.prune(&pruned).await?;
    ensure_eq!(count, pruned.len() as u64, "replicas pruned");
    rows.retain(|grain, _| !pruned.contains(grain));
    has(&store, &grains, &rows, "after every other was pruned").await
}

/// A rebase of one moves no other.
pub(crate) async fn s8_grains_are_told_apart_by_bytes(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grains = awkward_grains()?;
    let mut rows = filled(&store, &grains).await?;
    for grain in grains.iter().step_by(2) {
        let expected = Expected::from(&mark(&store, grain).await?);
        let run = Pen::new(grain).turn(3, 9).write("F");
        let outcome = rebase(&store, grain, expected, &run).await?;
        ensure_eq!(
            (outcome.applied, outcome.stop),
            (1, None),
            "the rebase of {grain}"
        );
        stands(&store, grain, &run).await?;
        rows.extend(row(&store, grain).await?.map(|row| (grain.clone(), row)));
    }
    has(&store, &grains, &rows, "after every other was rebased").await
}
