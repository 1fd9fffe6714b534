//! L8: the shortest way to the head.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gleaner_core::{Budget, Caught, Cursor, Entry, GrainId, Kind, ReplicationLog, Run, run_after};

use tokio::task::JoinHandle;

use crate::pen::{Dice, Pen, cursors, grain, head_of, is_chain};
use crate::sight::{append_all, append_many, caught, fits, head, history, sizes};
use crate::verdict::{Seen, ensure, ensure_eq, ensure_matches};
use crate::{Broken, LogFactory, Verdict};

/// The whole run that a history gives a replica at a cursor.
fn expected(all: &[Entry], cursor: Cursor) -> Vec<Cursor> {
    let Some(after) = head_of(all).and_then(|head| run_after(cursor, &head)) else {
        return Vec::new();
    };
    cursors(all).into_iter().filter(|at| *at > after).collect()
}

/// From every cursor: from the base if it lies above, else what follows; also after truncation.
pub(crate) async fn l8_runs_begin_at_the_base_or_follow(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for kinds in ["F", "FDDFDD", "FFFF", "FDD", "FDT", "FTFD", "T", "FDF"] {
        for leap in [0, 3] {
            for truncated in [false, true] {
                let grain = grain("kinds", &format!("{kinds} {leap} {truncated}"))?;
                let mut pen = Pen::new(&grain);
                let mut all = pen.leap(leap).write(kinds);
                if leap > 0 {
                    all.extend(pen.leap(leap).write("FD"));
                    all.extend(pen.turn(3, 8).write("FD"));
                }
                append_all(&log, &all).await?;
                if truncated {
                    log.truncate(&grain, Cursor::new(9, 9)).await?;
                }
                let mut from = vec![
                    Cursor::ZERO,
                    Cursor::new(1, 0),
                    Cursor::new(1, 1),
                    Cursor::new(1, 5),
                    Cursor::new(1, 1 << 40),
                    Cursor::new(2, 2),
                    Cursor::new(9, 1),
                ];
                from.extend(cursors(&all));
                for cursor in from {
                    let run = caught(&log, &grain, cursor, Budget::UNBOUNDED).await?;
                    let said =
                        format!("{kinds}, leap {leap}, truncated {truncated}, from {cursor}");
                    ensure_eq!(run.head, head_of(&all), "the head, {said}");
                    ensure_eq!(
                        cursors(&run.entries),
                        expected(&all, cursor),
                        "the run, {said}"
                    );
                    ensure!(run.complete, "a run without a bound is complete, {said}");
                }
            }
        }
    }
    Ok(())
}

/// A backlog of whole states costs one entry, and is complete with it.
pub(crate) async fn l8_a_backlog_of_whole_states_costs_one_entry(
    factory: &impl LogFactory,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "backlog")?;
    let mut pen = Pen::new(&grain);
    let all: Vec<Entry> = (0..150).map(|at| pen.full(vec![b'x'; at])).collect();
    append_many(&log, &all).await?;
    for from in [
        Cursor::ZERO,
        Cursor::new(1, 1),
        Cursor::new(1, 77),
        Cursor::new(1, 149),
    ] {
        for budget in [
            Budget::new(1, usize::MAX),
            Budget::new(100, 1),
            Budget::UNBOUNDED,
        ] {
            let run = caught(&log, &grain, from, budget).await?;
            ensure_eq!(
                cursors(&run.entries),
                vec![Cursor::new(1, 150)],
                "the run from {from} within {budget:?}"
            );
            ensure!(run.complete, "one whole state is the way to the head");
        }
    }
    Ok(())
}

/// [Full 1, Delta 2, Full 3] leads to 3 by one entry, wherever one comes from.
pub(crate) async fn l8_a_newer_whole_state_overtakes_deltas(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "mixed")?;
    append_all(&log, &Pen::new(&grain).write("FDF")).await?;
    for from in [Cursor::ZERO, Cursor::new(1, 1), Cursor::new(1, 2)] {
        let run = caught(&log, &grain, from, Budget::new(1, 0)).await?;
        ensure_eq!(
            cursors(&run.entries),
            vec![Cursor::new(1, 3)],
            "the run from {from}"
        );
        ensure!(run.complete, "the run from {from} is complete");
    }
    Ok(())
}

