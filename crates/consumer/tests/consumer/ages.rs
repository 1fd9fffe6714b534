//! Clauses C1 to C5: from when an age is counted, and what confirms.

use std::sync::Arc;

use gleaner_consumer::{Follower, Health, ReadError, ReadOptions};
use gleaner_core::{Cursor, Filter};
use gleaner_memory::MemoryReplicaStore;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn c1_age_counts_from_before_the_request_and_not_from_its_reply() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    pass(secs(3)).await;
    rig.log.catch_up.hold();
    rig.full(&id, 2, "two").await;
    until("the poll is held", || rig.log.catch_up.waiting() == 1).await;
    rig.log.changes.fail(usize::MAX);
    pass(secs(10)).await;
    rig.log.catch_up.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    let age = age(&follower, &id).unwrap();
    assert!(age >= secs(10), "{age:?}");
    assert!(age < secs(12), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn c1_a_feed_page_confirms_from_before_it_was_asked_for() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    pass(secs(3)).await;
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
    rig.log.changes.hold();
    until("a page is held", || rig.log.changes.waiting() == 1).await;
    let asked = age(&follower, &id).unwrap();
    pass(secs(10)).await;
    assert!(age(&follower, &id).unwrap() >= asked + secs(10));
    rig.log.hint(Hints::Lost);
    rig.log.changes.release();
    settle().await;
    let confirmed = age(&follower, &id).unwrap();
    assert!(confirmed >= secs(10), "{confirmed:?}");
    assert!(confirmed < asked + secs(10), "the page did not confirm");
}

#[tokio::test(start_paused = true)]
async fn c1_the_age_that_an_answer_states_for_itself_counts() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.log.state_age(secs(7));
    let follower = rig.follower();
    pass(secs(100)).await;
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    // Its own poll, which came from the log itself, is overtaken by pages that are seven seconds old.
    pass(secs(60)).await;
    let age = age(&follower, &id).unwrap();
    assert!(age >= secs(7) && age <= secs(7) + INTERVAL, "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn c2_a_catch_up_confirms_only_once_its_head_is_reached() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    pass(secs(5)).await;
    rig.store.apply.hold();
    rig.full(&id, 2, "two").await;
    until("the apply is held", || rig.store.apply.waiting() == 1).await;
    pass(secs(20)).await;
    // Twenty pages came meanwhile, and the answer that named the new head; none of them confirms.
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    let held = age(&follower, &id).unwrap();
    assert!(held >= secs(20), "{held:?}");
    rig.store.apply.release();
    settle().await;
    // Settled by that catch_up, and no page named it otherwise since: the last page counts again.
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn c2_a_catch_up_confirms_from_when_it_was_asked_for() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    pass(secs(5)).await;
    rig.store.apply.hold();
    rig.full(&id, 2, "two").await;
    until("the apply is held", || rig.store.apply.waiting() == 1).await;
    rig.log.changes.fail(usize::MAX);
    pass(secs(20)).await;
    rig.store.apply.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    let reached = age(&follower, &id).unwrap();
    assert!(reached >= secs(20) && reached <= secs(21), "{reached:?}");
}

#[tokio::test(start_paused = true)]
async fn c2_an_incomplete_catch_up_confirms_nothing() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    for sequence in 2..=4 {
        rig.delta(&id, sequence, "d").await;
    }
    rig.log.changes.fail(usize::MAX);
    let budget = gleaner_core::Budget::new(1, 1 << 20);
    let follower = rig.builder().read_budget(budget).spawn();
    rig.store.apply.hold();
    follower.follow(id.clone()).await.unwrap();
    until("the first part is held", || rig.store.apply.waiting() == 1).await;
    rig.log.catch_up.hold();
    rig.store.apply.release();
    until("the next poll is held", || rig.log.catch_up.waiting() == 1).await;
    assert_eq!(text(&follower.raw_reader(), &id), "s");
    assert_eq!(age(&follower, &id), None);
    rig.log.catch_up.release();
    follower.ready().await.unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "s+d+d+d");
    assert!(age(&follower, &id).is_some());
}

#[tokio::test(start_paused = true)]
async fn c3_a_complete_page_confirms_the_grains_that_rest() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..50).map(|n| grain(&n.to_string())).collect();
    for id in &ids {
        rig.full(id, 1, "one").await;
    }
    let follower = rig.following_all().await;
    let polls = rig.log.catch_up.calls();
    pass(secs(30)).await;
    for id in &ids {
        assert!(age(&follower, id).unwrap() <= INTERVAL);
    }
    assert_eq!(rig.log.catch_up.calls(), polls, "a page was enough");
}

