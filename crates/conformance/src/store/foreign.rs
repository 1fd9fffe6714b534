//! S9: a store belongs to a log, and so does each replica.

use gleaner_core::{Advance, Binding, Expected, LogId, Rebase, ReplicaStore, StopReason};

use super::bench::{applied, apply_as, bound, mark, ours, row, stands};
use crate::pen::{Pen, grain};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{StoreFactory, Verdict};

fn theirs() -> LogId {
    LogId::new("another log")
}

/// Bound once; another log is told whose the store is, and changes nothing.
pub(crate) async fn s9_a_store_is_bound_to_one_log(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let foreign = Binding::Foreign { log: ours() };
    for _ in 0..2 {
        ensure_eq!(
            store.bind(&ours(), None).await?,
            Binding::Bound,
            "bound again"
        );
        ensure_eq!(
            store.bind(&theirs(), None).await?,
            foreign,
            "bound to another"
        );
        let third = LogId::new("a third");
        ensure_eq!(
            store.bind(&theirs(), Some(&third)).await?,
            foreign,
            "bound to another, replacing a third"
        );
        ensure_eq!(
            store.bind(&theirs(), Some(&theirs())).await?,
            foreign,
            "bound to another, replacing itself"
        );
    }
    Ok(())
}

/// A run of another log: `ForeignLog`, nothing changed, whatever it holds.
pub(crate) async fn s9_a_foreign_run_changes_nothing(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let (known, new) = (grain("plane", "known")?, grain("plane", "new")?);
    let mut pen = Pen::new(&known);
    applied(&store, &known, &pen.write("FD")).await?;
    let before = row(&store, &known).await?;
    let higher = pen.clone().turn(9, 9).write("F");
    for (grain, run) in [
        (&known, pen.clone().write("D")),
        (&known, pen.clone().write("F")),
        (&known, higher),
        (&known, pen.clone().write("T")),
        (&new, Pen::new(&new).write("F")),
    ] {
        let generation = mark(&store, grain).await?.generation;
        let outcome = apply_as(&store, &theirs(), grain, generation, &run).await?;
        ensure_eq!(outcome.applied, 0, "entries of another log applied");
        ensure_matches!(
            outcome.stop.as_ref().map(|stop| &stop.why),
            Some(StopReason::ForeignLog),
            "why a run of another log stopped"
        );
    }
    ensure_eq!(row(&store, &known).await?, before, "the replica");
    ensure_eq!(
        row(&store, &new).await?,
        None,
        "the replica that there was none of"
    );
    let rebase = Rebase {
        grain: known.clone(),
        expected: Expected::from(&mark(&store, &known).await?),
        entries: Pen::new(&known).write("F"),
    };
    let outcome = store.rebase(&theirs(), rebase).await?;
    ensure_matches!(
        outcome.stop.map(|stop| stop.why),
        Some(StopReason::ForeignLog),
        "a rebase to another log than the store's"
    );
    ensure_eq!(row(&store, &known).await?, before, "the replica");
    Ok(())
}

/// Bound to a new log by name of the old: old replicas are served as they are, take nothing from
/// either log, not even a higher base, until each is rebased; new grains come in at once.
pub(crate) async fn s9_a_replica_changes_its_log_by_rebase_alone(
    factory: &impl StoreFactory,
) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let (old, new) = (grain("plane", "old")?, grain("plane", "new")?);
    let mut pen = Pen::new(&old);
    applied(&store, &old, &pen.leap(50).write("FD")).await?;
    let before = row(&store, &old).await?;
    let bound = store.bind(&theirs(), Some(&ours())).await?;
    ensure_eq!(
        bound,
        Binding::Bound,
        "bound to another, replacing the one it had"
    );
    let again = store.bind(&theirs(), Some(&ours())).await?;
    ensure_eq!(again, Binding::Bound, "the same again");
    ensure_eq!(
        store.bind(&ours(), None).await?,
        Binding::Foreign { log: theirs() },
        "bound to the former log"
    );
    ensure_eq!(
        row(&store, &old).await?,
        before,
        "the replica of the former log"
    );
    let generation = mark(&store, &old).await?.generation;
    for log in [theirs(), ours()] {
        for run in [pen.clone().write("D"), pen.clone().turn(9, 9).write("F")] {
            let outcome = apply_as(&store, &log, &old, generation, &run).await?;
            ensure_matches!(
                outcome.stop.as_ref().map(|stop| &stop.why),
                Some(StopReason::ForeignLog),
                "a run of {log} for a replica of the former log"
            );
            ensure_eq!(
                row(&store, &old).await?,
                before,
                "the replica of the former log"
            );
        }
    }
    // A grain of the new log comes in beside it, in one call.
    let runs = vec![
        Advance {
            grain: old.clone(),
            generation,
            entries: pen.clone().write("F"),
        },
        Advance {
            grain: new.clone(),
            generation: mark(&store, &new).await?.generation,
            entries: Pen::new(&new).write("FD"),
        },
    ];
    let outcomes = store.apply(&theirs(), runs).await?;
    let applied: Vec<usize> = outcomes.iter().map(|outcome| outcome.applied).collect();
    ensure_eq!(
        applied,
        vec![0, 2],
        "entries applied of a foreign and of a new grain"
    );
    ensure_eq!(
        row(&store, &old).await?,
        before,
        "the replica of the former log"
    );
    // The rebase gives it to the new log, below its old cursor too.
    let run = Pen::new(&old).write("FD");
    let rebase = Rebase {
        grain: old.clone(),
        expected: Expected::from(&mark(&store, &old).await?),
        entries: run.clone(),
    };
    let outcome = store.rebase(&theirs(), rebase).await?;
    ensure_eq!(
        (outcome.applied, outcome.stop),
        (2, None),
        "the rebase to the new log"
    );
    stands(&store, &old, &run).await?;
    let replica = row(&store, &old).await?;
    ensure_eq!(
        replica.map(|replica| replica.log().clone()),
        Some(theirs()),
        "its log"
    );
    let next = Pen::after(run.last().ok_or_else(|| crate::Broken::new("no entry"))?).write("D");
    let generation = mark(&store, &old).await?.generation;
    let outcome = apply_as(&store, &theirs(), &old, generation, &next).await?;
    ensure_eq!(
        (outcome.applied, outcome.stop),
        (1, None),
        "the new log's next run"
    );
    Ok(())
}

/// A foreign replica can be removed, and then comes in anew.
pub(crate) async fn s9_a_foreign_replica_can_be_removed(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "removed")?;
    applied(&store, &grain, &Pen::new(&grain).leap(9).write("F")).await?;
    store.bind(&theirs(), Some(&ours())).await?;
    let expected = Expected::from(&mark(&store, &grain).await?);
    ensure!(
        store.remove(&grain, expected).await?,
        "a foreign replica is not removed"
    );
    let generation = mark(&store, &grain).await?.generation;
    let run = Pen::new(&grain).write("FD");
    let outcome = apply_as(&store, &theirs(), &grain, generation, &run).await?;
    ensure_eq!(
        (outcome.applied, outcome.stop),
        (2, None),
        "the new log's run"
    );
    Ok(())
}