/// A cut run is a beginning of the whole, never empty, says that it is cut, and goes on behind.
pub(crate) async fn l8_a_budget_cuts_at_entries_and_never_to_nothing(
    factory: &impl LogFactory,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "budget")?;
    let mut pen = Pen::new(&grain);
    let mut all = pen.write("FD");
    all.push(pen.full(vec![b'b'; 40]));
    all.extend([40, 0, 3, 90, 1].map(|size| pen.delta(vec![b'd'; size])));
    append_all(&log, &all).await?;
    for entries in 1..=7 {
        for bytes in [0, 1, 41, 80, 84, usize::MAX] {
            let budget = Budget::new(entries, bytes);
            let (mut cursor, mut way, mut rounds) = (Cursor::ZERO, Vec::new(), 0);
            loop {
                let run = caught(&log, &grain, cursor, budget).await?;
                ensure!(
                    fits(&run.entries, budget),
                    "entries of {:?} bytes for {budget:?}",
                    sizes(&run.entries)
                );
                let whole = expected(&all, cursor);
                ensure!(
                    !run.entries.is_empty() && whole.starts_with(&cursors(&run.entries)),
                    "the run from {cursor} must be a beginning of {whole:?}, is {:?}",
                    cursors(&run.entries)
                );
                ensure_eq!(
                    run.complete,
                    whole.len() == run.entries.len(),
                    "complete, from {cursor} for {budget:?}"
                );
                way.extend(cursors(&run.entries));
                cursor = way.last().copied().unwrap_or(cursor);
                rounds += 1;
                ensure!(rounds <= 10, "rounds without end for {budget:?}");
                if run.complete {
                    break;
                }
            }
            ensure_eq!(
                way,
                expected(&all, Cursor::ZERO),
                "the whole way for {budget:?}"
            );
        }
    }
    Ok(())
}

/// A grain in step and a grain without entries: complete, empty, with the head or none.
pub(crate) async fn l8_nothing_to_do_is_complete(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let unknown = grain("plane", "unknown")?;
    for cursor in [Cursor::ZERO, Cursor::new(3, 3)] {
        let run = caught(&log, &unknown, cursor, Budget::new(1, 0)).await?;
        ensure!(
            run.head.is_none() && run.entries.is_empty() && run.complete,
            "a grain without entries: {run:?}"
        );
    }
    let grain = grain("plane", "in step")?;
    let all = Pen::new(&grain).write("FDD");
    append_all(&log, &all).await?;
    for cursor in [Cursor::new(1, 3), Cursor::new(1, 99), Cursor::new(2, 1)] {
        let run = caught(&log, &grain, cursor, Budget::new(1, 0)).await?;
        ensure!(
            run.head == head_of(&all) && run.entries.is_empty() && run.complete,
            "at or above the head: {run:?}"
        );
    }
    let none = log.catch_up(&[], Budget::new(1, 0)).await?;
    ensure!(none.grains.is_empty(), "nothing asked, nothing answered");
    Ok(())
}

/// A budget shared by many grains: the first that moved is served, others are deferred, and asking
/// again brings all to their heads.
pub(crate) async fn l8_a_shared_budget_defers_and_progresses(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let mut histories = Vec::new();
    for (at, kinds) in ["F", "FDD", "T", "FDF", "FDDDDD", "F"]
        .into_iter()
        .enumerate()
    {
        let grain = grain("many", &format!("{at}"))?;
        let all = Pen::new(&grain).write(kinds);
        append_all(&log, &all).await?;
        histories.push((grain, all));
    }
    for budget in [
        Budget::new(1, usize::MAX),
        Budget::new(3, usize::MAX),
        Budget::new(99, 3),
        Budget::UNBOUNDED,
    ] {
        // The first is in step from the start: it takes nothing of the budget.
        let mut wants: Vec<(GrainId, Cursor)> = histories
            .iter()
            .map(|(grain, _)| (grain.clone(), Cursor::ZERO))
            .collect();
        if let Some(first) = wants.first_mut() {
            first.1 = Cursor::new(1, 1);
        }
        let mut rounds = 0;
        while progress(&log, &histories, &mut wants, budget).await? {
            rounds += 1;
            ensure!(rounds <= 40, "rounds without end for {budget:?}");
        }
        for ((grain, all), (_, cursor)) in histories.iter().zip(&wants) {
            ensure_eq!(
                Some(*cursor),
                head_of(all).map(|head| head.cursor),
                "{grain} in the end"
            );
        }
    }
    Ok(())
}