#[tokio::test(start_paused = true)]
async fn c3_an_incomplete_page_confirms_none() {
    let rig = Rig::new();
    let quiet = grain("quiet");
    rig.full(&quiet, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.hint(Hints::Lost);
    pass(millis(3_500)).await;
    rig.log.page_of(1);
    for key in ["b", "c", "d"] {
        rig.full(&grain(key), 1, "one").await;
    }
    // One page of one name is answered, and then nothing any more.
    rig.log.changes.fail_after(1);
    let (before, pages) = (age(&follower, &quiet).unwrap(), follower.progress().pages);
    pass(secs(9)).await;
    assert_eq!(follower.progress().pages, pages + 1);
    assert!(age(&follower, &quiet).unwrap() >= before + secs(9));
    rig.log.changes.fail(0);
    pass(secs(60)).await;
    assert!(age(&follower, &quiet).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn c3_a_grain_named_otherwise_is_pending_until_catch_up_decides() {
    let rig = Rig::new();
    let (named, other) = (grain("named"), grain("other"));
    rig.full(&named, 1, "one").await;
    rig.full(&other, 1, "one").await;
    let follower = rig.following_all().await;
    pass(secs(3)).await;
    rig.log.catch_up.hold();
    rig.full(&named, 2, "two").await;
    until("its poll is held", || rig.log.catch_up.waiting() == 1).await;
    pass(secs(15)).await;
    assert!(age(&follower, &named).unwrap() >= secs(15));
    assert!(age(&follower, &other).unwrap() <= INTERVAL);
    rig.log.catch_up.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &named), "two");
    // Settled by a later catch_up: the pages since then speak for it again.
    assert!(age(&follower, &named).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn c3_a_grain_named_under_its_poll_is_polled_again_before_a_page_counts() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.catch_up.hold();
    rig.full(&id, 2, "two").await;
    until("a poll is held with two", || {
        rig.log.catch_up.waiting() == 1
    })
    .await;
    rig.full(&id, 3, "three").await;
    pass(secs(5)).await;
    // Pages have named three; the held answer leads to two.
    rig.store.apply.hold();
    rig.log.catch_up.release();
    until("two is held", || rig.store.apply.waiting() == 1).await;
    rig.log.catch_up.hold();
    rig.store.apply.release();
    until("a further poll is held", || rig.log.catch_up.waiting() == 1).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    let at_two = age(&follower, &id).unwrap();
    assert!(
        at_two >= secs(5),
        "pages after three confirmed two: {at_two:?}"
    );
    rig.log.catch_up.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "three");
}

#[tokio::test(start_paused = true)]
async fn c3_a_grain_registered_while_a_page_is_in_flight_is_not_confirmed_by_it() {
    let rig = Rig::new();
    let (first, late) = (grain("first"), grain("late"));
    rig.full(&first, 1, "one").await;
    let follower = rig.following(&first).await;
    rig.log.changes.hold();
    until("a page is held", || rig.log.changes.waiting() == 1).await;
    rig.full(&late, 1, "one").await;
    rig.log.catch_up.hold();
    follower.follow(late.clone()).await.unwrap();
    until("its poll is held", || rig.log.catch_up.waiting() == 1).await;
    rig.log.changes.release();
    settle().await;
    let reader = follower.raw_reader();
    let early = reader.get(&late, ANY);
    assert!(
        matches!(early, Err(ReadError::NotYet { cursor: None, .. })),
        "{early:?}"
    );
    assert_eq!(health(&follower, &late), Health::Bootstrapping);
    rig.log.catch_up.release();
    settle().await;
    assert_eq!(text(&reader, &late), "one");
    assert!(age(&follower, &late).is_some());
}

#[tokio::test(start_paused = true)]
async fn c3_a_page_that_comes_under_a_load_does_not_confirm_a_durable_replica() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.following_all().await.shutdown().await;
    // The next follower finds a replica at one, while the log goes on to two.
    rig.full(&id, 2, "two").await;
    rig.log.catch_up.hold();
    let follower = rig.follower();
    follower.follow_all(Filter::all()).await.unwrap();
    pass(secs(10)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(age(&follower, &id), None);
    rig.log.catch_up.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn c4_a_paused_grain_is_never_confirmed_by_the_feed() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    follower.control(id.clone()).pause().await.unwrap();
    let pages = rig.log.changes.calls();
    pass(secs(20)).await;
    assert!(rig.log.changes.calls() > pages + 10);
    assert_eq!(health(&follower, &id), Health::Paused);
    assert!(age(&follower, &id).unwrap() >= secs(20));
    follower.control(id.clone()).resume().await.unwrap();
    settle().await;
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn c4_a_grain_backing_off_is_never_confirmed_by_the_feed() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.catch_up.fail(usize::MAX);
    rig.full(&id, 2, "two").await;
    pass(secs(20)).await;
    assert!(age(&follower, &id).unwrap() >= secs(20));
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    rig.log.catch_up.fail(0);
    pass(secs(60)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn c4_a_quarantined_grain_is_never_confirmed_by_the_feed() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.delta(&id, 2, "!").await;
    pass(secs(20)).await;
    assert_eq!(health(&follower, &id), Health::Quarantined);
    assert!(age(&follower, &id).unwrap() >= secs(20));
}

#[tokio::test(start_paused = true)]
async fn c4_a_grain_ahead_of_the_log_is_never_confirmed_by_the_feed() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&id, 2, "two").await;
    let follower = rig.following_all().await;
    assert!(rig.log.current().lose_tail(&id, Cursor::new(1, 1)));
    pass(secs(20)).await;
    assert_eq!(health(&follower, &id), Health::Ahead);
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert!(age(&follower, &id).unwrap() >= secs(18));
}

