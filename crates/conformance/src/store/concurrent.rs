//! S4 and S5 under load: every reader sees whole replicas, whoever writes or gives up meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gleaner_core::{
    Advance, Cursor, Digest, Entry, Expected, Generation, GrainId, Rebase, Replica, ReplicaHandle,
    ReplicaStore, StopReason,
};

use super::bench::{bound, mark, ours, row, stands, text};
use crate::once::poll_once;
use crate::pen::{Pen, grain};
use crate::verdict::{Seen, ensure, ensure_eq};
use crate::{Broken, StoreFactory, Verdict};

/// A history whose every state tells its cursor: whole states `=n`, deltas `+n` behind them, and a
/// tombstone at each tenth number.
fn history(grain: &GrainId, count: u64) -> Vec<Entry> {
    let mut pen = Pen::new(grain);
    let mut all = Vec::new();
    while pen.sequence < count {
        let next = pen.sequence + 1;
        all.extend(pen.write(match next % 10 {
            0 => "T",
            1 | 6 => "F",
            _ => "D",
        }));
    }
    all
}

/// A replica of such a history: state and cursor must be of one moment.
fn whole(replica: &Replica, digests: &HashMap<Cursor, Digest>) -> Verdict {
    let at = replica.cursor().sequence.get();
    let base = match at % 10 {
        0 => None,
        last => Some(at - last + if last < 6 { 1 } else { 6 }),
    };
    let expected = base.map_or_else(
        || "none".to_owned(),
        |base| {
            (base..=at)
                .map(|n| {
                    if n == base {
                        format!("={n}")
                    } else {
                        format!("+{n}")
                    }
                })
                .collect()
        },
    );
    ensure_eq!(
        text(Some(replica)),
        expected,
        "the state at {}",
        replica.cursor()
    );
    ensure_eq!(
        Some(replica.digest()),
        digests.get(&replica.cursor()).copied(),
        "the digest at {}",
        replica.cursor()
    );
    Ok(())
}

fn digests(all: &[Entry]) -> HashMap<Cursor, Digest> {
    all.iter()
        .map(|entry| (entry.cursor(), entry.digest()))
        .collect()
}

/// What one reader reads, and how.
struct Watch {
    way: usize,
    grain: GrainId,
    digests: HashMap<Cursor, Digest>,
    done: Arc<AtomicBool>,
    reads: Arc<AtomicU64>,
}

/// Reads in one of three ways until told to stop; whole, and never back.
async fn read<S: ReplicaStore>(store: Arc<S>, watch: Watch) -> Verdict {
    let way = watch.way;
    let handle: Option<ReplicaHandle> = store.handle(&watch.grain);
    let mut known = (Generation::default(), Cursor::ZERO);
    loop {
        let last = watch.done.load(Ordering::SeqCst);
        let seen = match (way, &handle) {
            (1, Some(_)) => store.peek(&watch.grain),
            (2, Some(handle)) => handle.load(),
            _ => store.get(&watch.grain).await?,
        };
        match seen {
            Some(replica) => {
                whole(&replica, &watch.digests)?;
                let now = (replica.generation(), replica.cursor());
                ensure!(
                    now >= known,
                    "way {way}: a reader saw {known:?}, then {now:?}"
                );
                known = now;
            }
            None => ensure!(
                known.1 == Cursor::ZERO,
                "way {way}: a reader saw {known:?}, then nothing"
            ),
        }
        if last {
            break;
        }
        if watch
            .reads
            .fetch_add(1, Ordering::SeqCst)
            .is_multiple_of(16)
        {
            tokio::task::yield_now().await;
        }
    }
    ensure!(known.1 > Cursor::ZERO, "way {way}: nothing was ever seen");
    Ok(())
}

/// Applies go on; readers by `get`, `peek` and handle see each replica whole and never go back.
pub(crate) async fn s4_readers_see_one_moment(factory: &impl StoreFactory) -> Verdict {
    hammer(factory, false).await
}

/// Rebases go on too: the former replica is served whole until the new one is, never none.
pub(crate) async fn s4_readers_see_one_moment_through_rebases(
    factory: &impl StoreFactory,
) -> Verdict {
    hammer(factory, true).await
}

/// How often each reader reads at least; the histories are long enough for that.
const READS: u64 = 400;
const LENGTH: usize = 3000;

async fn hammer<F: StoreFactory>(factory: &F, rebasing: bool) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let store = Arc::new(store);
    let done = Arc::new(AtomicBool::new(false));
    let mut grains = Vec::new();
    let mut tasks = Vec::new();
    let mut counts = Vec::new();
    for at in 0..3 {
        let grain = grain("hammer", &format!("{at}"))?;
        let all = history(&grain, LENGTH as u64);
        mark(&*store, &grain).await?;
        let reads = Arc::new(AtomicU64::new(0));
        let watch = Watch {
            way: at,
            grain: grain.clone(),
            digests: digests(&all),
            done: Arc::clone(&done),
            reads: Arc::clone(&reads),
        };
        counts.push(reads);
        tasks.push(tokio::spawn(read(Arc::clone(&store), watch)));
        grains.push((grain, all));
    }
    let enough = || {
        counts
            .iter()
            .all(|reads| reads.load(Ordering::SeqCst) >= READS)
    };
    let verdict = feed_in(&*store, &grains, rebasing, enough).await;
    done.store(true, Ordering::SeqCst);
    let mut verdicts = vec![verdict];
    for task in tasks {
        verdicts.push(task.await?);
    }
    verdicts.into_iter().collect()
}

