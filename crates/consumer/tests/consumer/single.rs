//! [`ReplicationConsumer`]: one grain, its own poll interval, no feed.

use gleaner_consumer::{ReadError, ReplicationConsumer};
use gleaner_core::Cursor;

use crate::rig::*;

fn consumer(rig: &Rig, key: &str) -> gleaner_consumer::ConsumerBuilder {
    ReplicationConsumer::builder(rig.log.clone(), rig.store.clone(), grain(key))
        .clock(rig.clock.clone())
        .jitter(0.0)
}

#[tokio::test(start_paused = true)]
async fn a_consumer_polls_once_an_interval_and_asks_no_feed() {
    let rig = Rig::new();
    rig.full(&grain("a"), 1, "one").await;
    let one = consumer(&rig, "a").poll_interval(millis(250)).spawn();
    one.ready().await.unwrap();
    settle().await;
    let polls = rig.log.catch_up.calls();
    pass(secs(10)).await;
    assert_eq!(rig.log.catch_up.calls() - polls, 40);
    assert_eq!(
        rig.log.changes.calls() + rig.log.start.calls() + rig.log.lists.calls(),
        0
    );
    let reader = one.raw_reader();
    assert!(reader.get(ANY).unwrap().age.unwrap() <= millis(250));
    rig.full(&grain("a"), 2, "two").await;
    settle().await;
    assert_eq!(
        &reader.get(ANY).unwrap().state[..],
        b"one",
        "no hint wakes it"
    );
    pass(millis(250)).await;
    assert_eq!(&reader.get(ANY).unwrap().state[..], b"two");
    one.shutdown().await;
    let polls = rig.log.catch_up.calls();
    pass(secs(10)).await;
    assert_eq!(rig.log.catch_up.calls(), polls);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_follows_its_grain_alone() {
    let rig = Rig::new();
    rig.log.without_feed();
    rig.full(&grain("a"), 1, "one").await;
    rig.full(&grain("b"), 1, "one").await;
    let one = consumer(&rig, "a").spawn();
    one.ready().await.unwrap();
    assert_eq!(one.progress().followed, 1);
    assert_eq!(rig.log.entries_read(), 1);
    assert_eq!(one.caught_up().await.unwrap().in_step, 1);
    let mut changes = one.changes();
    rig.full(&grain("a"), 2, "two").await;
    one.control().poll_now().await.unwrap();
    assert_eq!(changes.next().await, Some((grain("a"), Cursor::new(1, 2))));
}

#[tokio::test(start_paused = true)]
async fn a_consumers_reader_may_be_taken_at_once() {
    let rig = Rig::new();
    rig.full(&grain("a"), 1, "one").await;
    rig.log.catch_up.hold();
    let one = consumer(&rig, "a").spawn();
    let reader = one.raw_reader();
    settle().await;
    let early = reader.get(ANY);
    assert!(matches!(early, Err(ReadError::NotYet { .. })), "{early:?}");
    rig.log.catch_up.release();
    one.ready().await.unwrap();
    assert_eq!(&reader.get(ANY).unwrap().state[..], b"one");
}

#[tokio::test(start_paused = true)]
async fn asking_often_leaves_one_rest_to_end() {
    let rig = Rig::new();
    rig.full(&grain("a"), 1, "one").await;
    let one = consumer(&rig, "a").poll_interval(secs(3600)).spawn();
    one.ready().await.unwrap();
    for _ in 0..5_000 {
        one.control().poll_now().await.unwrap();
        tokio::task::yield_now().await;
    }
    settle().await;
    // All five thousand rests have their end at the same moment: one poll, and not one for each.
    let polls = rig.log.catch_up.calls();
    pass(secs(3601)).await;
    assert_eq!(rig.log.catch_up.calls() - polls, 1);
}
