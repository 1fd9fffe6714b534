//! F5: hints cost only lag; and nothing loops without end.

use gleaner_core::{Filter, GrainId};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn f5_a_hint_shortens_the_wait() {
    let rig = Rig::new();
    let id = grain("a");
    let follower = rig.builder().poll_interval(secs(3600)).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    pass(secs(1)).await;
    let began = tokio::time::Instant::now();
    rig.full(&id, 1, "one").await;
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(began.elapsed(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn f5_lost_hints_cost_only_the_interval() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let id = grain("a");
    let follower = rig.following_all().await;
    rig.full(&id, 1, "one").await;
    pass(INTERVAL).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    rig.full(&id, 2, "two").await;
    pass(INTERVAL).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn f5_hints_switched_off_are_not_waited_for() {
    let rig = Rig::new();
    rig.log.hint(Hints::Storm);
    let follower = rig.builder().hints(false).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    let calls = rig.log.changes.calls();
    pass(secs(10)).await;
    let more = rig.log.changes.calls() - calls;
    assert!((9..=11).contains(&more), "{more}");
}

#[tokio::test(start_paused = true)]
async fn f5_a_storm_of_hints_does_not_hot_loop() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.hint(Hints::Storm);
    // Bounded by turns and not by time, so that a hot loop fails and does not hang.
    let calls = rig.log.changes.calls();
    tokio::time::advance(secs(1)).await;
    for _ in 0..20 {
        settle().await;
    }
    let more = rig.log.changes.calls() - calls;
    assert!(more <= 20, "{more} calls while no time passed");
    pass(secs(1)).await;
    let more = rig.log.changes.calls() - calls;
    assert!(more <= 400, "{more} calls in about a second");
    // And what moves is still seen soon.
    let began = tokio::time::Instant::now();
    rig.full(&id, 2, "two").await;
    let options = gleaner_consumer::ReadOptions::at_least(gleaner_core::Cursor::new(1, 2));
    follower
        .raw_reader()
        .get_when(&id, options.wait(secs(5)))
        .await
        .unwrap();
    assert!(began.elapsed() <= millis(20), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn f5_appends_to_other_types_do_not_keep_a_follower_busy() {
    let rig = Rig::new();
    let other = GrainId::new("u", "busy").unwrap();
    let follower = rig.follower();
    follower.follow_all(Filter::grain_type("t")).await.unwrap();
    pass(secs(1)).await;
    let calls = rig.log.changes.calls();
    for sequence in 1..=1_000 {
        rig.full(&other, sequence, "state").await;
        pass(millis(1)).await;
    }
    let more = rig.log.changes.calls() - calls;
    assert!(
        more <= 400,
        "{more} calls for a thousand appends of another type"
    );
    assert_eq!(follower.progress().followed, 0);
}

/// Runs a scenario in paused time of its own. A driver that spins keeps time from moving at all, so that
/// the scenario never ends; half a minute of true time is the end of patience with that.
fn ends<F: Future<Output = ()>>(scenario: impl FnOnce() -> F + Send + 'static) {
    let (ending, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(scenario());
        ending.send(()).unwrap();
    });
    ended.recv_timeout(secs(30)).unwrap();
}

#[test]
fn a_follower_at_rest_for_hours_does_not_hot_loop() {
    ends(|| async {
        let rig = Rig::new();
        let id = grain("a");
        rig.full(&id, 1, "one").await;
        let follower = rig.builder().poll_interval(secs(360_000)).spawn();
        follower.follow_all(Filter::all()).await.unwrap();
        follower.ready().await.unwrap();
        pass(secs(10_000)).await;
        rig.full(&id, 2, "two").await;
        settle().await;
        assert_eq!(text(&follower.raw_reader(), &id), "two");
    });
}

#[test]
fn a_poll_that_is_not_answered_does_not_hot_loop() {
    ends(|| async {
        let rig = Rig::new();
        rig.log.without_feed();
        let id = grain("a");
        rig.full(&id, 1, "one").await;
        let follower = rig.builder().call_timeout(secs(3_600)).spawn();
        follower.follow(id.clone()).await.unwrap();
        follower.ready().await.unwrap();
        rig.log.catch_up.hold();
        pass(secs(600)).await;
        assert_eq!(rig.log.catch_up.waiting(), 1);
        rig.log.catch_up.release();
        rig.full(&id, 2, "two").await;
        pass(secs(2)).await;
        assert_eq!(text(&follower.raw_reader(), &id), "two");
    });
}

#[tokio::test(start_paused = true)]
async fn a_poll_whose_answer_is_lost_is_made_again() {
    let rig = Rig::new();
    rig.log.without_feed();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.builder().call_timeout(secs(5)).spawn();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    let calls = rig.log.catch_up.calls();
    rig.log.catch_up.hold();
    // Each is given up after 5 s, and backed off from for at most 33.
    pass(secs(600)).await;
    let lost = rig.log.catch_up.calls() - calls;
    assert!((15..=40).contains(&lost), "{lost} polls without an answer");
    rig.log.catch_up.release();
    rig.full(&id, 2, "two").await;
    pass(secs(40)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_defers_everything_is_backed_off_from() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.log.defer_all(true);
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    for _ in 0..10 {
        settle().await;
    }
    let calls = rig.log.catch_up.calls();
    assert!(calls <= 5, "{calls} polls while no time passed");
    rig.log.defer_all(false);
    pass(secs(10)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
}
