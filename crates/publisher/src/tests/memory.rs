//! Room, modes and the end: what a publisher holds, when it sends, how it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use gleaner_core::{Cursor, Kind, Limits};
use tokio::time::{Instant, sleep, timeout};

use super::log::{Act, TestLog};
use super::{Sum, folded, id, rig, rig_on, started, within};
use crate::{Compaction, DeltaOptions, Mode, PublishError};

/// A state of 1,000 bytes that says which it is.
fn state(n: u64) -> Bytes {
    format!("{n:01000}").into()
}

/// Room for so many of them.
fn room_for(states: usize) -> usize {
    states * (1000 + 256)
}

#[tokio::test(start_paused = true)]
async fn a_full_publisher_makes_others_wait_and_keeps_the_newest_state() {
    let rig = rig(None, |builder| builder.max_buffered_bytes(room_for(2)));
    let (a, b, c) = (
        rig.grain("a").await,
        rig.grain("b").await,
        rig.grain("c").await,
    );
    rig.log.state.lock().down = true;
    a.enqueue_bytes(state(1)).await.unwrap();
    b.enqueue_bytes(state(1)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    // Both are under way now, for good. There is no room for a third, nor for anything newer.
    let refused = c.try_enqueue_bytes(state(1));
    assert!(
        matches!(&refused, Err(PublishError::Full { state: back }) if *back == state(1)),
        "{refused:?}"
    );
    assert_eq!(
        c.status().last,
        Cursor::ZERO,
        "a refused state used a number"
    );
    let waits = started(c.enqueue_bytes(state(2))).await;
    let newest = started(a.enqueue_bytes(state(2))).await;
    sleep(Duration::from_secs(600)).await;
    rig.log.state.lock().down = false;
    assert_eq!(within(waits).await.unwrap().unwrap(), Cursor::new(1, 1));
    assert_eq!(within(newest).await.unwrap().unwrap(), Cursor::new(1, 2));
    rig.finish().await.unwrap();
    for (key, newest) in [("a", 2), ("b", 1), ("c", 2)] {
        let last = rig.log.entries(&id(key)).pop().unwrap();
        assert_eq!(*last.payload(), state(newest), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_state_needs_room_only_for_the_difference() {
    let rig = rig(None, |builder| builder.max_buffered_bytes(room_for(2)));
    let a = rig.grain("a").await;
    rig.log.shut();
    a.enqueue_bytes(state(1)).await.unwrap();
    rig.log.seen(1).await;
    // One under way, one unsent: full. A thousand newer ones take the unsent one's place.
    for n in 2..1000 {
        assert_eq!(a.try_enqueue_bytes(state(n)).unwrap(), Cursor::new(1, n));
        assert_eq!(rig.publisher.shared().room.free(), 0);
    }
    let larger = format!("{:02000}", 1000);
    let refused = a.try_enqueue_bytes(larger.clone());
    assert!(matches!(refused, Err(PublishError::Full { .. })));
    // A smaller one gives back what it does not need.
    a.try_enqueue_bytes("small").unwrap();
    assert_eq!(rig.publisher.shared().room.free(), 995);
    let waits = started(a.enqueue_bytes(larger.clone())).await;
    rig.log.open();
    within(waits).await.unwrap().unwrap();
    rig.finish().await.unwrap();
    assert_eq!(*rig.log.entries(&id("a")).pop().unwrap().payload(), larger);
}

#[tokio::test(start_paused = true)]
async fn a_state_larger_than_all_room_is_admitted_alone() {
    let rig = rig(None, |builder| builder.max_buffered_bytes(600));
    let (a, b) = (rig.grain("a").await, rig.grain("b").await);
    rig.log.shut();
    b.enqueue_bytes("x").await.unwrap();
    let waits = started(a.enqueue_bytes(state(1))).await;
    rig.log.open();
    within(waits).await.unwrap().unwrap();
    within(a.publish_bytes(state(2))).await.unwrap().unwrap();
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_a_wait_for_room_leaves_nothing_behind() {
    let rig = rig(None, |builder| builder.max_buffered_bytes(room_for(1)));
    let (a, b) = (rig.grain("a").await, rig.grain("b").await);
    rig.log.shut();
    a.enqueue_bytes(state(1)).await.unwrap();
    for _ in 0..10 {
        let wait = timeout(Duration::from_secs(1), b.publish_bytes(state(1))).await;
        assert!(wait.is_err());
    }
    rig.log.open();
    rig.finish().await.unwrap();
    assert_eq!(
        within(b.publish_bytes(state(2))).await.unwrap().unwrap(),
        Cursor::new(1, 1)
    );
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_payload_over_the_logs_limit_uses_no_number() {
    let log = TestLog::new(Limits::default().with_max_payload(10));
    let rig = rig_on(log, None, |builder| builder);
    let a = rig.grain("a").await;
    let refused = a.publish_bytes("eleven byte").await;
    assert!(
        matches!(&refused, Err(PublishError::TooLarge { state, size: 11, limit: 10 })
            if state == "eleven byte"),
        "{refused:?}"
    );
    assert_eq!(
        a.publish_bytes("ten bytes.").await.unwrap(),
        Cursor::new(1, 1)
    );
    // A delta whose state could not be written whole is refused as well (P6).
    let options = DeltaOptions::new(Arc::new(Sum), "9999999999");
    let b = rig.publisher.delta_grain(id("b"), options).await.unwrap();
    let refused = b.publish_delta("1").await;
    assert!(
        matches!(refused, Err(PublishError::TooLarge { size: 11, .. })),
        "{refused:?}"
    );
    assert_eq!(b.status().last, Cursor::ZERO);
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn batches_stay_within_the_logs_limits() {
    let limits = Limits::default()
        .with_max_payload(1000)
        .with_max_batch_entries(3)
        .with_max_batch_bytes(2500);
    let rig = rig_on(TestLog::new(limits), None, |builder| {
        builder.coalesce(false).compaction(Compaction::never())
    });
    let (a, b) = (rig.grain("a").await, rig.grain("b").await);
    rig.log.shut();
    for n in 0..40 {
        a.enqueue_bytes(state(n)).await.unwrap();
        b.enqueue_bytes("small").await.unwrap();
    }
    rig.log.open();
    rig.finish().await.unwrap();
    assert_eq!(rig.log.entries(&id("a")).len(), 40);
    assert_eq!(rig.log.entries(&id("b")).len(), 40);
}

#[tokio::test(start_paused = true)]
async fn many_grains_share_calls() {
    let rig = rig(None, |builder| builder);
    let ids = (0..2000).map(|n| id(&n.to_string())).collect();
    let grains = rig.publisher.grains(ids).await;
    assert_eq!(rig.log.state.lock().claims, 2);
    for grain in &grains {
        grain.as_ref().unwrap().enqueue_bytes("x").await.unwrap();
    }
    rig.finish().await.unwrap();
    let appends = rig.log.state.lock().appends;
    // The loop above gives way every 128 states or so, and what was taken by then goes together.
    assert!(appends <= 20, "{appends} appends for 2,000 grains");
}

#[tokio::test(start_paused = true)]
async fn batched_sends_at_most_once_an_interval_and_a_flush_does_not_wait() {
    let interval = Duration::from_secs(10);
    let rig = rig(None, |builder| builder.mode(Mode::Batched(interval)));
    let a = rig.grain("a").await;
    for n in 0..1000 {
        a.enqueue_bytes(state(n)).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let appends = rig.log.state.lock().appends;
    assert!((10..=11).contains(&appends), "{appends} appends in 100 s");
    let before = Instant::now();
    a.enqueue_bytes(state(1001)).await.unwrap();
    a.flush().await.unwrap();
    assert!(before.elapsed() < interval / 10);
    // Without a flush, it takes up to the interval.
    a.publish_bytes(state(1002)).await.unwrap();
    assert!(before.elapsed() > interval / 2);
    assert_eq!(rig.publisher.shared().hurry.load(Ordering::SeqCst), 0);
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_coalescing_every_state_is_delivered_in_order() {
    let rig = rig(None, |builder| {
        builder.coalesce(false).compaction(Compaction::never())
    });
    let a = rig.grain("a").await;
    rig.log
        .script(&[Act::Pass, Act::UnknownAfter, Act::Transient]);
    for n in 1..=500 {
        a.enqueue_bytes(n.to_string()).await.unwrap();
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    rig.finish().await.unwrap();
    let said: Vec<_> = rig
        .log
        .entries(&id("a"))
        .iter()
        .map(|entry| entry.payload().clone())
        .collect();
    let wanted: Vec<_> = (1..=500).map(|n| Bytes::from(n.to_string())).collect();
    assert_eq!(said, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p1_many_tasks_on_one_grain_get_distinct_numbers_in_the_order_of_their_states() {
    let rig = rig(None, |builder| {
        builder.coalesce(false).compaction(Compaction::never())
    });
    let grain = rig.grain("a").await;
    let mut tasks = Vec::new();
    for task in 0..8 {
        let grain = grain.clone();
        tasks.push(tokio::spawn(async move {
            let mut given = Vec::new();
            for n in 0..200 {
                let text = format!("{task}/{n}");
                let cursor = if n % 3 == 0 {
                    grain.publish_bytes(text.clone()).await.unwrap()
                } else {
                    grain.enqueue_bytes(text.clone()).await.unwrap()
                };
                given.push((cursor, text));
            }
            given
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        let given = task.await.unwrap();
        assert!(given.is_sorted(), "numbers of one task fell");
        all.extend(given);
    }
    rig.finish().await.unwrap();
    all.sort();
    let stored: Vec<_> = rig
        .log
        .entries(&id("a"))
        .iter()
        .map(|entry| {
            let text = std::str::from_utf8(entry.payload()).unwrap().to_owned();
            (entry.cursor(), text)
        })
        .collect();
    assert_eq!(all.len(), 1600);
    assert_eq!(all, stored);
}

#[tokio::test(start_paused = true)]
async fn compaction_keeps_what_it_says_and_the_floor_at_a_base() {
    let rig = rig(None, |builder| builder.compaction(Compaction::keep(4)));
    let options = DeltaOptions::new(Arc::new(Sum), "0").full_every(2);
    let a = rig.grain("a").await;
    let b = rig.publisher.delta_grain(id("b"), options).await.unwrap();
    rig.log.state.lock().truncate_fails = true;
    for n in 1..=100_u64 {
        if n == 50 {
            // What could not be truncated is truncated later; no publish failed for it.
            assert!(rig.log.state.lock().truncations > 0);
            assert_eq!(rig.log.entries(&id("a")).len(), 49);
            rig.log.state.lock().truncate_fails = false;
        }
        a.publish_bytes(n.to_string()).await.unwrap();
        b.publish_delta("1").await.unwrap();
    }
    sleep(Duration::from_secs(120)).await;
    assert_eq!(rig.log.numbers(&id("a")), [96, 97, 98, 99, 100]);
    let entries = rig.log.entries(&id("b"));
    assert!((5..=9).contains(&entries.len()), "{entries:?}");
    assert_eq!(entries[0].kind(), Kind::FullState);
    assert_eq!(folded(&entries), Some(Bytes::from("100")));
    rig.finish().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_flushes_then_refuses() {
    let rig = rig(None, |builder| {
        builder.mode(Mode::Batched(Duration::from_secs(60)))
    });
    let a = rig.grain("a").await;
    rig.log.script(&[Act::UnknownBefore, Act::Transient]);
    for n in 1..=10 {
        a.enqueue_bytes(state(n)).await.unwrap();
    }
    let waiting = rig.publisher.clone();
    within(waiting.shutdown()).await.unwrap().unwrap();
    assert_eq!(
        *rig.log.entries(&id("a")).pop().unwrap().payload(),
        state(10)
    );
    let refused = a.publish_bytes("later").await;
    assert!(
        matches!(&refused, Err(PublishError::Closed { state: Some(back) }) if back == "later"),
        "{refused:?}"
    );
    assert!(matches!(
        rig.publisher.grain("t", "b").await,
        Err(PublishError::Closed { .. })
    ));
    assert!(within(rig.publisher.shutdown()).await.unwrap().is_ok());
    rig.clean().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_room_ends_at_shutdown_with_the_state_given_back() {
    let rig = rig(None, |builder| builder.max_buffered_bytes(room_for(1)));
    let (a, b) = (rig.grain("a").await, rig.grain("b").await);
    rig.log.shut();
    a.enqueue_bytes(state(1)).await.unwrap();
    let waits = started(b.publish_bytes(state(7))).await;
    let publisher = rig.publisher.clone();
    let ends = started(publisher.shutdown()).await;
    let refused = within(waits).await.unwrap();
    assert!(
        matches!(&refused, Err(PublishError::Closed { state: Some(back) }) if *back == state(7)),
        "{refused:?}"
    );
    rig.log.open();
    within(ends).await.unwrap().unwrap();
    rig.clean().unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_still_sends_and_ends() {
    let rig = rig(None, |builder| builder);
    let log = rig.log.clone();
    let a = rig.grain("a").await;
    a.enqueue_bytes("1").await.unwrap();
    let mut ended = rig.publisher.shared().ended.subscribe();
    drop(rig);
    a.enqueue_bytes("2").await.unwrap();
    drop(a);
    // The sender goes, and its end of the channel with it.
    let _ = within(ended.wait_for(|ended| *ended)).await.unwrap();
    assert_eq!(log.numbers(&id("a")).last(), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_of_a_dead_log_ends_too() {
    let rig = rig(None, |builder| builder);
    let a = rig.grain("a").await;
    rig.log.state.lock().down = true;
    a.enqueue_bytes("1").await.unwrap();
    let mut ended = rig.publisher.shared().ended.subscribe();
    drop((rig, a));
    let _ = within(ended.wait_for(|ended| *ended)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn grains_without_handles_are_sent_and_forgotten() {
    let rig = rig(None, |builder| builder);
    let a = rig.grain("a").await;
    rig.log.shut();
    a.enqueue_bytes("1").await.unwrap();
    drop(a);
    assert_eq!(rig.publisher.shared().registry.lock().grains.len(), 1);
    rig.log.open();
    rig.finish().await.unwrap();
    assert!(rig.publisher.shared().registry.lock().grains.is_empty());
    assert_eq!(rig.log.numbers(&id("a")), [1]);
}

/// Whoever publishes in a loop on a busy thread lets the sender run beside it: with one thread for
/// both, entries land while it still publishes.
#[tokio::test]
async fn a_loop_of_enqueues_gives_way_to_the_sender() {
    let rig = rig(None, |builder| builder);
    let grain = rig.publisher.open(id("busy")).await.unwrap();
    for _ in 0..10_000 {
        grain.enqueue_bytes(Bytes::from_static(b"s")).await.unwrap();
    }
    let landed = grain.status().acked;
    assert!(landed.sequence.get() > 0, "nothing landed: {landed}");
    rig.publisher.shutdown().await.unwrap();
}
