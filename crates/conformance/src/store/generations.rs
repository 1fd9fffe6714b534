//! S8: only rebase, remove and prune set a replica back, and a late apply undoes none of them.

use std::sync::Arc;

use gleaner_core::{
    Advance, Cursor, Entry, Expected, Generation, GrainId, Mark, Outcome, Rebase, ReplicaStore,
    StopReason,
};

use super::bench::{applied, apply_as, bound, mark, ours, row, stands, text};
use crate::pen::{Pen, grain};
use crate::verdict::{Seen, ensure, ensure_eq, ensure_matches};
use crate::{StoreFactory, Verdict};

pub(super) async fn rebase<S: ReplicaStore>(
    store: &S,
    grain: &GrainId,
    expected: Expected,
    entries: &[Entry],
) -> Seen<Outcome> {
    let rebase = Rebase {
        grain: grain.clone(),
        expected,
        entries: entries.to_vec(),
    };
    let outcome = store.rebase(&ours(), rebase).await?;
    ensure_eq!(
        outcome.mark,
        mark(store, grain).await?,
        "an outcome's mark and the store's"
    );
    Ok(outcome)
}

fn why(outcome: &Outcome) -> Option<&StopReason> {
    outcome.stop.as_ref().map(|stop| &stop.why)
}

/// Lower, higher, from nothing, to a tombstone: iff cursor and generation are the expected ones.
pub(crate) async fn s8_a_rebase_compares_and_sets(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "rebase")?;
    let mut pen = Pen::new(&grain);
    pen.turn(5, 7).leap(100);
    applied(&store, &grain, &pen.write("FDD")).await?;
    for (run, state) in [
        (Pen::new(&grain).write("FD"), "=1+2"),
        (Pen::new(&grain).turn(9, 1).leap(7).write("FDD"), "=8+9+10"),
        (Pen::new(&grain).turn(2, 1).write("T"), "none"),
        (Pen::new(&grain).turn(1, 1).write("F"), "=1"),
        (Pen::new(&grain).turn(1, 1).write("F"), "=1"),
    ] {
        let before = mark(&store, &grain).await?;
        let replica = row(&store, &grain).await?;
        let right = Expected::from(&before);
        let other_cursor = Cursor::new(before.cursor.epoch.get(), 9999);
        for wrong in [
            Expected {
                cursor: other_cursor,
                ..right
            },
            Expected {
                cursor: Cursor::ZERO,
                ..right
            },
            Expected {
                generation: before.generation.next(),
                ..right
            },
            Expected {
                generation: Generation::new(before.generation.get().wrapping_sub(1)),
                ..right
            },
        ] {
            let outcome = rebase(&store, &grain, wrong, &run).await?;
            ensure_matches!(
                why(&outcome),
                Some(StopReason::Moved),
                "{wrong:?} at {right:?}"
            );
            ensure_eq!(outcome.applied, 0, "entries applied");
            ensure_eq!(
                row(&store, &grain).await?,
                replica,
                "the replica after {wrong:?}"
            );
        }
        let outcome = rebase(&store, &grain, right, &run).await?;
        ensure_eq!(
            (outcome.applied, outcome.stop),
            (run.len(), None),
            "a rebase"
        );
        ensure!(
            outcome.mark.generation > before.generation,
            "a rebase must raise generation {}, it is {}",
            before.generation,
            outcome.mark.generation
        );
        stands(&store, &grain, &run).await?;
        ensure_eq!(
            text(row(&store, &grain).await?.as_ref()),
            state,
            "the state"
        );
    }
    Ok(())
}

/// A grain that the store does not have is rebased from ZERO under the store's generation.
pub(crate) async fn s8_a_rebase_may_be_the_first(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "first")?;
    let run = Pen::new(&grain).write("FD");
    let absent = mark(&store, &grain).await?;
    ensure_eq!(
        absent,
        Mark::absent(absent.generation),
        "the mark of an absent grain"
    );
    let wrong = Expected {
        cursor: Cursor::new(1, 1),
        ..Expected::from(&absent)
    };
    let outcome = rebase(&store, &grain, wrong, &run).await?;
    ensure_matches!(
        why(&outcome),
        Some(StopReason::Moved),
        "a rebase of an absent grain from 1:1"
    );
    let outcome = rebase(&store, &grain, Expected::from(&absent), &run).await?;
    ensure_eq!(
        (outcome.applied, outcome.stop),
        (2, None),
        "a rebase of an absent grain"
    );
    stands(&store, &grain, &run).await
}

