//! What can be awaited: readiness, having caught up, changes of one grain and of all.

use gleaner_core::{Cursor, Filter};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn ready_waits_for_every_grain_to_be_compared_once() {
    let rig = Rig::new();
    let (one, two) = (grain("a"), grain("b"));
    rig.full(&one, 1, "one").await;
    rig.full(&two, 1, "two").await;
    rig.store.apply.hold();
    let follower = rig.follower();
    follower.follow_all(Filter::all()).await.unwrap();
    let ready = tokio::spawn({
        let follower = follower.clone();
        async move { follower.ready().await }
    });
    pass(secs(10)).await;
    assert!(!ready.is_finished());
    rig.store.apply.release();
    ready.await.unwrap().unwrap();
    assert_eq!(follower.progress().bootstrapping, 0);
    assert_eq!(text(&follower.raw_reader(), &two), "two");
}

#[tokio::test(start_paused = true)]
async fn ready_waits_for_a_log_that_cannot_be_reached() {
    let rig = Rig::new();
    rig.log.catch_up.fail(usize::MAX);
    let follower = rig.follower();
    follower.follow(grain("a")).await.unwrap();
    let ready = tokio::time::timeout(secs(60), follower.ready()).await;
    assert!(ready.is_err());
    rig.log.catch_up.fail(0);
    follower.ready().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ready_counts_a_quarantined_grain_as_compared() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.delta(&id, 2, "no fold").await;
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(follower.progress().quarantined, 1);
    assert_eq!(text(&follower.raw_reader(), &id), "one");
}

