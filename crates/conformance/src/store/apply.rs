//! S1, S2, S3 and S6: what a run does to a replica.

use gleaner_core::replica::{Rules, Under, advance};
use gleaner_core::{
    Advance, Cursor, Digest, Draft, Entry, Fold, GrainId, Replica, ReplicaStore, Schema,
    StopReason, UnixMillis, Writer,
};
use std::sync::Arc;

use super::bench::{AppendFold, applied, apply, bound, ours, row, stands, stopped_at, text};
use crate::pen::{Dice, Pen, grain};
use crate::verdict::{ensure, ensure_eq};
use crate::{StoreFactory, Verdict};

/// After each run: state, cursor, digest, schema and time are those of its last entry.
pub(crate) async fn s1_a_row_is_that_of_its_last_entry(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "row")?;
    let mut pen = Pen::new(&grain);
    for (kinds, state) in [
        ("F", "=1"),
        ("D", "=1+2"),
        ("DD", "=1+2+3+4"),
        ("F", "=5"),
        ("DFD", "=7+8"),
        ("T", "none"),
        ("F", "=10"),
        ("TFD", "=12+13"),
    ] {
        applied(&store, &grain, &pen.write(kinds)).await?;
        ensure_eq!(
            text(row(&store, &grain).await?.as_ref()),
            state,
            "the state after {kinds}"
        );
    }
    let mut draft = Draft::full(grain.clone(), Cursor::new(1, 20), pen.writer, "\0\u{1f33e}");
    draft.schema = Schema::new(77);
    draft.written_at = UnixMillis::new(i64::MIN);
    applied(&store, &grain, &[draft.seal()]).await?;
    let mut draft = Draft::full(grain.clone(), Cursor::new(2, 21), Writer::new(u64::MAX), "");
    draft.written_at = UnixMillis::new(i64::MAX);
    applied(&store, &grain, &[draft.seal()]).await?;
    let row = row(&store, &grain).await?;
    ensure_eq!(
        row.map(|row| (row.state().map(<[u8]>::to_vec), row.log().clone())),
        Some((Some(Vec::new()), ours())),
        "an empty state is a state"
    );
    Ok(())
}

/// A run that stops half-way leaves state and cursor at the entry before, both.
pub(crate) async fn s1_a_stopped_run_ends_at_an_entry(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    for (at, bad) in ["!fail", "!panic", "gap"].into_iter().enumerate() {
        let grain = grain("stopped", bad)?;
        let mut pen = Pen::new(&grain);
        let mut run = pen.write("FDD");
        let good = run.clone();
        if bad == "gap" {
            pen.leap(1);
        }
        let stray = pen.delta(bad);
        run.push(stray.clone());
        run.extend(pen.write("DF"));
        let outcome = apply(&store, &grain, &run).await?;
        ensure_eq!(
            outcome.applied,
            3,
            "entries applied before the bad one ({bad})"
        );
        ensure_eq!(
            outcome.stop.as_ref().map(|stop| stop.at),
            Some(stray.cursor()),
            "where run {at} stopped ({bad})"
        );
        stands(&store, &grain, &good).await?;
        ensure_eq!(
            text(row(&store, &grain).await?.as_ref()),
            "=1+2+3",
            "the state ({bad})"
        );
    }
    Ok(())
}

/// A long run of deltas ends with all of them in the state.
pub(crate) async fn s1_long_runs_are_folded_whole(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "long")?;
    let mut pen = Pen::new(&grain);
    let run = pen.write(&format!("F{}", "D".repeat(400)));
    applied(&store, &grain, &run).await?;
    let expected: String = (1..=401)
        .map(|at| {
            if at == 1 {
                "=1".to_owned()
            } else {
                format!("+{at}")
            }
        })
        .collect();
    ensure_eq!(
        text(row(&store, &grain).await?.as_ref()),
        expected,
        "the state"
    );
    Ok(())
}

