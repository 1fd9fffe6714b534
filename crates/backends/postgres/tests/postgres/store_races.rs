//! Processes that race for the replicas of one store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gleaner_core::{
    Advance, Entry, Expected, Generation, GrainId, Rebase, ReplicaStore, StopReason,
};
use gleaner_postgres::PostgresReplicaStore;

use crate::server::{Sql, fresh, is_installed, schema_of, until};
use crate::stores::{Behind, bound, full, grain, history, log, mark, run, told};

/// Applies a grain's whole history step by step, whoever else does; how many entries it moved it by.
async fn follow(
    store: PostgresReplicaStore,
    histories: Arc<Vec<Vec<Entry>>>,
    step: usize,
) -> usize {
    let grains: Vec<GrainId> = histories.iter().map(|all| all[0].grain().clone()).collect();
    let mut applied = 0;
    loop {
        let marks = store.cursor(&grains).await.unwrap();
        let runs: Vec<Advance> = marks
            .iter()
            .zip(&*histories)
            .filter_map(|(mark, all)| {
                let from = usize::try_from(mark.cursor.sequence.get()).unwrap();
                let entries: Vec<Entry> = all.iter().skip(from).take(step).cloned().collect();
                (!entries.is_empty()).then(|| run(mark, all[0].grain(), &entries))
            })
            .collect();
        if runs.is_empty() {
            return applied;
        }
        let asked = runs.clone();
        let outcomes = store.apply(&log(), runs).await.unwrap();
        for (asked, outcome) in asked.iter().zip(outcomes) {
            assert_eq!(outcome.stop, None, "of {}", asked.grain);
            let last = asked.entries[asked.entries.len() - 1].cursor();
            assert!(outcome.mark.cursor >= last, "{outcome:?}");
            applied += outcome.applied;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_apply_the_same_runs_move_each_replica_once_by_each_entry() {
    const GRAINS: usize = 20;
    const LENGTH: u64 = 60;
    if !is_installed() {
        return;
    }
    let url = fresh();
    // In another order for each process, so that a ring of waiters would form if it could.
    let mut histories: Vec<Vec<Entry>> = (0..GRAINS)
        .map(|key| history(&grain(&key.to_string()), LENGTH))
        .collect();
    let mut tasks = Vec::new();
    for (step, pooler) in [(1, false), (2, true), (3, false)] {
        let config = PostgresReplicaStore::builder(&url).unwrap().pooler(pooler);
        let store = config.fold(Arc::new(Behind)).open().await.unwrap();
        store.bind(&log(), None).await.unwrap();
        histories.rotate_left(7);
        tasks.push(tokio::spawn(follow(
            store,
            Arc::new(histories.clone()),
            step,
        )));
    }
    let mut applied = 0;
    for task in tasks {
        applied += task.await.unwrap();
    }
    assert_eq!(applied, GRAINS * usize::try_from(LENGTH).unwrap());
    let store = bound(&url).await;
    for all in histories {
        let replica = store.get(all[0].grain()).await.unwrap().unwrap();
        assert_eq!(replica.state(), Some(told(LENGTH).as_bytes()));
        assert_eq!(replica.digest(), all[all.len() - 1].digest());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_rebases_each_that_is_answered_raised_the_generation_once() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let id = grain("set back");
    let all = Arc::new(history(&id, 5));
    let tasks: Vec<_> = (0..6_usize)
        .map(|task| {
            let (url, id, all) = (url.clone(), id.clone(), Arc::clone(&all));
            tokio::spawn(async move {
                let store = bound(&url).await;
                let mut won = 0;
                for turn in 0..30 {
                    let mark = mark(&store, &id).await;
                    if (task + turn) % 3 == 0 {
                        let runs = vec![run(&mark, &id, &all)];
                        let outcome = store.apply(&log(), runs).await.unwrap().remove(0);
                        let why = outcome.stop.map(|stop| stop.why);
                        assert!(matches!(why, None | Some(StopReason::Moved)), "{why:?}");
                        continue;
                    }
                    let rebase = Rebase {
                        grain: id.clone(),
                        expected: Expected::from(&mark),
                        entries: all[..=turn % 5].to_vec(),
                    };
                    let outcome = store.rebase(&log(), rebase).await.unwrap();
                    match outcome.stop.map(|stop| stop.why) {
                        None => won += 1,
                        Some(why) => assert_eq!(why, StopReason::Moved),
                    }
                }
                won
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += task.await.unwrap();
    }
    let store = bound(&url).await;
    let replica = store.get(&id).await.unwrap().unwrap();
    assert!(won > 0);
    assert_eq!(replica.generation(), Generation::new(won));
    let sequence = replica.cursor().sequence.get();
    assert_eq!(replica.state(), Some(told(sequence).as_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removals_get_through_applies_and_no_late_apply_brings_a_replica_back() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let ids: Vec<GrainId> = ["a", "b", "c"].map(grain).to_vec();
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let store = bound(&url).await;
        let (ids, done) = (ids.clone(), Arc::clone(&done));
        tasks.push(tokio::spawn(async move {
            let mut known = vec![Generation::default(); ids.len()];
            while !done.load(Ordering::Relaxed) {
                let marks = store.cursor(&ids).await.unwrap();
                for (mark, known) in marks.iter().zip(&mut known) {
                    assert!(mark.generation >= *known, "{mark:?} after {known}");
                    *known = mark.generation;
                }
                let runs = marks.iter().zip(&ids).map(|(mark, id)| {
                    let next = mark.cursor.sequence.get() + 1;
                    run(mark, id, &[full(id, next, vec![7; 100])])
                });
                for outcome in store.apply(&log(), runs.collect()).await.unwrap() {
                    let why = outcome.stop.map(|stop| stop.why);
                    assert!(matches!(why, None | Some(StopReason::Moved)), "{why:?}");
                }
            }
        }));
    }
    let store = bound(&url).await;
    let mut removed = 0;
    while removed < 100 {
        removed += store.prune(&ids).await.unwrap();
        let marks = store.cursor(&ids).await.unwrap();
        for (mark, id) in marks.iter().zip(&ids) {
            removed += u64::from(store.remove(id, mark.into()).await.unwrap());
        }
    }
    done.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_are_cut_leave_each_replica_at_an_entry() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let schema = schema_of(&url);
    let config = PostgresReplicaStore::builder(&format!("{url}&application_name=cut")).unwrap();
    let store = config.fold(Arc::new(Behind)).open().await.unwrap();
    store.bind(&log(), None).await.unwrap();
    let sql = Sql::connect(&url).await;
    let ids = ["a", "b"].map(grain);
    let histories = ids.clone().map(|id| history(&id, 400));
    let (mut steps, mut cut, mut sequence) = (0, 0, 0);
    until("applies were cut, and others not", async || {
        // One step; an answer that is an error leaves the caller to look again.
        let step = async {
            let marks = store.cursor(&ids).await?;
            assert_eq!(
                marks[0].cursor, marks[1].cursor,
                "one transaction, two rows"
            );
            sequence = usize::try_from(marks[0].cursor.sequence.get()).unwrap();
            let runs = marks.iter().zip(&histories).map(|(mark, all)| {
                let id = all[0].grain();
                let next = sequence as u64 + 1;
                let entry = all.get(sequence).cloned();
                let entry = entry.unwrap_or_else(|| full(id, next, told(next)));
                run(mark, id, &[entry])
            });
            let runs = runs.collect();
            store.apply(&log(), runs).await.inspect_err(|_| cut += 1)
        };
        // Every third one is cut at some point, or just before or after.
        steps += 1;
        let knife = async {
            if steps % 3 == 0 {
                sql.run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE application_name = 'cut'",
                )
                .await;
            }
        };
        match tokio::join!(step, knife).0 {
            Ok(outcomes) => assert!(outcomes.iter().all(|outcome| outcome.stop.is_none())),
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        cut >= 3 && sequence >= 10
    })
    .await;
    let rows = format!("SELECT count(*) FROM {schema}.replica");
    assert_eq!(sql.number(&rows).await, 2);
    let store = bound(&url).await;
    for id in &ids {
        let replica = store.get(id).await.unwrap().unwrap();
        let sequence = replica.cursor().sequence.get();
        assert_eq!(replica.state(), Some(told(sequence).as_bytes()));
    }
}