/// All of the run or nothing: a fold that fails, a gap, a run without a base.
pub(crate) async fn s8_a_rebase_is_whole_or_nothing(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "whole")?;
    applied(&store, &grain, &Pen::new(&grain).write("FDF")).await?;
    let before = row(&store, &grain).await?;
    let expected = Expected::from(&mark(&store, &grain).await?);
    let mut pen = Pen::new(&grain);
    pen.turn(2, 8);
    let mut failing = pen.write("FD");
    failing.push(pen.delta("!fail"));
    let mut panicking = pen.write("FD");
    panicking.push(pen.delta("!panic"));
    let mut gap = pen.write("FD");
    gap.extend(pen.leap(1).write("D"));
    let no_base = Pen::new(&grain).leap(3).write("D");
    for (what, run) in [
        ("a failing fold", failing),
        ("a panicking fold", panicking),
        ("a gap", gap),
        ("no base", no_base),
        ("no entry", Vec::new()),
    ] {
        let outcome = rebase(&store, &grain, expected, &run).await?;
        let fits = match what {
            "a gap" => matches!(why(&outcome), Some(StopReason::Gap)),
            "no base" | "no entry" => matches!(why(&outcome), Some(StopReason::NoBase)),
            _ => matches!(why(&outcome), Some(StopReason::Fold(_))),
        };
        ensure!(fits, "a rebase with {what} was answered {outcome:?}");
        ensure_eq!(
            row(&store, &grain).await?,
            before,
            "the replica after a rebase with {what}"
        );
    }
    Ok(())
}

/// An apply that was on its way when the replica was set back changes nothing.
pub(crate) async fn s8_a_late_apply_changes_nothing(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    for how in ["rebase", "remove", "prune"] {
        let grain = grain("late", how)?;
        let mut pen = Pen::new(&grain);
        applied(&store, &grain, &pen.write("FDD")).await?;
        let before = mark(&store, &grain).await?;
        match how {
            "rebase" => {
                let run = Pen::new(&grain).write("F");
                let outcome = rebase(&store, &grain, Expected::from(&before), &run).await?;
                ensure_eq!(outcome.stop, None, "a rebase");
            }
            "remove" => ensure!(
                store.remove(&grain, Expected::from(&before)).await?,
                "a remove with the right expectation"
            ),
            _ => ensure_eq!(
                store.prune(std::slice::from_ref(&grain)).await?,
                1,
                "replicas pruned"
            ),
        }
        let after = mark(&store, &grain).await?;
        ensure!(
            after.generation > before.generation,
            "{how} must raise generation {}, it is {}",
            before.generation,
            after.generation
        );
        let replica = row(&store, &grain).await?;
        for kinds in ["D", "F", "T", "F"] {
            let run = pen.write(kinds);
            let outcome = apply_as(&store, &ours(), &grain, before.generation, &run).await?;
            ensure_eq!(outcome.applied, 0, "entries applied late, after {how}");
            ensure_matches!(
                why(&outcome),
                Some(StopReason::Moved),
                "a late apply after {how}"
            );
            ensure_eq!(
                row(&store, &grain).await?,
                replica,
                "the replica after {how}"
            );
        }
        // Whoever loads the mark goes on.
        let run = pen.write("F");
        let outcome = apply_as(&store, &ours(), &grain, after.generation, &run).await?;
        ensure_eq!(
            (outcome.applied, outcome.stop),
            (1, None),
            "an apply after {how}"
        );
    }
    Ok(())
}

/// A first apply that was on its way while the grain was applied and removed brings nothing back.
pub(crate) async fn s8_a_late_first_apply_brings_nothing_back(
    factory: &impl StoreFactory,
) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    for how in ["remove", "prune"] {
        let grain = grain("first", how)?;
        let run = Pen::new(&grain).write("FD");
        let loaded = mark(&store, &grain).await?;
        applied(&store, &grain, &run).await?;
        let now = mark(&store, &grain).await?;
        if how == "remove" {
            ensure!(
                store.remove(&grain, Expected::from(&now)).await?,
                "a remove"
            );
        } else {
            store.prune(std::slice::from_ref(&grain)).await?;
        }
        ensure_eq!(row(&store, &grain).await?, None, "the replica after {how}");
        let outcome = apply_as(&store, &ours(), &grain, loaded.generation, &run).await?;
        ensure_matches!(
            why(&outcome),
            Some(StopReason::Moved),
            "a late first apply after {how}"
        );
        ensure_eq!(
            row(&store, &grain).await?,
            None,
            "the replica after a late apply"
        );
    }
    Ok(())
}

/// A replica that comes and goes again and again never sees a generation twice.
pub(crate) async fn s8_generations_only_rise(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let (grain, other) = (grain("rise", "a")?, grain("rise", "b")?);
    let mut raised = Vec::new();
    for round in 0..6 {
        let mut pen = Pen::new(&grain);
        applied(&store, &grain, &pen.write("F")).await?;
        raised.push(mark(&store, &grain).await?.generation);
        for _ in 0..round {
            let expected = Expected::from(&mark(&store, &grain).await?);
            let run = Pen::new(&grain).write("FD");
            rebase(&store, &grain, expected, &run).await?;
            raised.push(mark(&store, &grain).await?.generation);
        }
        let expected = Expected::from(&mark(&store, &grain).await?);
        ensure!(store.remove(&grain, expected).await?, "a remove");
        // What another grain does in between makes no difference.
        applied(&store, &other, &Pen::new(&other).leap(round).write("F")).await?;
    }
    let rising = raised.iter().zip(raised.iter().skip(1)).all(|(a, b)| a < b);
    ensure!(
        rising,
        "generations of one grain, set back each time: {raised:?}"
    );
    Ok(())
}

