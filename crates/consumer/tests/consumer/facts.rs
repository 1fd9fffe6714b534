//! The facts to beat: what the nearest relatives get wrong, shown right.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gleaner_consumer::{Follower, Health, ReadError, ReadOptions};
use gleaner_core::{Cursor, Draft, Filter, GrainId, ReplicationLog, Writer};
use gleaner_memory::MemoryReplicaStore;

use crate::rig::*;

#[tokio::test(start_paused = true)]
async fn fact_a_delta_among_whole_states_costs_nothing_behind_it() {
    let rig = Rig::new();
    let id = grain("a");
    let one = full(&id, Cursor::new(1, 1), "one");
    let two = delta(&id, Cursor::new(1, 2), one.digest(), "two");
    let three = full(&id, Cursor::new(1, 3), "three");
    rig.log
        .current()
        .append_batch(&[one, two, three])
        .await
        .unwrap();
    let follower = rig.following(&id).await;
    assert_eq!(text(&follower.raw_reader(), &id), "three");
    assert_eq!(rig.log.entries_read(), 1);
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn fact_a_restarted_follower_reads_no_payload_again() {
    let rig = Rig::new();
    for n in 0..100 {
        rig.full(&grain(&n.to_string()), 1, "state").await;
    }
    rig.following_all().await.shutdown().await;
    assert_eq!(rig.log.entries_read(), 100);
    let bytes = rig.log.bytes.load(Ordering::SeqCst);
    let applies = rig.store.applied();
    let follower = rig.following_all().await;
    follower.caught_up().await.unwrap();
    assert_eq!(follower.progress().in_step, 100);
    assert_eq!(rig.log.entries_read(), 100);
    assert_eq!(rig.log.bytes.load(Ordering::SeqCst), bytes);
    assert_eq!(rig.store.applied(), applies);
}

#[tokio::test]
async fn fact_a_follower_goes_on_from_a_reopened_file_and_reads_no_payload_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replicas.db");
    let rig = Rig::new();
    for n in 0..20 {
        rig.full(&grain(&n.to_string()), 1, "state").await;
    }
    for run in 0..2 {
        let store = gleaner_sqlite::SqliteReplicaStore::open(&path, None)
            .await
            .unwrap();
        let follower = Follower::builder(rig.log.clone(), Arc::new(store)).spawn();
        follower.follow_all(Filter::all()).await.unwrap();
        follower.ready().await.unwrap();
        assert_eq!(follower.progress().in_step, 20, "run {run}");
        assert_eq!(text(&follower.raw_reader(), &grain("7")), "state");
        follower.shutdown().await;
        assert_eq!(rig.log.entries_read(), 20, "run {run}");
    }
}

#[tokio::test(start_paused = true)]
async fn fact_an_older_sequence_or_epoch_never_overwrites() {
    let rig = Rig::new();
    let id = grain("a");
    rig.append(full(&id, Cursor::new(2, 5), "newest")).await;
    let follower = rig.following_all().await;
    let newest = rig.log.current();
    // A copy of the log that has lost its tail comes back: same log, older entries.
    assert!(newest.lose_tail(&id, Cursor::ZERO));
    let older = full(&id, Cursor::new(2, 4), "older");
    newest.append(older).await.unwrap();
    pass(secs(5)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "newest");
    assert_eq!(health(&follower, &id), Health::Ahead);
    // And a deposed writer is not even accepted.
    let deposed = full(&id, Cursor::new(1, 9), "deposed");
    assert!(newest.append(deposed).await.is_err());
    pass(secs(5)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "newest");
}

