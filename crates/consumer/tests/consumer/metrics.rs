//! Every metric, in a test in which it changes.
#![expect(
    clippy::float_cmp,
    reason = "gauges are set from counts and from virtual time, which are exact"
)]

mod recorder;

use std::collections::BTreeSet;

use gleaner_consumer::{Follower, ReplicationConsumer};
use gleaner_core::{Budget, Filter};

use self::recorder::Taken;
use crate::rig::*;

fn sampled(follower: &Follower) -> Taken {
    let taken = Taken::default();
    taken.sample(follower);
    taken
}

#[tokio::test(start_paused = true)]
async fn grains_are_counted_by_health() {
    let rig = Rig::new();
    let ids: Vec<_> = (0..5).map(|n| grain(&n.to_string())).collect();
    for id in &ids {
        rig.full(id, 1, "one").await;
    }
    rig.delta(&ids[0], 2, "no fold").await;
    rig.log.catch_up.hold();
    let follower = rig.follower();
    follower.follow_all(Filter::all()).await.unwrap();
    let taken = sampled(&follower);
    let health = |name| taken.gauge(&format!("grains{{health={name}}}"));
    assert_eq!((health("bootstrapping"), health("live")), (5.0, 0.0));
    assert_eq!(taken.gauge("grains_in_step"), 0.0);
    assert_eq!(taken.gauge("grains_pending"), 5.0);

    rig.log.catch_up.release();
    follower.ready().await.unwrap();
    follower.control(ids[1].clone()).pause().await.unwrap();
    taken.sample(&follower);
    assert_eq!((health("bootstrapping"), health("live")), (0.0, 3.0));
    assert_eq!((health("quarantined"), health("paused")), (1.0, 1.0));
    assert_eq!(taken.gauge("grains_in_step"), 3.0);
    assert_eq!(taken.gauge("grains_pending"), 0.0, "those are held");

    rig.log.begin_anew();
    for id in &ids {
        rig.full(id, 1, "other").await;
    }
    until("it is noticed", || follower.progress().foreign > 0).await;
    pass(secs(100)).await;
    taken.sample(&follower);
    let progress = follower.progress();
    assert_eq!(
        health("foreign"),
        f64::from(u32::try_from(progress.foreign).unwrap())
    );
    assert_eq!(health("live"), 0.0);
    let names = [
        "bootstrapping",
        "live",
        "quarantined",
        "ahead",
        "diverged",
        "missing",
        "foreign",
        "paused",
    ];
    assert_eq!(names.into_iter().map(health).sum::<f64>(), 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_grain_whose_cursor_stands_still_below_its_head_is_stalled() {
    let rig = Rig::new();
    let (id, other) = (grain("a"), grain("b"));
    rig.full(&id, 1, "one").await;
    rig.full(&other, 1, "one").await;
    let follower = rig.following_all().await;
    let taken = sampled(&follower);
    let now = || {
        taken.sample(&follower);
        (taken.gauge("grains_pending"), taken.gauge("grains_stalled"))
    };
    // Quiet for long, and in step: no stall.
    pass(secs(100)).await;
    assert_eq!(now(), (0.0, 0.0));
    // New ones are on their way since they are followed, however long the follower has been there.
    rig.store.load.hold();
    follower.follow(grain("new")).await.unwrap();
    pass(secs(5)).await;
    assert_eq!(now(), (1.0, 0.0));
    pass(secs(6)).await;
    assert_eq!(now(), (1.0, 1.0));
    rig.store.load.release();
    follower.ready().await.unwrap();
    rig.store.apply.hold();
    rig.full(&id, 2, "two").await;
    pass(secs(9)).await;
    assert_eq!(now(), (1.0, 0.0), "not for ten intervals yet");
    pass(secs(2)).await;
    assert_eq!(now(), (1.0, 1.0));
    rig.store.apply.release();
    settle().await;
    assert_eq!(now(), (0.0, 0.0));
    // Behind again, and the stall before counts no more.
    rig.store.apply.hold();
    rig.full(&id, 3, "three").await;
    pass(secs(9)).await;
    assert_eq!(now(), (1.0, 0.0));
    rig.store.apply.release();
    // What an operator holds is not stalled.
    follower.control(id.clone()).pause().await.unwrap();
    rig.full(&id, 4, "four").await;
    pass(secs(60)).await;
    assert_eq!(now(), (0.0, 0.0));
    // Nor is what the follower no longer follows, or a follower that has ended.
    rig.store.apply.hold();
    rig.full(&other, 2, "two").await;
    pass(secs(20)).await;
    assert_eq!(now(), (1.0, 1.0));
    rig.store.apply.release();
    follower.shutdown().await;
    pass(secs(60)).await;
    assert_eq!(now(), (0.0, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_grain_that_moves_is_not_stalled_however_far_behind() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    for sequence in 2..=6 {
        rig.delta(&id, sequence, "d").await;
    }
    rig.store.apply.hold();
    let follower = rig.builder().read_budget(Budget::new(1, 1 << 20)).spawn();
    follower.follow(id.clone()).await.unwrap();
    let taken = Taken::default();
    for _ in 0..5 {
        // One entry is applied, the next is read and held.
        until("an apply is held", || rig.store.apply.waiting() == 1).await;
        rig.log.catch_up.hold();
        rig.store.apply.release();
        until("the next read is held", || rig.log.catch_up.waiting() == 1).await;
        rig.store.apply.hold();
        rig.log.catch_up.release();
        pass(secs(8)).await;
        taken.sample(&follower);
        assert_eq!(taken.gauge("grains_pending"), 1.0);
        assert_eq!(taken.gauge("grains_stalled"), 0.0);
    }
    pass(secs(3)).await;
    taken.sample(&follower);
    assert_eq!(taken.gauge("grains_stalled"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn ages_are_those_that_readers_are_told() {
    let rig = Rig::new();
    let (id, bad) = (grain("a"), grain("bad"));
    rig.full(&id, 1, "one").await;
    rig.full(&bad, 1, "one").await;
    rig.delta(&bad, 2, "no fold").await;
    pass(secs(7)).await;
    let follower = rig.follower();
    let taken = sampled(&follower);
    assert_eq!(taken.gauge("oldest_age_seconds"), 0.0);
    pass(secs(3)).await;
    taken.sample(&follower);
    let silence = || taken.gauge("last_confirmation_age_seconds");
    assert_eq!(
        silence(),
        3.0,
        "nothing was ever confirmed: since the start"
    );

    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    taken.sample(&follower);
    assert_eq!(silence(), 0.0);
    let at_most = |bound| taken.gauge(&format!("grains_by_age{{le={bound}}}"));
    assert_eq!(
        (at_most("0.01"), at_most("1800"), at_most("+Inf")),
        (1.0, 1.0, 2.0)
    );
    assert_eq!(taken.gauge("grains_unconfirmed"), 1.0);

    rig.log.changes.fail(usize::MAX);
    pass(secs(20)).await;
    taken.sample(&follower);
    let told = age(&follower, &id).unwrap().as_secs_f64();
    assert!((19.0..=21.0).contains(&told));
    assert_eq!(taken.gauge("oldest_age_seconds"), told);
    assert_eq!(silence(), told);
    assert_eq!(
        (at_most("10"), at_most("30"), at_most("+Inf")),
        (0.0, 1.0, 2.0)
    );

    // The wall clock says that the machine slept: the larger of both clocks counts (C5).
    rig.clock.suspend(secs(3600));
    taken.sample(&follower);
    assert_eq!(taken.gauge("oldest_age_seconds"), told + 3600.0);
    assert_eq!((at_most("1800"), at_most("+Inf")), (0.0, 2.0));
}

#[tokio::test(start_paused = true)]
async fn a_page_is_a_confirmation_though_no_grain_is_followed() {
    let rig = Rig::new();
    let follower = rig.following_all().await;
    pass(secs(20)).await;
    let taken = sampled(&follower);
    assert!(taken.gauge("last_confirmation_age_seconds") <= 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_told_once() {
    let rig = Rig::new();
    for n in 0..20 {
        rig.full(&grain(&n.to_string()), 1, "state").await;
    }
    let follower = rig.builder().name("counted").spawn();
    let taken = Taken::of("counted");
    taken.sample(&follower);
    let names = [
        "polls_total",
        "reads_total",
        "pages_total",
        "entries_read_total",
        "payload_bytes_read_total",
        "entries_applied_total",
        "applies_total",
    ];
    for name in names {
        assert_eq!(taken.counter(name), 0, "{name}");
    }
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    for _ in 0..3 {
        taken.sample(&follower);
        let progress = follower.progress();
        let counted = |name| taken.counter(name);
        assert_eq!(counted("polls_total"), 20);
        assert_eq!(counted("reads_total"), progress.reads);
        assert_eq!(counted("pages_total"), progress.pages);
        assert_eq!(counted("entries_read_total"), 20);
        assert_eq!(counted("payload_bytes_read_total"), 100);
        assert_eq!(counted("entries_applied_total"), 20);
        assert_eq!(counted("applies_total"), 20);
        assert!(progress.reads >= 1 && progress.pages >= 2);
        assert_eq!((progress.polls, progress.bytes_read), (20, 100));
    }
    rig.full(&grain("0"), 2, "longer state").await;
    pass(secs(5)).await;
    taken.sample(&follower);
    assert_eq!(taken.counter("polls_total"), 21);
    assert_eq!(taken.counter("payload_bytes_read_total"), 112);
    assert_eq!(taken.counter("entries_applied_total"), 21);
}

#[tokio::test(start_paused = true)]
async fn errors_are_counted_by_side_and_kind() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    let taken = sampled(&follower);
    let errors =
        |side: &str, kind: &str| taken.counter(&format!("errors_total{{kind={kind},side={side}}}"));
    assert_eq!(taken.sum("errors_total"), 0);
    rig.log.changes.fail(3);
    pass(secs(60)).await;
    taken.sample(&follower);
    assert_eq!(errors("log", "transient"), 3);
    assert_eq!(taken.sum("errors_total"), 3);
    rig.store.lose_answers(1);
    rig.full(&id, 2, "two").await;
    pass(secs(60)).await;
    taken.sample(&follower);
    assert_eq!(errors("store", "unknown"), 1);
    rig.store.apply.fail(2);
    rig.full(&id, 3, "three").await;
    pass(secs(60)).await;
    taken.sample(&follower);
    assert_eq!(errors("store", "transient"), 2);
    // A position of no use is an error of its kind, too.
    rig.log.current().fork_history();
    pass(secs(60)).await;
    taken.sample(&follower);
    assert_eq!(errors("log", "expired"), 1);
    assert_eq!(taken.sum("errors_total"), 7);
    assert_eq!(follower.progress().errors, 7);
}

#[tokio::test(start_paused = true)]
async fn handles_are_registered_and_described_once_a_follower() {
    let rig = Rig::new();
    let (one, two) = (
        rig.builder().name("one").spawn(),
        rig.builder().name("two").spawn(),
    );
    let taken = Taken::of("one");
    assert_eq!(taken.handles(), 0, "nothing before the first sample");
    for _ in 0..3 {
        taken.sample(&one);
        taken.sample(&two);
    }
    let each = taken.registrations();
    assert!(each.values().all(|times| *times == 1), "{each:?}");
    // 8 by health, 4 more of grains, 13 bounds, 2 ages, 9 counters, 9 kinds of errors of 2 sides.
    assert_eq!(each.len(), 2 * (8 + 4 + 13 + 2 + 9 + 18));
    let of_one = each
        .keys()
        .filter(|key| key.contains("follower=one"))
        .count();
    assert_eq!(of_one, 54);
    let registered: BTreeSet<_> = each
        .keys()
        .map(|key| key.split('{').next().unwrap())
        .collect();
    let described = taken.described();
    assert_eq!(registered, described.keys().map(String::as_str).collect());
    // No label names a grain.
    assert!(each.keys().all(|key| !key.contains("grain=")));
}

#[tokio::test(start_paused = true)]
async fn the_documentation_lists_every_metric_with_its_unit() {
    let documented: BTreeSet<(String, String)> = include_str!("../../../../docs/metrics.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `gleaner_"))
        .map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let name = cells[0].split(['`', '{']).next().unwrap();
            (format!("gleaner_{name}"), cells[2].to_owned())
        })
        .collect();
    let rig = Rig::new();
    let taken = sampled(&rig.follower());
    let described: BTreeSet<_> = taken.described().into_iter().collect();
    assert_eq!(documented, described);
}

#[tokio::test(start_paused = true)]
async fn a_follower_samples_itself_until_it_ends() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let taken = Taken::default();
    let _installed = ::metrics::set_default_local_recorder(&taken);
    let follower = rig.builder().sample_every(secs(10)).spawn();
    follower.follow(id.clone()).await.unwrap();
    pass(secs(9)).await;
    assert_eq!(taken.handles(), 0);
    pass(secs(2)).await;
    assert_eq!(taken.gauge("grains_in_step"), 1.0);
    rig.full(&id, 2, "two").await;
    pass(secs(10)).await;
    assert_eq!(taken.counter("entries_applied_total"), 2);
    rig.full(&id, 3, "three").await;
    pass(secs(1)).await;
    follower.shutdown().await;
    assert_eq!(taken.counter("entries_applied_total"), 3, "the last word");
    taken.overwrite("grains_in_step", 77.0);
    pass(secs(100)).await;
    assert_eq!(taken.gauge("grains_in_step"), 77.0);

    // One whose last handle is dropped ends its task, too.
    let dropped = rig.builder().name("dropped").sample_every(secs(10)).spawn();
    pass(secs(11)).await;
    let of_dropped = taken.named("dropped");
    of_dropped.overwrite("grains_in_step", 77.0);
    drop(dropped);
    pass(secs(100)).await;
    assert_eq!(of_dropped.gauge("grains_in_step"), 77.0);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_of_one_grain_samples_as_a_follower_does() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let one = ReplicationConsumer::builder(rig.log.clone(), rig.store.clone(), id)
        .clock(rig.clock.clone())
        .name("one grain")
        .spawn();
    one.ready().await.unwrap();
    let taken = Taken::of("one grain");
    ::metrics::with_local_recorder(&taken, || one.sample());
    assert_eq!(taken.gauge("grains_in_step"), 1.0);
    assert_eq!(taken.counter("polls_total"), 1);
}