/// Random runs, fitting and not, against the rule itself.
pub(crate) async fn s1_random_runs_agree_with_the_rule(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let fold: &dyn Fold = &AppendFold;
    let rules = Rules {
        fold: Some(fold),
        max_state: factory.max_state(),
    };
    for seed in 1..=5 {
        let grain = grain("random", &format!("{seed}"))?;
        let mut dice = Dice::new(seed);
        let mut model: Option<Replica> = None;
        // A long history to take runs from, and a fork of it to take strays from.
        let mut history = history(&mut dice, &grain);
        let fork = history.clone();
        history.truncate(40);
        for step in 0..60 {
            let from = dice.pick(history.len());
            let many = 1 + dice.pick(6);
            let source = if dice.roll(5) == 0 { &fork } else { &history };
            let run: Vec<Entry> = source.iter().skip(from).take(many).cloned().collect();
            let current = row(&store, &grain).await?;
            let log = ours();
            let under = Under {
                log: &log,
                generation: super::bench::mark(&store, &grain).await?.generation,
                rules,
            };
            let expected = advance(model.as_ref(), under, &run);
            ensure_eq!(
                current.as_ref(),
                model.as_ref(),
                "seed {seed}, before step {step}"
            );
            let outcome = apply(&store, &grain, &run).await?;
            ensure_eq!(
                (outcome.applied, outcome.stop),
                (expected.applied, expected.stop),
                "seed {seed}, step {step}"
            );
            if expected.replica.is_some() {
                model = expected.replica;
            }
        }
        ensure!(model.is_some(), "seed {seed}: nothing was ever applied");
    }
    Ok(())
}

fn history(dice: &mut Dice, grain: &GrainId) -> Vec<Entry> {
    let mut pen = Pen::new(grain);
    let mut all = pen.write("F");
    while all.len() < 60 {
        all.extend(match dice.roll(9) {
            0 => pen.write("TF"),
            1 => pen.leap(2).write("F"),
            2 => {
                let epoch = pen.epoch + 1;
                pen.turn(epoch, dice.roll(9)).write("F")
            }
            3 => vec![pen.delta("!fail")],
            4 => vec![pen.delta("!panic")],
            _ => pen.write("DD"),
        });
    }
    all
}

/// Entries again, older ones, and runs that overlap: only what lies above the cursor moves it.
pub(crate) async fn s2_entries_at_or_below_change_nothing(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "again")?;
    let mut pen = Pen::new(&grain);
    let all = pen.write("FDDFDD");
    for upto in 1..=all.len() {
        // Overlapping: everything from the start each time.
        let part = all.get(..upto).unwrap_or_default();
        let outcome = apply(&store, &grain, part).await?;
        ensure_eq!(
            (outcome.applied, outcome.stop),
            (1, None),
            "a run of {upto}, one of them new"
        );
        stands(&store, &grain, part).await?;
    }
    let before = row(&store, &grain).await?;
    ensure_eq!(text(before.as_ref()), "=4+5+6", "each delta counts once");
    for from in 0..all.len() {
        for run in [
            all.get(from..).unwrap_or_default(),
            all.get(..=from).unwrap_or_default(),
        ] {
            let outcome = apply(&store, &grain, run).await?;
            ensure_eq!(
                (outcome.applied, outcome.stop),
                (0, None),
                "entries that are in already"
            );
            ensure_eq!(row(&store, &grain).await?, before, "the replica");
        }
    }
    let outcome = apply(&store, &grain, &[]).await?;
    ensure_eq!((outcome.applied, outcome.stop), (0, None), "an empty run");
    Ok(())
}

/// An older number, and an older epoch with a higher number, never overwrite.
pub(crate) async fn s2_nothing_older_overwrites(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "older")?;
    let mut pen = Pen::new(&grain);
    pen.turn(3, 7).leap(9);
    let mut old = pen.clone();
    applied(&store, &grain, &pen.write("FD")).await?;
    let before = row(&store, &grain).await?;
    old.turn(2, 6);
    for kinds in ["F", "T", "F"] {
        let outcome = apply(&store, &grain, &old.leap(500).write(kinds)).await?;
        ensure_eq!(
            (outcome.applied, outcome.stop),
            (0, None),
            "{kinds} of an older epoch"
        );
    }
    let mut same = pen.clone();
    same.sequence = 10;
    for kinds in ["F", "T"] {
        let outcome = apply(&store, &grain, &same.clone().write(kinds)).await?;
        ensure_eq!(
            (outcome.applied, outcome.stop),
            (0, None),
            "another {kinds} at the cursor"
        );
    }
    ensure_eq!(row(&store, &grain).await?, before, "the replica");
    Ok(())
}