/// An apply under a generation that the store does not have yet is refused too.
pub(crate) async fn s8_an_unknown_generation_is_refused(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "unknown")?;
    let mut pen = Pen::new(&grain);
    for _ in 0..2 {
        let now = mark(&store, &grain).await?;
        let ahead = Generation::new(now.generation.get() + 3);
        let outcome = apply_as(&store, &ours(), &grain, ahead, &pen.clone().write("F")).await?;
        ensure_matches!(why(&outcome), Some(StopReason::Moved), "a generation ahead");
        ensure_eq!(outcome.applied, 0, "entries applied");
        ensure_eq!(mark(&store, &grain).await?, now, "the mark");
        applied(&store, &grain, &pen.write("F")).await?;
    }
    Ok(())
}

/// A remove and a rebase by others' expectations do nothing.
pub(crate) async fn s8_a_remove_compares(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let (grain, stranger) = (grain("plane", "removed")?, grain("plane", "stranger")?);
    applied(&store, &grain, &Pen::new(&grain).write("FD")).await?;
    let now = mark(&store, &grain).await?;
    let right = Expected::from(&now);
    for wrong in [
        Expected {
            cursor: Cursor::new(1, 1),
            ..right
        },
        Expected {
            cursor: Cursor::ZERO,
            ..right
        },
        Expected {
            generation: right.generation.next(),
            ..right
        },
    ] {
        ensure!(
            !store.remove(&grain, wrong).await?,
            "a remove by {wrong:?}, at {right:?}"
        );
        ensure_eq!(mark(&store, &grain).await?, now, "the mark");
    }
    let absent = Expected::from(&mark(&store, &stranger).await?);
    ensure!(
        !store.remove(&stranger, absent).await?,
        "an absent grain is not removed"
    );
    ensure_eq!(
        store.prune(std::slice::from_ref(&stranger)).await?,
        0,
        "absent grains pruned"
    );
    ensure_eq!(store.prune(&[]).await?, 0, "of no grains, pruned");
    ensure!(store.remove(&grain, right).await?, "a remove by {right:?}");
    ensure!(!store.remove(&grain, right).await?, "the same remove again");
    ensure_eq!(
        row(&store, &grain).await?,
        None,
        "the replica after a remove"
    );
    Ok(())
}

/// Removing some leaves the others; a tombstoned replica can be removed too.
pub(crate) async fn s6_only_what_was_named_is_removed(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let mut grains = Vec::new();
    for at in 0..6 {
        let grain = grain("named", &format!("{at}"))?;
        let run = Pen::new(&grain).write(if at % 2 == 0 { "FT" } else { "FD" });
        applied(&store, &grain, &run).await?;
        grains.push((grain, run));
    }
    let gone: Vec<GrainId> = grains
        .iter()
        .take(3)
        .map(|(grain, _)| grain.clone())
        .collect();
    ensure_eq!(store.prune(&gone).await?, 3, "replicas pruned");
    ensure_eq!(store.prune(&gone).await?, 0, "replicas pruned again");
    for (at, (grain, run)) in grains.iter().enumerate() {
        if at < 3 {
            ensure_eq!(row(&store, grain).await?, None, "a pruned replica");
        } else {
            stands(&store, grain, run).await?;
        }
    }
    Ok(())
}

/// Of rebases that race with one expectation, one happens.
pub(crate) async fn s8_one_of_many_racing_rebases_wins(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let store = Arc::new(store);
    let grain = grain("plane", "race")?;
    applied(&*store, &grain, &Pen::new(&grain).write("F")).await?;
    for round in 0..10 {
        let before = mark(&*store, &grain).await?;
        let mut racing = Vec::new();
        for hand in 0..5_u64 {
            let (store, grain) = (Arc::clone(&store), grain.clone());
            let expected = Expected::from(&before);
            racing.push(tokio::spawn(async move {
                let rebase = Rebase {
                    entries: Pen::new(&grain).turn(1, hand).write("FD"),
                    grain,
                    expected,
                };
                store.rebase(&ours(), rebase).await
            }));
        }
        let late = {
            // And an apply that is on its way meanwhile.
            let (store, grain) = (Arc::clone(&store), grain.clone());
            let generation = before.generation;
            tokio::spawn(async move {
                let run = Advance {
                    entries: Pen::new(&grain).turn(1, 77).leap(1).write("F"),
                    grain,
                    generation,
                };
                store.apply(&ours(), vec![run]).await
            })
        };
        let mut won = 0;
        for task in racing {
            let outcome = task.await??;
            match outcome.stop {
                None => won += 1,
                Some(stop) => ensure_eq!(stop.why, StopReason::Moved, "round {round}: a loser"),
            }
        }
        let applied = late.await??.first().map_or(0, |outcome| outcome.applied);
        ensure!(
            won == 1 || (won == 0 && applied == 1),
            "round {round}: {won} of 5 racing rebases happened, the apply {applied} times"
        );
        let now = mark(&*store, &grain).await?;
        let raised = now.generation > before.generation;
        ensure_eq!(
            raised,
            won == 1,
            "round {round}: whether the generation was raised"
        );
        row(&*store, &grain).await?;
    }
    Ok(())
}
