//! Following: by name and by filter, beginning and ending.

use std::sync::Arc;

use gleaner_consumer::{FollowError, Follower, Health};
use gleaner_core::{Cursor, Filter, GrainId};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn to_follow_twice_is_to_follow_once() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    follower.follow(id.clone()).await.unwrap();
    follower.follow_all(Filter::all()).await.unwrap();
    assert_eq!(follower.progress().followed, 1);
}

/// Followers that take shares of one number share a population: each grain has one of them.
#[tokio::test(start_paused = true)]
async fn shares_deal_a_population_out_to_several_followers() {
    let rig = Rig::new();
    let late = grain("late");
    for n in 0..100 {
        rig.full(&grain(&n.to_string()), 1, "one").await;
    }
    let mut followers = Vec::new();
    for index in 0..3 {
        let follower = rig.follower();
        let share = Filter::grain_type("t").share(index, 3).unwrap();
        follower.follow_all(share).await.unwrap();
        followers.push(follower);
    }
    rig.full(&late, 1, "one").await;
    for follower in &followers {
        follower.caught_up().await.unwrap();
    }
    let followed: Vec<_> = followers.iter().map(|it| it.progress().followed).collect();
    assert_eq!(followed.iter().sum::<usize>(), 101, "{followed:?}");
    assert!(followed.iter().all(|part| *part > 10), "{followed:?}");
    let has = |follower: &Follower| follower.control(late.clone()).health().is_some();
    assert_eq!(followers.iter().filter(|follower| has(follower)).count(), 1);
}

/// A listing goes on only while the shards have room for more to load: a million heads do not wait in
/// memory for a store that is slow.
#[tokio::test(start_paused = true)]
async fn a_listing_does_not_run_ahead_of_the_store() {
    let rig = Rig::new();
    for n in 0..200 {
        rig.full(&grain(&format!("{n:03}")), 1, "one").await;
    }
    rig.log.page_of(10);
    rig.store.load.hold();
    let follower = rig.builder().grains_per_read(5).reads_in_flight(2).spawn();
    let following = tokio::spawn({
        let follower = follower.clone();
        async move { follower.follow_all(Filter::all()).await }
    });
    pass(secs(5)).await;
    let ahead = follower.progress().followed;
    assert!((10..60).contains(&ahead), "{ahead} are followed");
    assert!(!following.is_finished());
    rig.store.load.release();
    following.await.unwrap().unwrap();
    follower.ready().await.unwrap();
    assert_eq!(follower.progress().in_step, 200);
}

#[tokio::test(start_paused = true)]
async fn a_grain_may_be_followed_before_the_log_knows_it() {
    let rig = Rig::new();
    let id = grain("a");
    let follower = rig.following(&id).await;
    assert_eq!(health(&follower, &id), Health::Live);
    rig.full(&id, 1, "one").await;
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
}

