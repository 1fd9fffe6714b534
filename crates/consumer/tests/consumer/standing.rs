//! How replicas stand that the log does not bear out: kept, served, said once.

use gleaner_consumer::Health;
use gleaner_core::Cursor;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_grain_gone_from_the_log_is_missing_said_once_and_served() {
    let traces = Traces::take();
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    assert!(rig.log.current().lose_tail(&id, Cursor::ZERO));
    pass(secs(60)).await;
    assert_eq!(health(&follower, &id), Health::Missing);
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(
        traces.with(&["WARN", "missing"]).len(),
        1,
        "{:?}",
        traces.lines()
    );
    // It comes back, above what is kept, and heals.
    rig.full(&id, 2, "two").await;
    pass(secs(5)).await;
    assert_eq!(health(&follower, &id), Health::Live);
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn a_replica_ahead_heals_at_the_next_higher_base() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&id, 5, "five").await;
    let follower = rig.following_all().await;
    assert!(rig.log.current().lose_tail(&id, Cursor::new(1, 1)));
    rig.full(&id, 3, "three").await;
    pass(secs(5)).await;
    assert_eq!(health(&follower, &id), Health::Ahead);
    assert_eq!(text(&follower.raw_reader(), &id), "five");
    rig.full(&id, 6, "six").await;
    pass(secs(5)).await;
    assert_eq!(health(&follower, &id), Health::Live);
    assert_eq!(text(&follower.raw_reader(), &id), "six");
}

#[tokio::test(start_paused = true)]
async fn an_equal_cursor_with_another_digest_is_diverged() {
    let traces = Traces::take();
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&id, 2, "mine").await;
    let follower = rig.following_all().await;
    assert!(rig.log.current().lose_tail(&id, Cursor::new(1, 1)));
    rig.full(&id, 2, "theirs").await;
    pass(secs(20)).await;
    assert_eq!(health(&follower, &id), Health::Diverged);
    assert_eq!(text(&follower.raw_reader(), &id), "mine");
    assert!(age(&follower, &id).unwrap() >= secs(18));
    assert_eq!(
        traces.with(&["WARN", "diverged"]).len(),
        1,
        "{:?}",
        traces.lines()
    );
}

#[tokio::test(start_paused = true)]
async fn the_former_log_put_back_is_followed_on() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    let former = rig.log.current();
    rig.log.begin_anew();
    pass(secs(10)).await;
    assert_eq!(health(&follower, &id), Health::Foreign);
    rig.log.put_back(former);
    rig.full(&id, 2, "two").await;
    pass(secs(30)).await;
    assert_eq!(health(&follower, &id), Health::Live);
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_never_loaded_can_be_rebased_to_another_log() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.following_all().await.shutdown().await;
    rig.log.begin_anew();
    rig.full(&id, 1, "anew").await;
    // Asked before anything was loaded, so before the follower knows to which log the store belongs.
    let follower = rig.follower();
    follower.rebase_foreign().await.unwrap();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    // This one was not followed then, and is still the former log's.
    assert_eq!(health(&follower, &id), Health::Foreign);
    assert_eq!(follower.rebase_foreign().await.unwrap(), (1, 0));
    pass(secs(2)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "anew");
}
