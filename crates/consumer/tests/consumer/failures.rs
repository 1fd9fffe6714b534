//! Logs and stores that fail.

use gleaner_consumer::Health;
use gleaner_core::Filter;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_apply_is_said_once_and_served_on() {
    let traces = Traces::take();
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.store.apply.fail(usize::MAX);
    rig.full(&id, 2, "two").await;
    let applies = rig.store.apply.calls();
    pass(secs(600)).await;
    // It can still be asked where replicas stand, and that is not news.
    assert_eq!(traces.lines().len(), 1, "{:?}", traces.lines());
    assert_eq!(
        traces.with(&["WARN", "the store cannot be reached"]).len(),
        1
    );
    let more = rig.store.apply.calls() - applies;
    assert!((15..=40).contains(&more), "{more} applies in ten minutes");
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert!(age(&follower, &id).unwrap() >= secs(599));
    rig.store.apply.fail(0);
    pass(secs(60)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(traces.with(&["INFO", "the store answers again"]).len(), 1);
    assert_eq!(traces.lines().len(), 2, "{:?}", traces.lines());
}

#[tokio::test(start_paused = true)]
async fn a_log_whose_reads_fail_while_its_feed_answers_is_said_once() {
    let traces = Traces::take();
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.catch_up.fail(usize::MAX);
    rig.full(&id, 2, "two").await;
    pass(secs(600)).await;
    assert_eq!(traces.lines().len(), 1, "{:?}", traces.lines());
    rig.log.catch_up.fail(0);
    pass(secs(60)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(traces.lines().len(), 2, "{:?}", traces.lines());
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_not_up_at_the_start_is_waited_for() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    for gate in [
        &rig.log.identities,
        &rig.log.start,
        &rig.log.lists,
        &rig.log.catch_up,
    ] {
        gate.fail(4);
    }
    let follower = rig.follower();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_up_at_the_start_is_waited_for() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.store.load.fail(5);
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "one");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_the_store_cannot_read_do_not_hold_up_the_others() {
    let traces = Traces::take();
    let rig = Rig::new();
    let [bad, worse, good, better] = ["b", "d", "a", "c"].map(grain);
    for id in [&bad, &worse, &good, &better] {
        rig.full(id, 1, "one").await;
        rig.store.damaged.lock().insert(id.clone());
    }
    // All are damaged, then two of them.
    let follower = rig.follower();
    follower.follow_all(Filter::all()).await.unwrap();
    pass(secs(60)).await;
    assert_eq!(follower.progress().in_step, 0);
    rig.store.damaged.lock().remove(&good);
    rig.store.damaged.lock().remove(&better);
    pass(secs(60)).await;
    for id in [&good, &better] {
        assert_eq!(text(&follower.raw_reader(), id), "one");
    }
    assert_eq!(follower.progress().in_step, 2);
    pass(secs(600)).await;
    assert_eq!(traces.lines().len(), 4, "{:?}", traces.lines());
    let said = traces.with(&["WARN", "a replica cannot be read from the store"]);
    assert_eq!(said.len(), 4);

    rig.store.damaged.lock().clear();
    pass(secs(60)).await;
    assert_eq!(follower.progress().in_step, 4);
    assert_eq!(text(&follower.raw_reader(), &worse), "one");
}

#[tokio::test(start_paused = true)]
async fn a_slow_grain_does_not_hold_up_another() {
    let rig = Rig::new();
    let (slow, quick) = (grain("slow"), grain("quick"));
    rig.full(&slow, 1, "one").await;
    rig.full(&quick, 1, "one").await;
    let follower = rig.following_all().await;
    rig.store.apply.hold();
    rig.full(&slow, 2, "two").await;
    until("one apply is held", || rig.store.apply.waiting() == 1).await;
    rig.full(&quick, 2, "two").await;
    until("another is begun beside it", || {
        rig.store.apply.waiting() == 2
    })
    .await;
    rig.store.apply.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &quick), "two");
}

#[tokio::test(start_paused = true)]
async fn reads_in_flight_are_bounded_and_resumed() {
    let rig = Rig::new();
    for n in 0..100 {
        rig.full(&grain(&format!("{n:03}")), 1, "state").await;
    }
    rig.log.catch_up.hold();
    let follower = rig.builder().grains_per_read(5).reads_in_flight(3).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    pass(secs(5)).await;
    assert_eq!(rig.log.catch_up.waiting(), 3);
    rig.log.catch_up.release();
    follower.ready().await.unwrap();
    assert_eq!(follower.progress().in_step, 100);
    assert_eq!(rig.log.entries_read(), 100);
}

#[tokio::test(start_paused = true)]
async fn grains_that_a_budget_puts_off_are_read_at_once_after() {
    let rig = Rig::new();
    for n in 0..30 {
        rig.full(&grain(&n.to_string()), 1, "state").await;
    }
    let began = tokio::time::Instant::now();
    let budget = gleaner_core::Budget::new(4, 1 << 20);
    let follower = rig.builder().read_budget(budget).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(follower.progress().in_step, 30);
    assert_eq!(rig.log.entries_read(), 30);
    assert_eq!(began.elapsed(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn handles_that_never_stop_asking_do_not_starve_the_reads() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    for _ in 0..20 {
        let control = follower.control(id.clone());
        tokio::spawn(async move { while control.poll_now().await.is_ok() {} });
    }
    for _ in 0..20 {
        settle().await;
    }
    assert_eq!(text(&follower.raw_reader(), &id), "one");
}

#[tokio::test(start_paused = true)]
async fn a_long_backlog_leaves_other_tasks_their_turn() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    for sequence in 2..=3_000 {
        rig.delta(&id, sequence, "d").await;
    }
    let budget = gleaner_core::Budget::new(1, 1 << 20);
    let follower = rig.builder().read_budget(budget).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    let mut turns = 0;
    while follower.progress().entries_applied < 3_000 {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!(
        turns >= 10,
        "{turns} turns while three thousand entries were drained"
    );
}