/// One round of `catch_up`, checked; whether anything was still to do.
async fn progress<L: ReplicationLog>(
    log: &L,
    histories: &[(GrainId, Vec<Entry>)],
    wants: &mut [(GrainId, Cursor)],
    budget: Budget,
) -> Seen<bool> {
    let answer = log.catch_up(wants, budget).await?;
    ensure_eq!(
        answer.identity,
        log.identity().await?,
        "the identity of an answer"
    );
    ensure_eq!(answer.grains.len(), wants.len(), "answers to a catch_up");
    let (mut left, mut given) = (false, Vec::new());
    for ((want, caught), (grain, all)) in wants.iter_mut().zip(&answer.grains).zip(histories) {
        let whole = expected(all, want.1);
        match caught {
            Caught::Run(run) => {
                ensure_eq!(run.head, head_of(all), "the head of {grain}");
                let part = cursors(&run.entries);
                ensure!(
                    whole.starts_with(&part) && (whole.is_empty() || !part.is_empty()),
                    "the run of {grain} must be a beginning of {whole:?}, is {part:?}"
                );
                ensure_eq!(run.complete, part.len() == whole.len(), "complete, {grain}");
                given.extend(run.entries.iter().cloned());
                left |= !run.complete;
                want.1 = part.last().copied().unwrap_or(want.1);
            }
            Caught::Deferred => {
                ensure!(
                    !given.is_empty(),
                    "{grain} is deferred, and none before it was served"
                );
                ensure!(!whole.is_empty(), "{grain} is in step and was deferred");
                left = true;
            }
            Caught::Failed(error) => {
                return Err(Broken::new(format!("{grain} failed: {error:?}")));
            }
        }
    }
    ensure!(
        fits(&given, budget),
        "entries of {:?} bytes for {budget:?}",
        sizes(&given)
    );
    Ok(left)
}

/// Random histories, truncations and budgets, all grains in one call.
pub(crate) async fn l8_random_histories_are_caught_up(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let mut dice = Dice::new(8);
    let mut histories = Vec::new();
    for at in 0..12 {
        let grain = grain("random", &format!("{at}"))?;
        let mut pen = Pen::new(&grain);
        let mut all = pen.write("F");
        for _ in 0..dice.roll(14) {
            let dead = all
                .last()
                .is_some_and(|entry| entry.kind() == Kind::Tombstone);
            all.extend(match dice.roll(8) {
                0 => pen.write("T"),
                1 => pen.leap(2).write("F"),
                2 => {
                    let (epoch, writer) = (pen.epoch + 2, dice.roll(9));
                    pen.turn(epoch, writer).write("F")
                }
                3 => pen.write("F"),
                _ if dead => pen.write("F"),
                _ => pen.write("D"),
            });
        }
        append_all(&log, &all).await?;
        if dice.roll(2) == 0 {
            let cut = all
                .get(dice.pick(all.len()))
                .map_or(Cursor::ZERO, Entry::cursor);
            log.truncate(&grain, cut).await?;
        }
        histories.push((grain, all));
    }
    for _ in 0..60 {
        let mut wants = Vec::new();
        for (grain, all) in &histories {
            let cursor = match dice.roll(4) {
                0 => Cursor::ZERO,
                1 => Cursor::new(1 + dice.roll(5), dice.roll(20)),
                _ => all
                    .get(dice.pick(all.len()))
                    .map_or(Cursor::ZERO, Entry::cursor),
            };
            wants.push((grain.clone(), cursor));
        }
        let bytes = if dice.roll(2) == 0 {
            usize::MAX
        } else {
            dice.pick(60)
        };
        let budget = Budget::new(1 + dice.pick(30), bytes);
        progress(&log, &histories, &mut wants, budget).await?;
    }
    Ok(())
}

