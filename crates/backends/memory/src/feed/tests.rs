use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use gleaner_core::{Cursor, Draft, ErrorKind, ReplicationLog, Writer};
use tokio::time::Instant;

use super::*;

/// Longer than anything here takes; time is paused, so a lost wake-up is an hour and not a hang.
const LONG: Duration = Duration::from_secs(3600);

async fn append(log: &MemoryLog, grain_type: &str, key: &str, sequence: u64) {
    let grain = GrainId::new(grain_type, key).unwrap();
    let draft = Draft::full(grain, Cursor::new(1, sequence), Writer::new(1), "s");
    log.append(draft.seal()).await.unwrap();
}

/// Polls once; whether it is done.
async fn done(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    let mut future = future;
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await
}

#[tokio::test(start_paused = true)]
async fn an_append_before_the_wait_is_not_slept_through() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    append(&log, "t", "a", 1).await;
    let started = Instant::now();
    log.wait(&since, LONG).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_append_wakes_every_waiter_at_once() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    let mut one = pin!(log.wait(&since, Duration::MAX));
    let mut two = pin!(log.wait(&since, LONG));
    assert!(!done(one.as_mut()).await && !done(two.as_mut()).await);
    append(&log, "t", "a", 1).await;
    assert!(done(one.as_mut()).await && done(two.as_mut()).await);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_loses_nothing() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    {
        let mut dropped = pin!(log.wait(&since, LONG));
        assert!(!done(dropped.as_mut()).await);
        append(&log, "t", "a", 1).await;
    }
    let mut next = pin!(log.wait(&since, LONG));
    assert!(done(next.as_mut()).await);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_wait_ends_at_its_deadline_and_a_refused_append_wakes_nobody() {
    let log = MemoryLog::new();
    append(&log, "t", "a", 1).await;
    let since = log.start(&Filter::all()).await.unwrap();
    let started = Instant::now();
    let mut wait = pin!(log.wait(&since, Duration::from_secs(5)));
    assert!(!done(wait.as_mut()).await);
    append(&log, "t", "a", 1).await; // a retry writes nothing
    assert!(!done(wait.as_mut()).await);
    wait.await;
    assert_eq!(started.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_fork_wakes_waiters_and_expires_their_positions() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    let mut wait = pin!(log.wait(&since, LONG));
    assert!(!done(wait.as_mut()).await);
    log.fork_history();
    assert!(done(wait.as_mut()).await);
    // A position that is of no use is said at once, by the next `changes`.
    let mut again = pin!(log.wait(&since, LONG));
    assert!(done(again.as_mut()).await);
    let error = log.changes(&since, &Filter::all(), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
}

#[tokio::test]
async fn positions_beyond_the_end_or_of_a_narrower_filter_expire() {
    let log = MemoryLog::new();
    let identity = log.identity().await.unwrap();
    for counters in [vec![1], vec![], vec![0, 0]] {
        let beyond = Position::new(identity.clone(), Filter::all(), counters);
        let error = log.changes(&beyond, &Filter::all(), 1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Expired);
    }
    let narrow = log.start(&Filter::grain_type("t")).await.unwrap();
    let error = log.changes(&narrow, &Filter::all(), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expired);
    let wide = log.start(&Filter::all()).await.unwrap();
    let page = log.changes(&wide, &Filter::grain_type("t"), 1).await;
    assert!(page.unwrap().complete);
}

#[tokio::test]
async fn the_feed_holds_one_row_a_grain() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    for sequence in 1..=50 {
        append(&log, "t", "busy", sequence).await;
    }
    append(&log, "t", "other", 1).await;
    assert_eq!(log.shared().state.read().feed.len(), 2);
    let page = log.changes(&since, &Filter::all(), 10).await.unwrap();
    assert_eq!((page.moved.len(), page.complete), (2, true));
    assert_eq!(page.moved[0].head.cursor, Cursor::new(1, 50));
}

#[tokio::test]
async fn a_filter_that_few_pass_is_walked_in_bounded_pages() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    for key in 0..SCAN + 10 {
        append(&log, "foreign", &key.to_string(), 1).await;
    }
    append(&log, "ours", "a", 1).await;
    let ours = Filter::grain_type("ours");
    let first = log.changes(&since, &ours, 100).await.unwrap();
    assert!(first.moved.is_empty() && !first.complete);
    let second = log.changes(&first.next, &ours, 100).await.unwrap();
    assert_eq!((second.moved.len(), second.complete), (1, true));
    let third = log.changes(&second.next, &ours, 100).await.unwrap();
    assert!(third.moved.is_empty() && third.complete);
}

#[tokio::test]
async fn a_page_that_ends_with_the_feed_is_complete() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    append(&log, "t", "a", 1).await;
    append(&log, "t", "b", 1).await;
    let first = log.changes(&since, &Filter::all(), 0).await.unwrap();
    assert_eq!((first.moved.len(), first.complete), (1, false));
    let second = log.changes(&first.next, &Filter::all(), 1).await.unwrap();
    assert_eq!((second.moved.len(), second.complete), (1, true));
}

#[tokio::test]
async fn the_limit_counts_what_is_in_the_filter() {
    let log = MemoryLog::new();
    let since = log.start(&Filter::all()).await.unwrap();
    for key in 0..400 {
        append(&log, "t", &key.to_string(), 1).await;
    }
    let half = Filter::all().slices(0..512);
    let page = log.changes(&since, &half, 20).await.unwrap();
    assert_eq!((page.moved.len(), page.complete), (20, false));
    assert!(page.moved.iter().all(|moved| half.includes(&moved.grain)));
}
