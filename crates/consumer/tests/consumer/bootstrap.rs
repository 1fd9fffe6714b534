//! Values of how far a follower is, and which grains are worst off.

use std::time::Duration;

use gleaner_consumer::Health;
use gleaner_core::Filter;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn progress_of_a_bootstrap_is_known_once_everything_is_listed() {
    let rig = Rig::new();
    for n in 0..30 {
        rig.full(&grain(&format!("{n:02}")), 1, "one").await;
    }
    let follower = rig.follower();
    let idle = follower.bootstrap();
    assert!(idle.listed, "nothing is being listed");
    assert_eq!((idle.done, idle.total, idle.elapsed), (0, 0, secs(0)));

    rig.log.page_of(10);
    rig.log.lists.fail_after(1);
    let following = tokio::spawn({
        let follower = follower.clone();
        async move { follower.follow_all(Filter::all()).await }
    });
    pass(secs(10)).await;
    let begun = follower.bootstrap();
    assert!(!begun.listed && begun.eta.is_none());
    assert_eq!((begun.done, begun.total), (10, 10));
    assert_eq!(begun.elapsed, secs(10));
    assert!((begun.rate - 1.0).abs() < 1e-9, "{}", begun.rate);

    rig.log.catch_up.hold();
    rig.log.lists.fail(0);
    until("all is listed", || follower.bootstrap().listed).await;
    following.await.unwrap().unwrap();
    let half = follower.bootstrap();
    assert_eq!((half.done, half.total), (10, 30));
    assert!(half.elapsed > begun.elapsed);
    // Twenty are left, and ten took as long as it has been.
    let eta = half.eta.unwrap();
    assert!(eta.abs_diff(half.elapsed * 2) < millis(1), "{eta:?}");

    rig.log.catch_up.release();
    follower.ready().await.unwrap();
    let whole = follower.bootstrap();
    assert_eq!((whole.done, whole.total), (30, 30));
    assert_eq!(whole.eta, Some(Duration::ZERO));
    pass(secs(100)).await;
    assert_eq!(follower.bootstrap(), whole, "it is over");

    // A grain that comes later is counted, and begins no round.
    rig.full(&grain("late"), 1, "one").await;
    until("it is followed", || follower.bootstrap().total == 31).await;
    follower.ready().await.unwrap();
    let later = follower.bootstrap();
    assert_eq!((later.done, later.elapsed), (31, whole.elapsed));
    assert!((later.rate - whole.rate).abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_is_followed_later_is_a_round_of_its_own() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let first = follower.bootstrap();
    assert!(first.listed, "nothing is to be listed for a grain by name");
    assert_eq!((first.done, first.total), (1, 1));
    pass(secs(1000)).await;

    for n in 0..9 {
        rig.full(&grain(&n.to_string()), 1, "one").await;
    }
    rig.log.catch_up.hold();
    follower.follow_all(Filter::all()).await.unwrap();
    pass(secs(3)).await;
    let second = follower.bootstrap();
    assert_eq!((second.done, second.total), (1, 10));
    assert_eq!(second.elapsed, secs(3));
    assert_eq!(
        second.eta, None,
        "none of this round is done, so there is no rate"
    );
    rig.log.catch_up.release();
    follower.ready().await.unwrap();
    let ended = follower.bootstrap();
    assert_eq!((ended.done, ended.total, ended.elapsed), (10, 10, secs(3)));
    assert!((ended.rate - 3.0).abs() < 1e-9, "nine in three seconds");
}

#[tokio::test(start_paused = true)]
async fn a_bootstrap_ends_though_grains_were_done_before_the_listing() {
    let rig = Rig::new();
    let follower = rig.follower();
    follower.follow_all(Filter::all()).await.unwrap();
    pass(secs(5)).await;
    let nothing = follower.bootstrap();
    assert!(nothing.listed);
    assert_eq!((nothing.done, nothing.total), (0, 0));
    assert_eq!((nothing.eta, nothing.elapsed), (Some(secs(0)), secs(0)));
    assert!(nothing.rate.abs() < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn the_worst_are_those_never_confirmed_and_then_the_oldest() {
    let rig = Rig::new();
    let (old, young, bad, gone) = (grain("old"), grain("young"), grain("bad"), grain("gone"));
    for id in [&old, &young, &bad, &gone] {
        rig.full(id, 1, "one").await;
    }
    rig.delta(&bad, 2, "no fold").await;
    rig.log.without_feed();
    let follower = rig.follower();
    for id in [&old, &young, &bad, &gone] {
        follower.follow(id.clone()).await.unwrap();
    }
    follower.ready().await.unwrap();
    assert!(follower.worst(0).is_empty());
    let control = follower.control(old.clone());
    control.pause().await.unwrap();
    pass(secs(20)).await;
    follower.unfollow(&gone).await.unwrap();

    let worst = follower.worst(usize::MAX);
    let names: Vec<_> = worst.iter().map(|(id, _, _)| id.clone()).collect();
    assert_eq!(names, [bad, old.clone(), young.clone()]);
    let (_, never, health) = &worst[0];
    assert_eq!((*never, *health), (None, Health::Quarantined));
    for (id, told, health) in &worst[1..] {
        assert_eq!(*told, age(&follower, id), "as a reader is told");
        assert_eq!(Some(*health), follower.control(id.clone()).health());
    }
    assert!(worst[1].1.unwrap() >= secs(20) && worst[2].1.unwrap() <= INTERVAL);
    assert_eq!(follower.worst(2), worst[..2]);
    assert_eq!(follower.worst(1), worst[..1]);
    follower.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_worst_of_many_are_found() {
    let rig = Rig::new();
    // Polled one by one: each is as old as its own last poll.
    rig.log.without_feed();
    for n in 0..1_000 {
        rig.full(&grain(&n.to_string()), 1, "one").await;
    }
    let follower = rig.following_all().await;
    for n in [17, 512, 999] {
        follower
            .control(grain(&n.to_string()))
            .pause()
            .await
            .unwrap();
        pass(secs(5)).await;
    }
    let worst = follower.worst(3);
    let names: Vec<_> = worst.iter().map(|(id, _, _)| id.grain_key()).collect();
    assert_eq!(names, ["17", "512", "999"]);
    assert!(worst.iter().all(|(_, _, health)| *health == Health::Paused));
}