async fn feed_in<S: ReplicaStore>(
    store: &S,
    grains: &[(GrainId, Vec<Entry>)],
    rebasing: bool,
    enough: impl Fn() -> bool + Send + Sync,
) -> Verdict {
    let mut at: usize = 0;
    let mut step = 0;
    while at < 120 || (at < LENGTH && !enough()) {
        step += 1;
        let take = 1 + step % 4;
        let mut runs = Vec::new();
        for (grain, all) in grains {
            if rebasing && step % 5 == 0 {
                back(store, grain, all.get(..at).unwrap_or_default()).await?;
            }
            let now = mark(store, grain).await?;
            // More than is new, so that a replica that was set back gets what it lacks.
            let from = at.saturating_sub(20);
            runs.push(Advance {
                grain: grain.clone(),
                generation: now.generation,
                entries: all.iter().take(at + take).skip(from).cloned().collect(),
            });
        }
        at += take;
        for outcome in store.apply(&ours(), runs).await? {
            ensure!(
                outcome.stop.is_none(),
                "an apply under readers: {outcome:?}"
            );
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Sets a replica back to a base some entries ago, and a little forward again, in one step.
async fn back<S: ReplicaStore>(store: &S, grain: &GrainId, so_far: &[Entry]) -> Verdict {
    let base = so_far
        .iter()
        .take(so_far.len().saturating_sub(5))
        .rposition(|entry| entry.kind().is_base())
        .unwrap_or(0);
    let rebase = Rebase {
        grain: grain.clone(),
        expected: Expected::from(&mark(store, grain).await?),
        entries: so_far.iter().skip(base).take(3).cloned().collect(),
    };
    let outcome = store.rebase(&ours(), rebase).await?;
    ensure!(
        outcome.stop.is_none(),
        "a rebase under readers: {outcome:?}"
    );
    Ok(())
}

/// Calls that are dropped at their first pending point: the store is before or after, at an entry,
/// and whoever loads the cursor goes on from there.
pub(crate) async fn s5_a_dropped_call_is_before_or_after(factory: &impl StoreFactory) -> Verdict {
    let (_guard, store) = bound(factory).await?;
    let grain = grain("plane", "dropped")?;
    let all = history(&grain, 60);
    let digests = digests(&all);
    let mut calls = 0;
    while drop_one(&store, &grain, &all, calls).await? {
        if let Some(replica) = store.get(&grain).await? {
            whole(&replica, &digests)?;
        }
        calls += 1;
        ensure!(calls < 10_000, "dropped calls never get anywhere");
    }
    settle(&store, &grain).await?;
    stands(&store, &grain, &all).await?;
    ensure_eq!(
        row(&store, &grain).await?.map(|row| row.cursor()),
        all.last().map(Entry::cursor),
        "where the replica stands in the end"
    );
    Ok(())
}

/// Waits until what dropped calls have left under way has happened: an apply that changes nothing
/// has gone behind them, and the mark stays as it is.
async fn settle<S: ReplicaStore>(store: &S, grain: &GrainId) -> Verdict {
    let mut known = mark(store, grain).await?;
    for _ in 0..1000 {
        let nothing = Advance {
            grain: grain.clone(),
            generation: known.generation,
            entries: Vec::new(),
        };
        store.apply(&ours(), vec![nothing]).await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = mark(store, grain).await?;
        if now == known {
            return Ok(());
        }
        known = now;
    }
    Err(Broken::new("dropped calls go on changing the replica"))
}

/// Loads the cursor and starts the next call, dropping two of three; whether there was one to make.
async fn drop_one<S: ReplicaStore>(
    store: &S,
    grain: &GrainId,
    all: &[Entry],
    call: usize,
) -> Seen<bool> {
    let now = mark(store, grain).await?;
    let todo: Vec<Entry> = all
        .iter()
        .filter(|entry| entry.cursor() > now.cursor)
        .take(3)
        .cloned()
        .collect();
    if todo.is_empty() {
        return Ok(false);
    }
    let log = ours();
    let run = Advance {
        grain: grain.clone(),
        generation: now.generation,
        entries: todo,
    };
    let mut apply = store.apply(&log, vec![run]);
    if call % 3 == 2 {
        for outcome in apply.await? {
            // A dropped rebase may have happened since the mark was loaded: then this one is late.
            let late = matches!(&outcome.stop, Some(stop) if stop.why == StopReason::Moved);
            ensure!(
                (outcome.stop.is_none() || late) && outcome.mark.cursor >= now.cursor,
                "an apply after dropped calls: {outcome:?}"
            );
        }
    } else if let Some(outcome) = poll_once(apply.as_mut()).await {
        outcome?;
    }
    if call % 7 == 6 {
        let now = mark(store, grain).await?;
        let base = all
            .iter()
            .rposition(|entry| entry.kind().is_base() && entry.cursor() <= now.cursor);
        let upto = all
            .iter()
            .take_while(|entry| entry.cursor() <= now.cursor)
            .count();
        let entries = all
            .get(base.unwrap_or(0)..upto)
            .ok_or_else(|| Broken::new("no base"))?
            .to_vec();
        let rebase = Rebase {
            grain: grain.clone(),
            expected: Expected::from(&now),
            entries,
        };
        let mut rebase = store.rebase(&log, rebase);
        let _ = poll_once(rebase.as_mut()).await;
    }
    Ok(true)
}