/// Each way in which a Delta does not fit: `Gap`, and nothing has changed.
pub(crate) async fn s3_a_misfit_is_a_gap_and_changes_nothing(
    factory: &impl StoreFactory,
) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "gap")?;
    let mut pen = Pen::new(&grain);
    let stray = Draft::delta(
        grain.clone(),
        Cursor::new(1, 1),
        pen.writer,
        Digest::ZERO,
        "+",
    )
    .seal();
    let later = pen.clone().leap(5).delta("+");
    for entry in [stray, later] {
        let outcome = apply(&store, &grain, std::slice::from_ref(&entry)).await?;
        ensure_eq!(outcome.applied, 0, "a delta without a state");
        stopped_at(&outcome, &entry, &StopReason::Gap)?;
        ensure_eq!(
            row(&store, &grain).await?,
            None,
            "the replica without a base"
        );
    }
    let first = pen.write("F");
    applied(&store, &grain, &first).await?;
    applied(&store, &grain, &pen.write("D")).await?;
    let before = row(&store, &grain).await?;
    let digest = before.as_ref().map_or(Digest::ZERO, Replica::digest);
    let delta = |cursor, prev| Draft::delta(grain.clone(), cursor, pen.writer, prev, "+").seal();
    let other = Digest::new(digest.get() ^ 1);
    let older = first.first().map_or(Digest::ZERO, Entry::digest);
    for (what, entry) in [
        ("that leaves a number out", delta(Cursor::new(1, 4), digest)),
        ("that leaves many out", delta(Cursor::new(1, 400), digest)),
        ("to another predecessor", delta(Cursor::new(1, 3), other)),
        ("to an older predecessor", delta(Cursor::new(1, 3), older)),
        ("to no digest", delta(Cursor::new(1, 3), Digest::ZERO)),
        ("of the next epoch", delta(Cursor::new(2, 3), digest)),
        (
            "of the next epoch at number 1",
            delta(Cursor::new(2, 1), digest),
        ),
    ] {
        let mut run = vec![entry.clone()];
        run.extend(Pen::after(&entry).write("DF"));
        let outcome = apply(&store, &grain, &run).await?;
        ensure_eq!(outcome.applied, 0, "a delta {what}");
        stopped_at(&outcome, &entry, &StopReason::Gap)?;
        ensure_eq!(
            row(&store, &grain).await?,
            before,
            "the replica after a delta {what}"
        );
    }
    applied(&store, &grain, &pen.write("T")).await?;
    let before = row(&store, &grain).await?;
    let entry = pen.delta("+");
    let outcome = apply(&store, &grain, std::slice::from_ref(&entry)).await?;
    stopped_at(&outcome, &entry, &StopReason::Gap)?;
    ensure_eq!(
        row(&store, &grain).await?,
        before,
        "the replica after a delta to a tombstone"
    );
    Ok(())
}

/// Appliers at once, some further than others: each Delta is folded once, onto what it follows, and
/// nobody's run is overwritten by one that was read before it.
pub(crate) async fn s3_fitting_is_checked_when_written(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let store = Arc::new(store);
    for round in 0..8 {
        let grain = grain("twice", &format!("{round}"))?;
        let all = Pen::new(&grain).write("FDDDDDDDDD");
        let generation = super::bench::mark(&*store, &grain).await?.generation;
        let meeting = Arc::new(tokio::sync::Barrier::new(3));
        let mut tasks = Vec::new();
        for hand in 0..3 {
            let (store, meeting) = (Arc::clone(&store), Arc::clone(&meeting));
            let (grain, all) = (grain.clone(), all.clone());
            tasks.push(tokio::spawn(async move {
                let mut verdict = Ok(());
                for step in 1..=all.len() {
                    // Even one that has failed comes to the meeting: the others wait for it.
                    meeting.wait().await;
                    if verdict.is_ok() {
                        let run = Advance {
                            grain: grain.clone(),
                            generation,
                            entries: all.iter().take(step + hand * 2).cloned().collect(),
                        };
                        verdict = goes_on(&*store, run).await;
                    }
                }
                verdict
            }));
        }
        let mut verdict = Ok(());
        for task in tasks {
            verdict = verdict.and(task.await?);
        }
        verdict?;
        stands(&*store, &grain, &all).await?;
        ensure_eq!(
            text(row(&*store, &grain).await?.as_ref()),
            "=1+2+3+4+5+6+7+8+9+10",
            "round {round}: each delta once, in order"
        );
    }
    Ok(())
}

