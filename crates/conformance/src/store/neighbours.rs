//! S7: one grain's trouble is its own.

use bytes::Bytes;
use gleaner_core::{Advance, Draft, Entry, Outcome, ReplicaStore, Schema, StopReason};

use super::bench::{AppendFold, applied, apply, bound, mark, ours, row, stands, stopped_at, text};
use crate::pen::{Pen, grain};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{Broken, StoreFactory, Verdict};

/// What may be wrong with a run.
const TROUBLE: [&str; 6] = ["!fail", "!panic", "gap", "late", "large", "schema"];

/// Fitting runs and each kind of trouble in one call, in any order: each its own outcome.
pub(crate) async fn s7_trouble_touches_no_neighbour(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let large = Bytes::from(vec![b'x'; factory.max_state() + 1]);
    for turn in 0..TROUBLE.len() {
        let mut runs = Vec::new();
        let mut good = Vec::new();
        for place in 0..=TROUBLE.len() * 2 {
            let id = grain("turn", &format!("{turn} {place}"))?;
            let mut pen = Pen::new(&id);
            let base = pen.write("F");
            applied(&store, &id, &base).await?;
            let mut generation = mark(&store, &id).await?.generation;
            let trouble = TROUBLE.get((place / 2 + turn) % TROUBLE.len());
            let entries = match trouble.filter(|_| place % 2 == 1) {
                None => pen.write("DD"),
                Some(&"gap") => pen.leap(1).write("D"),
                Some(&"late") => {
                    generation = generation.next();
                    pen.write("D")
                }
                Some(&"large") => vec![pen.full(large.clone())],
                Some(&"schema") => {
                    let mut draft = Draft::full(
                        id.clone(),
                        gleaner_core::Cursor::new(1, 2),
                        pen.writer,
                        "new",
                    );
                    draft.schema = Schema::new(AppendFold::NEWEST.get() + 1);
                    vec![draft.seal()]
                }
                Some(bad) => vec![pen.delta(*bad)],
            };
            let last = if place % 2 == 1 {
                base
            } else {
                entries.clone()
            };
            good.push((id.clone(), last, trouble.filter(|_| place % 2 == 1)));
            runs.push(Advance {
                grain: id,
                generation,
                entries,
            });
        }
        let outcomes = store.apply(&ours(), runs).await?;
        ensure_eq!(outcomes.len(), good.len(), "outcomes of a call");
        for ((id, last, trouble), outcome) in good.iter().zip(&outcomes) {
            stands(&store, id, last).await?;
            ensure_eq!(outcome.mark, mark(&store, id).await?, "the mark of {id}");
            expect(outcome, *trouble)?;
        }
    }
    Ok(())
}

fn expect(outcome: &Outcome, trouble: Option<&&str>) -> Verdict {
    let why = outcome.stop.as_ref().map(|stop| &stop.why);
    let count = usize::from(trouble.is_none()) * 2;
    ensure_eq!(outcome.applied, count, "entries applied, with {trouble:?}");
    let fits = match trouble.copied() {
        None => why.is_none(),
        Some("gap") => matches!(why, Some(StopReason::Gap)),
        Some("late") => matches!(why, Some(StopReason::Moved)),
        Some("large") => matches!(why, Some(StopReason::TooLarge { .. })),
        Some("schema") => matches!(why, Some(StopReason::Schema { .. })),
        Some(_) => matches!(why, Some(StopReason::Fold(_))),
    };
    ensure!(fits, "with {trouble:?} the run was stopped by {why:?}");
    Ok(())
}

/// A failing and a panicking fold say so, keep what was, and heal with the next whole state.
pub(crate) async fn s7_a_failed_fold_keeps_the_last_state(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    for (bad, said) in [("!fail", "told to fail"), ("!panic", "told to panic")] {
        let grain = grain("fold", bad)?;
        let mut pen = Pen::new(&grain);
        applied(&store, &grain, &pen.write("FD")).await?;
        let before = row(&store, &grain).await?;
        let entry = pen.delta(bad);
        for _ in 0..2 {
            let outcome = apply(&store, &grain, std::slice::from_ref(&entry)).await?;
            let why = outcome.stop.map(|stop| (stop.at, stop.why));
            ensure_matches!(
                why,
                Some((at, StopReason::Fold(error)))
                    if *at == entry.cursor() && error.to_string().contains(said),
                "why a run with {bad} stopped"
            );
            ensure_eq!(
                row(&store, &grain).await?,
                before,
                "the replica after {bad}"
            );
        }
        applied(&store, &grain, &pen.write("FD")).await?;
    }
    Ok(())
}