#[tokio::test(start_paused = true)]
async fn fact_a_quiet_grain_that_is_polled_is_fresh_and_one_cut_off_is_not() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let reader = follower.raw_reader();
    pass(secs(3600)).await;
    assert!(reader.get(&id, ReadOptions::max_age(secs(2))).is_ok());
    rig.log.changes.fail(usize::MAX);
    pass(secs(60)).await;
    let refused = reader.get(&id, ReadOptions::max_age(secs(2)));
    assert!(
        matches!(refused, Err(ReadError::TooStale { .. })),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn fact_a_state_stamped_in_the_future_is_no_fresher() {
    let rig = Rig::new();
    let id = grain("a");
    let mut draft = Draft::full(id.clone(), Cursor::new(1, 1), Writer::new(1), "one");
    draft.written_at = gleaner_core::UnixMillis::new(i64::MAX);
    rig.append(draft.seal()).await;
    let follower = rig.following(&id).await;
    rig.log.changes.fail(usize::MAX);
    pass(secs(60)).await;
    assert!(age(&follower, &id).unwrap() >= secs(60));
}

#[tokio::test(start_paused = true)]
async fn fact_duration_max_means_always() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.following(&id).await.shutdown().await;
    rig.log.catch_up.fail(usize::MAX);
    rig.log.changes.fail(usize::MAX);
    let follower = rig.follower();
    follower.follow(id.clone()).await.unwrap();
    pass(secs(3600)).await;
    let reader = follower.raw_reader();
    let always = ReadOptions::max_age(std::time::Duration::MAX);
    assert_eq!(reader.get(&id, always).unwrap().age, None);
    let nearly = ReadOptions::max_age(std::time::Duration::MAX - millis(1));
    assert!(matches!(
        reader.get(&id, nearly),
        Err(ReadError::TooStale { age: None, .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn fact_a_slash_makes_two_grains() {
    let rig = Rig::new();
    let one = GrainId::new("a/b", "c").unwrap();
    let other = GrainId::new("a", "b/c").unwrap();
    rig.full(&one, 1, "one").await;
    rig.full(&other, 1, "other").await;
    let follower = rig.following_all().await;
    assert_eq!(text(&follower.raw_reader(), &one), "one");
    assert_eq!(text(&follower.raw_reader(), &other), "other");
    rig.full(&one, 2, "one more").await;
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &other), "other");
    assert_eq!(follower.progress().followed, 2);
}

#[tokio::test(start_paused = true)]
async fn fact_a_failing_log_is_backed_off_from_and_said_once() {
    let traces = Traces::take();
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    assert_eq!(traces.lines(), Vec::<String>::new());
    let before = rig.log.changes.calls();
    rig.log.changes.fail(usize::MAX);
    pass(secs(600)).await;
    // 100 ms doubling to 30 s: eight failures in the first half minute, then one every thirty seconds.
    let polls = rig.log.changes.calls() - before;
    assert!((20..=40).contains(&polls), "{polls} polls in ten minutes");
    assert_eq!(traces.lines().len(), 1, "{:?}", traces.lines());
    assert_eq!(traces.with(&["WARN", "the log cannot be reached"]).len(), 1);
    rig.log.changes.fail(0);
    pass(secs(60)).await;
    assert_eq!(traces.lines().len(), 2, "{:?}", traces.lines());
    assert_eq!(traces.with(&["INFO", "the log answers again"]).len(), 1);
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn fact_a_log_begun_anew_is_said_once_served_as_foreign_and_in_step_after_a_rebase() {
    let traces = Traces::take();
    let rig = Rig::new();
    let (kept, gone) = (grain("kept"), grain("gone"));
    rig.full(&kept, 9, "before").await;
    rig.full(&gone, 1, "the last copy").await;
    let follower = rig.following_all().await;
    rig.log.begin_anew();
    rig.full(&kept, 1, "after").await;
    rig.full(&grain("new"), 1, "new").await;
    pass(secs(60)).await;
    let reader = follower.raw_reader();
    for (id, state) in [(&kept, "before"), (&gone, "the last copy")] {
        assert_eq!(text(&reader, id), state);
        assert_eq!(health(&follower, id), Health::Foreign);
        assert!(age(&follower, id).unwrap() >= secs(55));
    }
    let said = traces.with(&["ERROR", "not the one that the store belongs to"]);
    assert_eq!(said.len(), 1, "{:?}", traces.lines());
    // Not healed by a higher base, either.
    rig.full(&kept, 100, "higher").await;
    pass(secs(60)).await;
    assert_eq!(text(&reader, &kept), "before");
    assert_eq!(traces.with(&["ERROR"]).len(), 1, "{:?}", traces.lines());

    let (rebased, not) = follower.rebase_foreign().await.unwrap();
    assert_eq!((rebased, not), (1, 1));
    pass(secs(5)).await;
    assert_eq!(text(&reader, &kept), "higher");
    assert_eq!(health(&follower, &kept), Health::Live);
    assert!(age(&follower, &kept).unwrap() <= INTERVAL);
    assert_eq!(text(&reader, &grain("new")), "new");
    assert_eq!(text(&reader, &gone), "the last copy");
    assert_eq!(health(&follower, &gone), Health::Foreign);
    rig.full(&kept, 101, "on").await;
    settle().await;
    assert_eq!(text(&reader, &kept), "on");
}

#[tokio::test(start_paused = true)]
async fn fact_a_foreign_store_is_known_from_the_first_load() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "before").await;
    rig.following_all().await.shutdown().await;
    rig.log.begin_anew();
    rig.full(&id, 1, "before").await;
    let follower = rig.following_all().await;
    pass(secs(5)).await;
    // Cursor and digest are equal, and still it is another log.
    assert_eq!(health(&follower, &id), Health::Foreign);
    assert_eq!(age(&follower, &id), None);
    assert_eq!(follower.rebase_foreign().await.unwrap(), (1, 0));
    pass(secs(2)).await;
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn fact_a_backlog_of_whole_states_costs_one_entry_and_one_poll() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "state").await;
    let follower = rig.following_all().await;
    rig.log.hint(Hints::Lost);
    pass(secs(2)).await;
    let (entries, polls) = (rig.log.entries_read(), rig.log.catch_up.calls());
    let writer = Writer::new(1);
    let backlog: Vec<_> = (2..=10_001)
        .map(|n| Draft::full(id.clone(), Cursor::new(1, n), writer, n.to_string()).seal())
        .collect();
    for chunk in backlog.chunks(4_000) {
        rig.log.current().append_batch(chunk).await.unwrap();
    }
    pass(secs(2)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "10001");
    assert_eq!(rig.log.entries_read() - entries, 1);
    assert_eq!(rig.log.catch_up.calls() - polls, 1);
}

#[tokio::test(start_paused = true)]
async fn fact_the_first_read_comes_at_once_and_not_after_an_interval() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let began = tokio::time::Instant::now();
    let follower = rig.builder().poll_interval(secs(3600)).spawn();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(began.elapsed(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn fact_a_thousand_grains_at_rest_cost_one_call_an_interval() {
    let rig = Rig::new();
    for n in 0..1_000 {
        rig.full(&grain(&n.to_string()), 1, "state").await;
    }
    let follower = rig.following_all().await;
    settle().await;
    let all = |rig: &Rig| {
        let log = &rig.log;
        let others = log.catch_up.calls() + log.reads.calls() + log.lists.calls();
        (
            log.changes.calls(),
            others + log.start.calls(),
            rig.store.load.calls(),
        )
    };
    let (changes, others, loads) = all(&rig);
    pass(secs(100)).await;
    assert_eq!(all(&rig), (changes + 100, others, loads));
    assert_eq!(follower.progress().in_step, 1_000);
    assert!(age(&follower, &grain("999")).unwrap() <= INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn fact_catching_up_costs_by_grains_changed() {
    let rig = Rig::new();
    for n in 0..500 {
        rig.full(&grain(&n.to_string()), 1, "state").await;
    }
    let follower = rig.following_all().await;
    let asked = rig.log.grains.load(Ordering::SeqCst);
    for n in 0..10 {
        rig.full(&grain(&n.to_string()), 2, "newer").await;
    }
    pass(secs(3)).await;
    assert_eq!(text(&follower.raw_reader(), &grain("9")), "newer");
    assert!(rig.log.grains.load(Ordering::SeqCst) - asked <= 20);
}

#[tokio::test(start_paused = true)]
async fn fact_a_store_bound_elsewhere_is_not_written_to() {
    let store = MemoryReplicaStore::new();
    let first = Rig::over(store.clone());
    let id = grain("a");
    first.full(&id, 1, "ours").await;
    first.following(&id).await.shutdown().await;
    let second = Rig::over(store);
    second.full(&id, 9, "theirs").await;
    let follower = second.following(&id).await;
    pass(secs(10)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "ours");
    assert_eq!(second.store.applied(), 0);
}