#[tokio::test(start_paused = true)]
async fn c4_a_grain_missing_from_the_log_is_never_confirmed_by_the_feed() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    assert!(rig.log.current().lose_tail(&id, Cursor::ZERO));
    pass(secs(20)).await;
    assert_eq!(health(&follower, &id), Health::Missing);
    assert!(age(&follower, &id).unwrap() >= secs(18));
}

#[tokio::test(start_paused = true)]
async fn c5_a_suspended_machine_counts_its_sleep() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    rig.log.changes.fail(usize::MAX);
    rig.clock.suspend(secs(3600));
    let age = age(&follower, &id).unwrap();
    assert!(age >= secs(3600), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn c5_a_wall_clock_set_back_makes_nothing_younger() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    rig.log.changes.fail(usize::MAX);
    rig.clock.set_back(secs(3600));
    pass(secs(30)).await;
    let age = age(&follower, &id).unwrap();
    assert!(age >= secs(30) && age < secs(40), "{age:?}");
}

#[tokio::test(start_paused = true)]
async fn c5_nothing_is_confirmed_after_a_start_though_the_store_is_durable() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.following(&id).await.shutdown().await;
    rig.log.catch_up.fail(usize::MAX);
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    pass(secs(5)).await;
    let reader = follower.raw_reader();
    let answer = reader.get(&id, ReadOptions::default()).unwrap();
    assert_eq!((&answer.state[..], answer.age), (&b"one"[..], None));
    assert_eq!(answer.health, Health::Bootstrapping);
    let refused = reader.get(&id, ReadOptions::max_age(secs(1_000_000)));
    assert!(
        matches!(refused, Err(ReadError::TooStale { age: None, .. })),
        "{refused:?}"
    );
    assert!(
        reader
            .get(&id, ReadOptions::max_age(std::time::Duration::MAX))
            .is_ok()
    );
}

#[tokio::test(start_paused = true)]
async fn c5_a_replica_set_back_by_seek_loses_its_confirmation() {
    let rig = Rig::new();
    let id = grain("a");
    for (sequence, state) in [(1, "one"), (2, "two"), (3, "three")] {
        rig.full(&id, sequence, state).await;
    }
    let follower = rig.following_all().await;
    pass(secs(3)).await;
    let control = follower.control(id.clone());
    control.pause().await.unwrap();
    control
        .seek(Cursor::new(1, 3), Cursor::new(1, 1))
        .await
        .unwrap();
    let answer = follower.raw_reader().get(&id, ANY).unwrap();
    // Three was acknowledged long ago, and the state is of one: no age is the truth.
    assert_eq!((&answer.state[..], answer.age), (&b"one"[..], None));
    let handle = follower.raw_reader().handle(&id).unwrap();
    assert_eq!(handle.get(ANY).unwrap().age, None);
    control.resume().await.unwrap();
    settle().await;
    let answer = follower.raw_reader().get(&id, ANY).unwrap();
    assert_eq!(&answer.state[..], b"three");
    assert!(answer.age.is_some());
}

#[tokio::test(start_paused = true)]
async fn c5_a_confirmation_is_revoked_before_the_replica_is_set_back() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&id, 2, "two").await;
    let follower = rig.following_all().await;
    rig.store.rebase.hold();
    let control = follower.control(id.clone());
    let seeking =
        tokio::spawn(async move { control.seek(Cursor::new(1, 2), Cursor::new(1, 1)).await });
    until("the store is told", || rig.store.rebase.waiting() == 1).await;
    let answer = follower.raw_reader().get(&id, ANY).unwrap();
    assert_eq!((&answer.state[..], answer.age), (&b"two"[..], None));
    rig.store.rebase.release();
    assert_eq!(seeking.await.unwrap(), Ok(Cursor::new(1, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_confirm_confirms_nothing() {
    let rig = Rig::new();
    rig.log.without_confirming();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    pass(secs(5)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(age(&follower, &id), None);
    let asked = follower.caught_up().await;
    assert!(matches!(
        asked,
        Err(gleaner_consumer::FollowError::NotConfirming)
    ));
}

#[tokio::test(start_paused = true)]
async fn ages_are_of_a_follower_and_not_of_a_store() {
    let store = MemoryReplicaStore::new();
    let rig = Rig::over(store.clone());
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let first = rig.following(&id).await;
    rig.log.without_feed();
    rig.log.catch_up.fail(usize::MAX);
    let second = Follower::builder(rig.log.clone(), Arc::new(store)).spawn();
    second.follow(id.clone()).await.unwrap();
    settle().await;
    assert!(age(&first, &id).is_some());
    assert_eq!(age(&second, &id), None);
}