/// A state of the limit is kept, one byte more is `TooLarge`, whole or by a delta.
pub(crate) async fn s7_an_oversized_state_is_refused(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let limit = factory.max_state();
    let grain = grain("plane", "large")?;
    let mut pen = Pen::new(&grain);
    let whole = pen.full(vec![b'x'; limit]);
    applied(&store, &grain, std::slice::from_ref(&whole)).await?;
    let before = row(&store, &grain).await?;
    let more = pen.clone().delta("+");
    let larger = pen.full(vec![b'y'; limit + 1]);
    for entry in [more, larger] {
        let outcome = apply(&store, &grain, std::slice::from_ref(&entry)).await?;
        let why = StopReason::TooLarge {
            size: limit + 1,
            limit,
        };
        stopped_at(&outcome, &entry, &why)?;
        ensure!(
            row(&store, &grain).await? == before,
            "a refused state changed the replica"
        );
    }
    applied(&store, &grain, &pen.write("F")).await
}

/// An entry of a newer schema stops its run, whatever its kind; what precedes it is kept.
pub(crate) async fn s7_a_newer_schema_stops_the_run(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let newest = AppendFold::NEWEST;
    let schema = Schema::new(newest.get() + 1);
    for kind in ["F", "D", "T"] {
        let grain = grain("schema", kind)?;
        let mut pen = Pen::new(&grain);
        let mut run = pen.write("FD");
        let last = run.last().cloned().ok_or_else(|| Broken::new("no entry"))?;
        let cursor = gleaner_core::Cursor::new(1, 3);
        let mut draft = match kind {
            "F" => Draft::full(grain.clone(), cursor, pen.writer, "="),
            "D" => Draft::delta(grain.clone(), cursor, pen.writer, last.digest(), "+"),
            _ => Draft::tombstone(grain.clone(), cursor, pen.writer),
        };
        draft.schema = schema;
        let bad: Entry = draft.clone().seal();
        run.push(bad.clone());
        let outcome = apply(&store, &grain, &run).await?;
        ensure_eq!(
            outcome.applied,
            2,
            "entries applied before a newer schema ({kind})"
        );
        stopped_at(&outcome, &bad, &StopReason::Schema { schema, newest })?;
        ensure_eq!(
            text(row(&store, &grain).await?.as_ref()),
            "=1+2",
            "the state ({kind})"
        );
        // The newest schema that the fold understands is applied.
        draft.schema = newest;
        applied(&store, &grain, &[draft.seal()]).await?;
    }
    Ok(())
}

/// Many grains in one call, no call at all, and outcomes in the order of the runs.
pub(crate) async fn s7_outcomes_are_in_the_order_of_the_runs(
    factory: &impl StoreFactory,
) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    ensure!(
        store.apply(&ours(), Vec::new()).await?.is_empty(),
        "no runs, no outcomes"
    );
    let mut runs = Vec::new();
    for at in 0..200_usize {
        let grain = grain("many", &format!("{}", (at * 37) % 200))?;
        runs.push(Advance {
            generation: mark(&store, &grain).await?.generation,
            entries: Pen::new(&grain).leap(at as u64).write("F"),
            grain,
        });
    }
    let outcomes = store.apply(&ours(), runs.clone()).await?;
    ensure_eq!(outcomes.len(), 200, "outcomes");
    let grains: Vec<_> = runs.iter().map(|run| run.grain.clone()).collect();
    let marks = store.cursor(&grains).await?;
    for ((run, outcome), mark) in runs.iter().zip(&outcomes).zip(&marks) {
        ensure_eq!(
            Some(outcome.mark.cursor),
            run.entries.last().map(Entry::cursor),
            "the outcome of {}",
            run.grain
        );
        ensure_eq!(outcome.mark, *mark, "outcome and mark of {}", run.grain);
    }
    Ok(())
}