#[tokio::test(start_paused = true)]
async fn t1_unfollow_waits_for_the_read_in_flight() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.log.catch_up.hold();
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    until("the read is held", || rig.log.catch_up.waiting() == 1).await;
    let (other, wanted) = (follower.clone(), id.clone());
    let unfollowing = tokio::spawn(async move { other.unfollow(&wanted).await });
    pass(secs(10)).await;
    assert!(!unfollowing.is_finished());
    rig.log.catch_up.release();
    unfollowing.await.unwrap().unwrap();
    assert_eq!(follower.progress().followed, 0);
    // No operation of it begins after that.
    pass(secs(10)).await;
    assert_eq!(rig.store.apply.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn t1_unfollow_waits_for_the_apply_in_flight() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.store.apply.hold();
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    until("the apply is held", || rig.store.apply.waiting() == 1).await;
    let (other, wanted) = (follower.clone(), id.clone());
    let unfollowing = tokio::spawn(async move { other.unfollow(&wanted).await });
    pass(secs(10)).await;
    assert!(!unfollowing.is_finished());
    rig.store.apply.release();
    unfollowing.await.unwrap().unwrap();
    assert_eq!(rig.store.applied(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_grain_followed_again_under_its_unfollow_comes_back() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.log.catch_up.hold();
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    until("the read is held", || rig.log.catch_up.waiting() == 1).await;
    let (other, wanted) = (follower.clone(), id.clone());
    let unfollowing = tokio::spawn(async move { other.unfollow(&wanted).await });
    settle().await;
    follower.follow(id.clone()).await.unwrap();
    rig.log.catch_up.release();
    unfollowing.await.unwrap().unwrap();
    follower.ready().await.unwrap();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(follower.progress().followed, 1);
}

#[tokio::test(start_paused = true)]
async fn follow_all_follows_what_is_there_and_what_comes() {
    let rig = Rig::new();
    rig.log.page_of(3);
    for n in 0..10 {
        rig.full(&grain(&n.to_string()), 1, "there").await;
    }
    rig.full(&GrainId::new("u", "other type").unwrap(), 1, "not ours")
        .await;
    let follower = rig.follower();
    follower.follow_all(Filter::grain_type("t")).await.unwrap();
    assert_eq!(follower.progress().followed, 10);
    let late = grain("late");
    rig.full(&late, 1, "came").await;
    rig.full(&GrainId::new("u", "another").unwrap(), 1, "not ours")
        .await;
    pass(secs(2)).await;
    assert_eq!(text(&follower.raw_reader(), &late), "came");
    assert_eq!(follower.progress().followed, 11);
}

#[tokio::test(start_paused = true)]
async fn follow_all_misses_nothing_that_is_appended_while_it_lists() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    rig.full(&grain("m"), 1, "there").await;
    rig.log.lists.hold();
    let follower = rig.follower();
    let listing = tokio::spawn({
        let follower = follower.clone();
        async move { follower.follow_all(Filter::all()).await }
    });
    until("the listing is held", || rig.log.lists.waiting() == 1).await;
    // Both lie outside what the held page says.
    rig.full(&grain("a"), 1, "before it in order").await;
    rig.full(&grain("m"), 2, "newer").await;
    assert!(!listing.is_finished());
    rig.log.lists.release();
    listing.await.unwrap().unwrap();
    pass(INTERVAL).await;
    let reader = follower.raw_reader();
    assert_eq!(text(&reader, &grain("a")), "before it in order");
    assert_eq!(text(&reader, &grain("m")), "newer");
}

#[tokio::test(start_paused = true)]
async fn a_grain_unfollowed_by_name_is_not_brought_back_by_a_filter() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    follower.unfollow(&id).await.unwrap();
    rig.full(&id, 2, "two").await;
    pass(secs(3)).await;
    assert_eq!(follower.progress().followed, 0);
    follower.follow_all(Filter::grain_type("t")).await.unwrap();
    pass(secs(3)).await;
    assert_eq!(follower.progress().followed, 0);
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn a_filter_takes_in_a_type_of_which_one_grain_was_followed_before() {
    let rig = Rig::new();
    let (named, other) = (grain("named"), grain("other"));
    rig.full(&named, 1, "one").await;
    rig.full(&other, 1, "one").await;
    let follower = rig.following(&named).await;
    pass(secs(3)).await;
    assert_eq!(follower.progress().followed, 1);
    follower.follow_all(Filter::grain_type("t")).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(follower.progress().followed, 2);
    pass(secs(10)).await;
    for id in [&named, &other] {
        assert!(age(&follower, id).unwrap() <= INTERVAL);
    }
    rig.full(&grain("late"), 1, "one").await;
    rig.full(&named, 2, "two").await;
    settle().await;
    assert_eq!(follower.progress().followed, 3);
    assert_eq!(text(&follower.raw_reader(), &named), "two");
}

#[tokio::test(start_paused = true)]
async fn poll_now_reaches_the_feed_after_a_filter_took_it_over() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.builder().poll_interval(secs(600)).spawn();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    pass(secs(1)).await;
    follower.follow_all(Filter::grain_type("t")).await.unwrap();
    pass(secs(1)).await;
    rig.full(&id, 2, "two").await;
    let began = tokio::time::Instant::now();
    follower.poll_now().await.unwrap();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(began.elapsed(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn two_filters_that_overlap_follow_each_grain_once() {
    let rig = Rig::new();
    let (ours, theirs) = (grain("a"), GrainId::new("u", "b").unwrap());
    rig.full(&ours, 1, "one").await;
    rig.full(&theirs, 1, "one").await;
    let follower = rig.follower();
    follower.follow_all(Filter::grain_type("t")).await.unwrap();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(follower.progress().followed, 2);
    let applies = rig.store.applied();
    rig.full(&ours, 2, "two").await;
    rig.full(&theirs, 2, "two").await;
    pass(secs(2)).await;
    for id in [&ours, &theirs] {
        assert_eq!(text(&follower.raw_reader(), id), "two");
        assert!(age(&follower, id).unwrap() <= INTERVAL);
    }
    assert_eq!(rig.store.applied() - applies, 2);
}

#[tokio::test(start_paused = true)]
async fn a_log_without_a_feed_is_followed_by_listing() {
    let rig = Rig::new();
    rig.log.without_feed();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    let late = grain("late");
    rig.full(&late, 1, "came").await;
    rig.full(&id, 2, "two").await;
    pass(secs(2)).await;
    assert_eq!(text(&follower.raw_reader(), &late), "came");
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
    assert_eq!(rig.log.changes.calls() + rig.log.start.calls(), 0);
    let caught_up = follower.caught_up().await.unwrap();
    assert_eq!((caught_up.in_step, caught_up.held), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn an_expired_position_loses_nothing() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    pass(secs(2)).await;
    rig.log.start.hold();
    rig.log.current().fork_history();
    // The new position is from after this append; only the listing and the doubt can find it.
    rig.log.hint(Hints::Lost);
    rig.full(&id, 2, "between").await;
    rig.full(&grain("new"), 1, "between").await;
    pass(secs(5)).await;
    rig.log.start.release();
    pass(secs(5)).await;
    let reader = follower.raw_reader();
    assert_eq!(text(&reader, &id), "between");
    assert_eq!(text(&reader, &grain("new")), "between");
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn an_expired_position_loses_nothing_of_a_grain_followed_by_name() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    rig.log.hint(Hints::Lost);
    pass(secs(2)).await;
    rig.log.current().fork_history();
    rig.full(&id, 2, "between").await;
    pass(secs(5)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "between");
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
    assert_eq!(rig.log.lists.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_swapped_under_a_grain_that_cannot_be_loaded_confirms_nothing() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.following_all().await.shutdown().await;
    // Listed with the head that the replica has, and then not to be loaded for a while.
    let follower = rig.follower();
    rig.store.load.fail(usize::MAX);
    follower.follow_all(Filter::all()).await.unwrap();
    settle().await;
    rig.log.begin_anew();
    pass(secs(20)).await;
    rig.store.load.fail(0);
    pass(secs(100)).await;
    assert_eq!(health(&follower, &id), Health::Foreign);
    assert_eq!(age(&follower, &id), None);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_leaves_no_task() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let control = follower.control(id.clone());
    let other = follower.clone();
    drop(follower);
    pass(secs(2)).await;
    let alive = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(alive, 3, "a clone keeps the lead and two shards");
    drop(other);
    settle().await;
    assert_eq!(
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks(),
        0
    );
    assert_eq!(Arc::strong_count(&rig.log), 1, "nothing holds the log");
    assert!(control.resume().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn shutdown_applies_what_was_read_and_begins_nothing() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.store.apply.hold();
    let follower = rig.follower();
    follower.follow_all(Filter::all()).await.unwrap();
    until("the apply is held", || rig.store.apply.waiting() == 1).await;
    let ending = tokio::spawn({
        let follower = follower.clone();
        async move { follower.shutdown().await }
    });
    pass(secs(5)).await;
    assert!(!ending.is_finished());
    let reads = (rig.log.catch_up.calls(), rig.log.changes.calls());
    rig.store.apply.release();
    ending.await.unwrap();
    assert_eq!(rig.store.applied(), 1);
    assert_eq!((rig.log.catch_up.calls(), rig.log.changes.calls()), reads);
    let ended = follower.follow(id.clone()).await;
    assert!(matches!(ended, Err(FollowError::Ended)));
    assert!(matches!(follower.ready().await, Err(FollowError::Ended)));
    follower.shutdown().await;
    let reader = follower.raw_reader();
    let seen = reader.get(&id, ANY);
    assert_eq!(&seen.unwrap().state[..], b"one");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_an_ended_follower_is_answered() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let mut before = follower.changes();
    let mut watch_before = follower.watch(&id);
    follower.shutdown().await;
    assert_eq!(before.next().await, None);
    while watch_before.changed().await {}
    // Begun after the end: ended at once, and not waited for in vain.
    let late = tokio::time::timeout(secs(5), follower.changes().next()).await;
    assert_eq!(late, Ok(None));
    let mut watch = follower.watch(&id);
    let late = tokio::time::timeout(secs(5), watch.changed()).await;
    assert_eq!(late, Ok(false));
    let wanted = gleaner_consumer::ReadOptions::at_least(Cursor::new(1, 9)).wait(secs(60));
    let refused = follower.raw_reader().get_when(&id, wanted).await;
    assert!(refused.is_err());
}
