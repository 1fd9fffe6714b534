//! The delta rule end to end.

use std::sync::atomic::Ordering;

use gleaner_consumer::{Health, ReadOptions};
use gleaner_core::{Budget, Cursor, Filter};

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn deltas_are_folded_in_order() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    let follower = rig.following_all().await;
    for (sequence, change) in [(2, "x"), (3, "y"), (4, "z")] {
        rig.delta(&id, sequence, change).await;
    }
    pass(secs(2)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "s+x+y+z");
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn a_long_run_of_deltas_is_drained_at_once_within_the_budget() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    for sequence in 2..=50 {
        rig.delta(&id, sequence, "d").await;
    }
    let began = tokio::time::Instant::now();
    let follower = rig.builder().read_budget(Budget::new(10, 1 << 20)).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(
        text(&follower.raw_reader(), &id),
        format!("s{}", "+d".repeat(49))
    );
    assert_eq!(began.elapsed(), secs(0));
    assert_eq!(rig.log.entries_read(), 50);
    assert_eq!(rig.log.catch_up.calls(), 5);
}

/// A fold that fails or panics: quarantined, served, neighbours live, healed at the next base.
async fn bad_fold(change: &str) {
    let traces = Traces::take();
    let rig = Rig::folding();
    let (bad, good) = (grain("bad"), grain("good"));
    rig.full(&bad, 1, "s").await;
    rig.full(&good, 1, "s").await;
    let follower = rig.following_all().await;
    let reader = follower.raw_reader();
    rig.delta(&bad, 2, "fine").await;
    rig.delta(&bad, 3, change).await;
    rig.delta(&good, 2, "fine").await;
    pass(secs(10)).await;
    assert_eq!(text(&reader, &bad), "s+fine");
    assert_eq!(reader.get(&bad, ANY).unwrap().cursor, Cursor::new(1, 2));
    assert_eq!(health(&follower, &bad), Health::Quarantined);
    assert_eq!(text(&reader, &good), "s+fine");
    assert_eq!(health(&follower, &good), Health::Live);
    // Backed off from, and not in a hot loop; said once.
    let reads = rig.log.catch_up.calls();
    pass(secs(600)).await;
    let more = rig.log.catch_up.calls() - reads;
    assert!(more <= 100, "{more} reads in ten minutes");
    let said = traces.with(&["WARN", "quarantined"]);
    assert_eq!(said.len(), 1, "{:?}", traces.lines());
    assert!(said[0].contains("1:3"), "it names the entry: {said:?}");
    // A delta behind it does not help, and is not a reason to hurry.
    rig.delta(&bad, 4, "more").await;
    pass(secs(2)).await;
    assert_eq!(text(&reader, &bad), "s+fine");
    // The next base heals at once.
    let began = tokio::time::Instant::now();
    let healed = rig.full(&bad, 5, "whole").await;
    let options = ReadOptions::at_least(healed).wait(secs(60));
    let answer = reader.get_when(&bad, options).await.unwrap();
    assert_eq!(&answer.state[..], b"whole");
    assert_eq!(began.elapsed(), secs(0));
    settle().await;
    assert_eq!(health(&follower, &bad), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn a_fold_that_fails_quarantines_its_grain_alone() {
    bad_fold("!").await;
}

#[tokio::test(start_paused = true)]
async fn a_fold_that_panics_quarantines_its_grain_alone() {
    bad_fold("?").await;
}

#[tokio::test(start_paused = true)]
async fn a_delta_without_a_fold_applies_what_precedes_it() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.delta(&id, 2, "no fold").await;
    let follower = rig.following_all().await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(health(&follower, &id), Health::Quarantined);
    assert_eq!(rig.store.rebase.calls(), 0, "nothing to rebuild");
}

#[tokio::test(start_paused = true)]
async fn a_replica_of_another_history_is_rebuilt_from_the_base_when_a_delta_does_not_fit() {
    let rig = Rig::folding();
    let id = grain("a");
    let base = rig.append(full(&id, Cursor::new(1, 1), "s")).await;
    rig.append(delta(&id, Cursor::new(1, 2), base, "lost"))
        .await;
    let follower = rig.following_all().await;
    assert_eq!(text(&follower.raw_reader(), &id), "s+lost");
    // The log loses its tail and goes on otherwise, while nobody looks.
    rig.log.changes.hold();
    until("the feed is held", || rig.log.changes.waiting() == 1).await;
    assert!(rig.log.current().lose_tail(&id, Cursor::new(1, 1)));
    let two = rig
        .append(delta(&id, Cursor::new(1, 2), base, "kept"))
        .await;
    rig.append(delta(&id, Cursor::new(1, 3), two, "on")).await;
    rig.log.changes.release();
    pass(secs(10)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "s+kept+on");
    assert_eq!(health(&follower, &id), Health::Live);
    assert_eq!(rig.store.rebase.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_apply_that_took_effect_and_answered_an_error_does_nothing_twice() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    let follower = rig.following_all().await;
    rig.store.lose_answers(1);
    rig.delta(&id, 2, "once").await;
    pass(secs(30)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "s+once");
    assert_eq!(health(&follower, &id), Health::Live);
    assert_eq!(rig.store.applied(), 2);
    assert_eq!(
        rig.store.runs.load(Ordering::SeqCst),
        2,
        "loaded, and found in step"
    );
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
}