/// While entries are written and truncated: never an error, each run fits the cursor asked for, and
/// a complete one ends at the head that it names.
pub(crate) async fn l8_runs_are_whole_under_concurrent_change(
    factory: &impl LogFactory,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let grain = grain("plane", "busy")?;
    let done = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for reader in 0..2 {
        let (log, done, grain) = (Arc::clone(&log), Arc::clone(&done), grain.clone());
        let reads = Arc::clone(&reads);
        tasks.push(tokio::spawn(async move {
            let budget = if reader == 0 {
                Budget::UNBOUNDED
            } else {
                Budget::new(2, usize::MAX)
            };
            let (mut cursor, mut digest) = (Cursor::ZERO, None);
            loop {
                let last = done.load(Ordering::SeqCst);
                let run = caught(&*log, &grain, cursor, budget).await?;
                check_run(&run, cursor, digest)?;
                reads.fetch_add(1, Ordering::SeqCst);
                if let Some(entry) = run.entries.last() {
                    (cursor, digest) = (entry.cursor(), Some(entry.digest()));
                }
                if last && run.complete {
                    ensure_eq!(
                        Some(cursor),
                        head(&*log, &grain).await?.map(|head| head.cursor),
                        "where a reader ends"
                    );
                    return Ok(());
                }
                tokio::task::yield_now().await;
            }
        }));
    }
    {
        let (log, done, grain) = (Arc::clone(&log), Arc::clone(&done), grain.clone());
        tasks.push(tokio::spawn(async move {
            while !done.load(Ordering::SeqCst) {
                log.truncate(&grain, Cursor::new(9, 9)).await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }));
    }
    let mut pen = Pen::new(&grain);
    let mut verdict = Ok(());
    // Until the readers have had their share, also on a backend where an append is over in no time.
    let enough =
        || reads.load(Ordering::SeqCst) >= 100 || tasks.iter().any(JoinHandle::is_finished);
    let mut round = 0;
    while round < 60 || !enough() {
        let entries = pen.write(
            ["FDDD", "D", "F", "DD", "TF"]
                .get(round % 5)
                .unwrap_or(&"F"),
        );
        round += 1;
        verdict = append_all(&*log, &entries).await;
        if verdict.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    for task in tasks {
        verdict = verdict.and(task.await?);
    }
    verdict
}

/// A run by itself, for a replica at a cursor with a digest.
fn check_run(run: &Run, cursor: Cursor, digest: Option<gleaner_core::Digest>) -> Verdict {
    let at = cursors(&run.entries);
    ensure!(
        is_chain(&run.entries),
        "the run from {cursor} must be a chain: {at:?}"
    );
    if let Some(first) = run.entries.first() {
        ensure!(
            first.cursor() > cursor
                && (first.kind().is_base()
                    || (cursor.is_just_below(first.cursor()) && first.prev() == digest)),
            "the run from {cursor} must begin with a base or follow it: {at:?}"
        );
    }
    let reached = at.last().copied().unwrap_or(cursor);
    let head = run.head.map_or(Cursor::ZERO, |head| head.cursor);
    ensure!(
        reached <= head.max(cursor),
        "the run from {cursor} goes beyond the head {head} that it names: {at:?}"
    );
    ensure_eq!(
        run.complete,
        reached >= head,
        "complete, from {cursor} by {at:?} to {head}"
    );
    ensure!(
        run.complete || !run.entries.is_empty(),
        "the run from {cursor} is cut to nothing"
    );
    Ok(())
}

/// The entries of a run are those that `read_from` gives, field for field.
pub(crate) async fn l8_runs_carry_the_entries_of_the_log(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "same")?;
    append_all(&log, &Pen::new(&grain).write("FDFDDD")).await?;
    let all = history(&log, &grain).await?;
    let run = caught(&log, &grain, Cursor::ZERO, Budget::UNBOUNDED).await?;
    ensure_matches!(run.head, Some(head) if head.base == Cursor::new(1, 3), "the head");
    for (ours, theirs) in run.entries.iter().zip(all.iter().skip(2)) {
        super::fidelity::same(ours, theirs)?;
    }
    ensure_eq!(run.entries.len(), 4, "entries in the run");
    Ok(())
}