/// Applies a run; the replica must not fall behind what the call answered.
async fn goes_on<S: ReplicaStore>(store: &S, run: Advance) -> Verdict {
    let grain = run.grain.clone();
    let outcomes = store.apply(&ours(), vec![run]).await?;
    let said = outcomes.first().map(|outcome| outcome.mark.cursor);
    for _ in 0..3 {
        tokio::task::yield_now().await;
        let now = Some(super::bench::mark(store, &grain).await?.cursor);
        ensure!(now >= said, "a replica at {said:?} went back to {now:?}");
    }
    Ok(())
}

/// A whole state replaces all that was, in any later epoch and over any leap.
pub(crate) async fn s6_a_whole_state_replaces_everything(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "replaced")?;
    let mut pen = Pen::new(&grain);
    applied(&store, &grain, &pen.write("FDD")).await?;
    applied(&store, &grain, &pen.leap(1 << 40).write("F")).await?;
    applied(&store, &grain, &pen.turn(9, 1).write("F")).await?;
    // A run that skips to its base: what lies before is not needed.
    let skipped = pen.write("DDFD");
    let run = skipped.get(2..).unwrap_or_default();
    applied(&store, &grain, run).await?;
    let at = (1_u64 << 40) + 8;
    ensure_eq!(
        text(row(&store, &grain).await?.as_ref()),
        format!("={at}+{}", at + 1),
        "the state"
    );
    // [Full 1, Delta 2, Full 3] in one run ends at 3.
    let mixed = self::grain("plane", "mixed")?;
    applied(&store, &mixed, &Pen::new(&mixed).write("FDF")).await?;
    ensure_eq!(text(row(&store, &mixed).await?.as_ref()), "=3", "the state");
    Ok(())
}

/// A Tombstone removes the state and keeps the cursor: what is older stays out, what is newer comes.
pub(crate) async fn s6_a_tombstone_keeps_the_cursor(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    for kinds in ["T", "FT", "FDDT", "FTT"] {
        let grain = grain("ended", kinds)?;
        let mut pen = Pen::new(&grain);
        let all = pen.write(kinds);
        applied(&store, &grain, &all).await?;
        let before = row(&store, &grain).await?;
        ensure_eq!(text(before.as_ref()), "none", "the state after {kinds}");
        let outcome = apply(&store, &grain, &all).await?;
        ensure_eq!(
            (outcome.applied, outcome.stop),
            (0, None),
            "the same again after {kinds}"
        );
        ensure_eq!(
            row(&store, &grain).await?,
            before,
            "the replica after {kinds}"
        );
        applied(&store, &grain, &pen.write("FD")).await?;
    }
    Ok(())
}

/// A store without a fold takes bases, and stops at a Delta.
pub(crate) async fn s3_without_a_fold_a_delta_stops(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = factory.open(None).await;
    store.bind(&ours(), None).await?;
    let grain = grain("plane", "no fold")?;
    let mut pen = Pen::new(&grain);
    applied(&store, &grain, &pen.write("FF")).await?;
    let before = row(&store, &grain).await?;
    let run = pen.write("DF");
    let outcome = apply(&store, &grain, &run).await?;
    ensure_eq!(outcome.applied, 0, "entries applied");
    if let Some(entry) = run.first() {
        stopped_at(&outcome, entry, &StopReason::NoFold)?;
    }
    ensure_eq!(row(&store, &grain).await?, before, "the replica");
    let base = run.get(1..).unwrap_or_default();
    applied(&store, &grain, base).await
}