#[tokio::test(start_paused = true)]
async fn caught_up_means_that_what_was_appended_before_is_here() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let ids: Vec<_> = (0..20).map(|n| grain(&n.to_string())).collect();
    for id in &ids {
        rig.full(id, 1, "one").await;
    }
    let follower = rig.builder().poll_interval(secs(600)).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    for round in 2..5 {
        pass(secs(1)).await;
        for id in &ids {
            rig.full(id, round, &round.to_string()).await;
        }
        rig.full(&grain(&format!("late {round}")), 1, "late").await;
        let began = tokio::time::Instant::now();
        let found = follower.caught_up().await.unwrap();
        let late = usize::try_from(round - 1).unwrap();
        assert_eq!((found.in_step, found.held), (20 + late, 0));
        assert!(
            began.elapsed() < secs(1),
            "it does not wait for the interval"
        );
        for id in &ids {
            assert_eq!(text(&follower.raw_reader(), id), round.to_string());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn caught_up_counts_only_requests_sent_after_the_call() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.hint(Hints::Lost);
    rig.log.changes.hold();
    until("a page is held", || rig.log.changes.waiting() == 1).await;
    // The held page was answered before this append, at this very moment of the clock.
    rig.full(&id, 2, "two").await;
    let catching_up = tokio::spawn({
        let follower = follower.clone();
        async move { follower.caught_up().await }
    });
    settle().await;
    // The held page comes, and none after it.
    rig.log.changes.fail(usize::MAX);
    rig.log.changes.release();
    pass(secs(10)).await;
    assert!(!catching_up.is_finished());
    rig.log.changes.fail(0);
    let found = catching_up.await.unwrap().unwrap();
    assert_eq!(found.in_step, 1);
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn caught_up_counts_polls_sent_after_the_call_without_a_feed() {
    let rig = Rig::new();
    rig.log.without_feed();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    rig.log.catch_up.hold();
    until("a poll is held", || rig.log.catch_up.waiting() == 1).await;
    rig.full(&id, 2, "two").await;
    let catching_up = tokio::spawn({
        let follower = follower.clone();
        async move { follower.caught_up().await }
    });
    settle().await;
    rig.log.catch_up.release();
    catching_up.await.unwrap().unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn caught_up_counts_a_quarantined_grain_as_held() {
    let rig = Rig::new();
    let (bad, good) = (grain("bad"), grain("good"));
    rig.full(&bad, 1, "one").await;
    rig.delta(&bad, 2, "no fold").await;
    rig.full(&good, 1, "one").await;
    let follower = rig.following_all().await;
    let found = follower.caught_up().await.unwrap();
    assert_eq!((found.in_step, found.held), (1, 1));
    follower.control(good.clone()).pause().await.unwrap();
    pass(secs(1)).await;
    let found = follower.caught_up().await.unwrap();
    assert_eq!((found.in_step, found.held), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn caught_up_waits_for_a_quarantined_grain_that_is_being_healed() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.delta(&id, 2, "no fold").await;
    let follower = rig.following_all().await;
    pass(secs(1)).await;
    rig.full(&id, 3, "three").await;
    rig.log.catch_up.hold();
    let catching_up = tokio::spawn({
        let follower = follower.clone();
        async move { follower.caught_up().await }
    });
    until("the poll that heals is held", || {
        rig.log.catch_up.waiting() == 1
    })
    .await;
    pass(secs(10)).await;
    assert!(!catching_up.is_finished());
    rig.log.catch_up.release();
    let found = catching_up.await.unwrap().unwrap();
    assert_eq!((found.in_step, found.held), (1, 0));
    assert_eq!(text(&follower.raw_reader(), &id), "three");
}

#[tokio::test(start_paused = true)]
async fn changes_coalesce_to_the_newest_of_each_grain() {
    let rig = Rig::new();
    let (one, two) = (grain("a"), grain("b"));
    let follower = rig.following_all().await;
    let mut changes = follower.changes();
    for sequence in 1..=5 {
        rig.full(&one, sequence, "state").await;
        rig.full(&two, sequence, "state").await;
        pass(secs(2)).await;
    }
    let mut seen = vec![changes.next().await.unwrap(), changes.next().await.unwrap()];
    seen.sort();
    let newest = Cursor::new(1, 5);
    assert_eq!(seen, [(one.clone(), newest), (two.clone(), newest)]);
    assert!(
        tokio::time::timeout(secs(10), changes.next())
            .await
            .is_err()
    );
    rig.full(&one, 6, "state").await;
    assert_eq!(changes.next().await, Some((one, Cursor::new(1, 6))));
    follower.shutdown().await;
    assert_eq!(changes.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_wakes_for_its_grain() {
    let rig = Rig::new();
    let (one, two) = (grain("a"), grain("b"));
    rig.full(&one, 1, "one").await;
    rig.full(&two, 1, "one").await;
    let follower = rig.following_all().await;
    let mut watch = follower.watch(&one);
    rig.full(&two, 2, "two").await;
    assert!(
        tokio::time::timeout(secs(10), watch.changed())
            .await
            .is_err()
    );
    rig.full(&one, 2, "two").await;
    assert!(watch.changed().await);
    pass(secs(2)).await;
    assert_eq!(text(&follower.raw_reader(), &one), "two");
    follower.control(one.clone()).pause().await.unwrap();
    assert!(watch.changed().await, "a change of health wakes too");
    follower.shutdown().await;
    while watch.changed().await {}
}

#[tokio::test(start_paused = true)]
async fn progress_counts_by_health() {
    let rig = Rig::new();
    let (live, bad, paused) = (grain("live"), grain("bad"), grain("paused"));
    for id in [&live, &bad, &paused] {
        rig.full(id, 1, "one").await;
    }
    rig.delta(&bad, 2, "no fold").await;
    let follower = rig.following_all().await;
    follower.control(paused.clone()).pause().await.unwrap();
    let now = follower.progress();
    assert_eq!((now.followed, now.in_step), (3, 1));
    assert_eq!((now.quarantined, now.paused, now.bootstrapping), (1, 1, 0));
    assert_eq!(now.entries_applied, 3);
    follower.unfollow(&bad).await.unwrap();
    follower.unfollow(&live).await.unwrap();
    let now = follower.progress();
    assert_eq!((now.followed, now.in_step, now.quarantined), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn changes_tell_of_an_apply_whose_answer_was_lost() {
    let rig = Rig::new();
    let (kept, moved) = (grain("kept"), grain("moved"));
    rig.full(&kept, 1, "one").await;
    rig.following_all().await.shutdown().await;
    let follower = rig.follower();
    let mut changes = follower.changes();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    rig.store.lose_answers(1);
    let cursor = rig.full(&moved, 1, "one").await;
    let next = tokio::time::timeout(secs(60), changes.next()).await;
    // What the store held before is no change.
    assert_eq!(next, Ok(Some((moved, cursor))));
}

#[tokio::test(start_paused = true)]
async fn caught_up_takes_in_grains_that_no_page_has_named_yet() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let follower = rig.following_all().await;
    pass(secs(3)).await;
    rig.full(&grain("late"), 1, "one").await;
    rig.log.changes.fail(3);
    let found = follower.caught_up().await.unwrap();
    assert_eq!((found.in_step, found.held), (1, 0));
    assert_eq!(text(&follower.raw_reader(), &grain("late")), "one");
}
