//! The slow look at all heads, and grains with an interval of their own.

use std::time::Duration;

use gleaner_consumer::{Follower, Health};
use gleaner_core::{Filter, ReplicationLog};
use std::sync::atomic::Ordering;

use crate::rig::*;

async fn follow_all(follower: &Follower) {
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
}

/// L11: a log that loses its tail and does not show it names nothing, and the sweep finds it.
#[tokio::test(start_paused = true)]
async fn l11_a_tail_that_is_lost_unseen_is_found_by_the_sweep() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..50).map(|n| grain(&n.to_string())).collect();
    for id in &ids {
        rig.full(id, 1, "one").await;
    }
    let heads = rig.log.current().heads(&ids).await.unwrap();
    for id in &ids {
        rig.full(id, 2, "two").await;
    }
    let swept = rig.builder().sweep(secs(60)).grains_per_read(7).spawn();
    follow_all(&swept).await;
    let never = rig.builder().sweep(Duration::MAX).spawn();
    follow_all(&never).await;
    let reads = rig.log.entries_read();
    rig.log.lose_unseen(ids[17].clone(), heads[17].unwrap());
    pass(secs(70)).await;
    assert_eq!(health(&never, &ids[17]), Health::Live);
    assert_eq!(health(&swept, &ids[17]), Health::Ahead);
    assert_eq!(swept.progress().in_step, 49);
    assert_eq!(text(&swept.raw_reader(), &ids[17]), "two");
    assert_eq!(rig.log.entries_read(), reads, "heads alone are read");
}

/// L11 for the others of its call: one head that cannot be read hides no tail that is lost.
#[tokio::test(start_paused = true)]
async fn l11_a_head_that_cannot_be_read_does_not_hide_what_others_lost() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..20).map(|n| grain(&n.to_string())).collect();
    for id in &ids {
        rig.full(id, 1, "one").await;
    }
    let heads = rig.log.current().heads(&ids).await.unwrap();
    for id in &ids {
        rig.full(id, 2, "two").await;
    }
    let follower = rig.builder().sweep(secs(60)).spawn();
    follow_all(&follower).await;
    *rig.log.damaged.lock() = Some(ids[3].clone());
    rig.log.lose_unseen(ids[17].clone(), heads[17].unwrap());
    pass(secs(70)).await;
    assert_eq!(health(&follower, &ids[17]), Health::Ahead);
    assert_eq!(health(&follower, &ids[3]), Health::Live);
    assert_eq!(follower.progress().in_step, 19);
}

/// What the sweep does not find in order is left alone: it costs a read of heads, and no more.
#[tokio::test(start_paused = true)]
async fn a_sweep_asks_for_heads_in_an_interval_and_for_nothing_else() {
    let rig = Rig::new();
    for n in 0..50 {
        rig.full(&grain(&n.to_string()), 1, "one").await;
    }
    let follower = rig.builder().sweep(secs(60)).spawn();
    follow_all(&follower).await;
    let (heads, reads) = (
        rig.log.heads.load(Ordering::SeqCst),
        follower.progress().reads,
    );
    pass(secs(600)).await;
    let swept = rig.log.heads.load(Ordering::SeqCst) - heads;
    assert!(
        (18..=22).contains(&swept),
        "{swept}: 10 of each of 2 shards"
    );
    assert_eq!(follower.progress().reads, reads);
}

/// A follower that ends while a sweep is due, and waits for what is in flight, does not spin.
#[tokio::test(start_paused = true)]
async fn a_shutdown_that_waits_does_not_sweep() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&grain("b"), 1, "one").await;
    let follower = rig.builder().sweep(secs(1)).spawn();
    follow_all(&follower).await;
    rig.store.apply.hold();
    rig.full(&id, 2, "two").await;
    until("an apply is held", || rig.store.apply.waiting() == 1).await;
    let ending = tokio::spawn({
        let follower = follower.clone();
        async move { follower.shutdown().await }
    });
    pass(secs(10)).await;
    assert!(!ending.is_finished());
    rig.store.apply.release();
    ending.await.unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

/// A grain with an interval of its own is polled by itself, whatever its feed says.
#[tokio::test(start_paused = true)]
async fn a_grain_may_have_an_interval_of_its_own() {
    let rig = Rig::new();
    let (often, other) = (grain("often"), grain("other"));
    for id in [&often, &other] {
        rig.full(id, 1, "one").await;
    }
    let follower = rig.builder().poll_interval(secs(60)).hints(false).spawn();
    let every = Duration::from_millis(100);
    follower.follow_every(often.clone(), every).await.unwrap();
    follower.follow(other.clone()).await.unwrap();
    follower.ready().await.unwrap();
    let before = follower.progress().reads;
    pass(secs(10)).await;
    let polls = follower.progress().reads - before;
    assert!((95..=105).contains(&polls), "{polls}");
    for id in [&often, &other] {
        rig.full(id, 2, "two").await;
    }
    pass(secs(1)).await;
    assert_eq!(text(&follower.raw_reader(), &often), "two");
    assert_eq!(text(&follower.raw_reader(), &other), "one");
    assert!(age(&follower, &often).unwrap() <= every * 2);
}
