//! Many tasks, and several logs on one file as several processes have them.

use std::time::Duration;

use gleaner_core::{Budget, Caught, ChangeFeed, Cursor, Filter, ReplicationLog};
use gleaner_sqlite::SqliteLog;

use crate::{full, grain};

/// Long beyond anything that a test waits for.
const LONG: Duration = Duration::from_secs(60);

async fn append_rows(log: SqliteLog, key: String, count: u64) {
    for sequence in 1..=count {
        let head = log
            .append(full(&key, 1, sequence, vec![7; 256]))
            .await
            .unwrap_or_else(|error| panic!("{key} at {sequence}: {error}"));
        assert_eq!(head.cursor, Cursor::new(1, sequence));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_logs_with_eight_appenders_each_never_fail() {
    const EACH: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let mut tasks = Vec::new();
    let logs = [
        SqliteLog::open(&path).await.unwrap(),
        SqliteLog::open(&path).await.unwrap(),
    ];
    for (at, log) in logs.iter().enumerate() {
        for task in 0..8 {
            tasks.push(tokio::spawn(append_rows(
                log.clone(),
                format!("{at}-{task}"),
                EACH,
            )));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let listed = logs[0].list_heads(&Filter::all(), None, 100).await.unwrap();
    assert_eq!(listed.heads.len(), 16);
    assert!(
        listed
            .heads
            .iter()
            .all(|(_, head)| head.cursor == Cursor::new(1, EACH))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_open_a_new_file_at_once_and_find_one_log() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let path = folder.path().join(format!("{round}.db"));
        let opening: Vec<_> = (0..12)
            .map(|_| tokio::spawn(SqliteLog::builder(&path).open()))
            .collect();
        let mut identities = std::collections::HashSet::new();
        for log in opening {
            let log = log.await.unwrap().unwrap();
            identities.insert(log.identity().await.unwrap());
        }
        assert_eq!(identities.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refusal_in_a_group_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|at| {
            let log = log.clone();
            // Every fourth takes grain 0 with the same number: one of them wins.
            let entry = match at % 4 {
                0 => full("contested", 1, 1, format!("by {at}")),
                _ => full(&format!("own {at}"), 1, 1, "mine"),
            };
            tokio::spawn(async move { (at, log.append(entry).await) })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        let (at, outcome) = task.await.unwrap();
        if at % 4 == 0 {
            won += usize::from(outcome.is_ok());
        } else {
            outcome.unwrap();
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_dropped_append_is_done_or_not_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
    for sequence in 1..50 {
        let entry = full("a", 1, sequence, "x");
        {
            let append = log.append(entry.clone());
            tokio::pin!(append);
            // Polled once, then dropped: handed in or not.
            let polled = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(append.as_mut().poll(cx).is_ready())
            });
            polled.await;
        }
        assert_eq!(
            log.append(entry).await.unwrap().cursor,
            Cursor::new(1, sequence)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_is_woken_by_its_own_log_and_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let reader = SqliteLog::open(&path).await.unwrap();
    let other = SqliteLog::open(&path).await.unwrap();
    for round in 1..=20 {
        let writer = if round % 2 == 0 { &reader } else { &other };
        let since = reader.start(&Filter::all()).await.unwrap();
        let waiting = tokio::spawn({
            let (reader, since) = (reader.clone(), since.clone());
            async move { tokio::time::timeout(LONG, reader.wait(&since, LONG * 2)).await }
        });
        writer.append(full("a", 1, round, "x")).await.unwrap();
        waiting.await.unwrap().expect("woken by the append");
        let page = reader.changes(&since, &Filter::all(), 10).await.unwrap();
        assert_eq!(page.moved.len(), 1);
        assert!(page.complete);
    }
}

#[tokio::test]
async fn a_wait_for_what_is_there_already_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let reader = SqliteLog::open(&path).await.unwrap();
    let since = reader.start(&Filter::all()).await.unwrap();
    SqliteLog::open(&path)
        .await
        .unwrap()
        .append(full("a", 1, 1, "x"))
        .await
        .unwrap();
    tokio::time::timeout(LONG, reader.wait(&since, LONG * 2))
        .await
        .expect("at once");
    // And one for what is not there ends when it is told to.
    let since = reader.start(&Filter::all()).await.unwrap();
    tokio::time::timeout(LONG, reader.wait(&since, Duration::from_millis(20)))
        .await
        .expect("at its deadline");
}

#[tokio::test]
async fn grains_in_step_cost_no_payload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.unwrap();
    let mut wants = Vec::new();
    for key in 0..50 {
        let entry = full(&key.to_string(), 1, 1, vec![1; 4096]);
        wants.push((entry.grain().clone(), entry.cursor()));
        log.append(entry).await.unwrap();
    }
    // What is not read cannot be missed: without any entry left, grains in step are told to be so.
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("DELETE FROM entry")
        .unwrap();
    let caught = log.catch_up(&wants, Budget::UNBOUNDED).await.unwrap();
    assert!(caught.grains.iter().all(|caught| matches!(
        caught,
        Caught::Run(run) if run.complete && run.entries.is_empty() && run.head.is_some()
    )));
    let behind = [(grain("7"), Cursor::ZERO)];
    let caught = log.catch_up(&behind, Budget::UNBOUNDED).await.unwrap();
    assert!(matches!(caught.grains[..], [Caught::Failed(_)]));
}

#[tokio::test]
async fn a_filtered_page_passes_over_other_types_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
    let ships = Filter::grain_type("ship");
    let mut since = log.start(&ships).await.unwrap();
    // More than one page looks at.
    for from in [0_u64, 3000] {
        let batch: Vec<_> = (from..from + 3000)
            .map(|key| full(&key.to_string(), 1, 1, "x"))
            .collect();
        log.append_batch(&batch).await.unwrap();
    }
    let ship = gleaner_core::GrainId::new("ship", "s").unwrap();
    let entry = gleaner_core::Draft::full(
        ship.clone(),
        Cursor::new(1, 1),
        gleaner_core::Writer::new(1),
        "x",
    );
    log.append(entry.seal()).await.unwrap();
    let mut named = Vec::new();
    let mut pages = 0;
    loop {
        let page = log.changes(&since, &ships, 10).await.unwrap();
        named.extend(page.moved.into_iter().map(|moved| moved.grain));
        pages += 1;
        assert_ne!(page.next, since, "each page gets on");
        since = page.next;
        if page.complete {
            break;
        }
    }
    assert_eq!(named, [ship]);
    assert_eq!(pages, 2);
}
