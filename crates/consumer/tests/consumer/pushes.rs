//! F5: what a log sends unasked is applied if it fits, confirms nothing, and costs a read at the most.

use std::sync::atomic::Ordering;

use gleaner_consumer::{Follower, Health};
use gleaner_core::{Budget, Cursor, Entry, Filter, GrainId, Identity, LogId, ReplicationLog};

use crate::rig::*;

/// A follower of all grains that hears no wake-up and polls once an hour: what it learns soon, it was sent.
async fn listening(rig: &Rig) -> Follower {
    rig.log.hint(Hints::Lost);
    let follower = rig.builder().poll_interval(secs(3600)).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    pass(secs(1)).await;
    follower
}

/// Pages, and grains asked for in reads, so far.
fn asked(rig: &Rig) -> (usize, usize) {
    (
        rig.log.changes.calls(),
        rig.log.grains.load(Ordering::SeqCst),
    )
}

fn dropped(follower: &Follower) -> u64 {
    follower.progress().pushes_dropped
}

fn at(sequence: u64) -> Cursor {
    Cursor::new(1, sequence)
}

#[tokio::test(start_paused = true)]
async fn f5_what_is_sent_is_applied_and_nothing_is_asked() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    let before = asked(&rig);
    let mut seen = follower.changes();
    rig.append_and_send(full(&id, at(2), "two")).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    let two = full(&id, at(2), "two").digest();
    let three = delta(&id, at(3), two, "three");
    let four = delta(&id, at(4), three.digest(), "four");
    rig.append(three.clone()).await;
    rig.append(four.clone()).await;
    let identity = rig.log.current().identity().await.unwrap();
    rig.log.send_as(identity, vec![run_of([three, four])]);
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two+three+four");
    rig.append_and_send(tombstone(&id, at(5))).await;
    let gone = follower.raw_reader().get(&id, ANY).unwrap_err();
    assert!(
        matches!(gone, gleaner_consumer::ReadError::Absent { cursor, .. } if cursor == at(5)),
        "{gone:?}"
    );
    assert_eq!(asked(&rig), before);
    assert_eq!(follower.progress().pushes_applied, 3);
    assert_eq!(dropped(&follower), 0);
    assert_eq!(follower.progress().in_step, 1);
    assert_eq!(seen.next().await, Some((id, at(5))));
    // The page that names it asks for nothing more.
    rig.log.hint(Hints::True);
    follower.poll_now().await.unwrap();
    settle().await;
    assert_eq!(asked(&rig), (before.0 + 1, before.1));
}

#[tokio::test(start_paused = true)]
async fn f5_an_entry_does_not_wait_for_a_page_that_is_read() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    rig.log.changes.hold();
    follower.poll_now().await.unwrap();
    until("a page is held", || rig.log.changes.waiting() == 1).await;
    rig.append_and_send(full(&id, at(2), "two")).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    // Nor does the page, which was read before and is older, do any harm.
    rig.log.changes.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(follower.progress().in_step, 1);
}

#[tokio::test(start_paused = true)]
async fn f5_a_name_that_comes_under_the_apply_is_settled_by_it() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    let (_, reads) = asked(&rig);
    rig.store.apply.hold();
    rig.append_and_send(full(&id, at(2), "two")).await;
    follower.poll_now().await.unwrap();
    settle().await;
    rig.store.apply.release();
    settle().await;
    assert_eq!(follower.progress().in_step, 1);
    assert_eq!(asked(&rig).1, reads);
    // One that goes further is not.
    rig.store.apply.hold();
    rig.append_and_send(full(&id, at(3), "three")).await;
    rig.full(&id, 4, "four").await;
    follower.poll_now().await.unwrap();
    settle().await;
    rig.store.apply.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "four");
    assert_eq!(asked(&rig).1, reads + 1);
}

#[tokio::test(start_paused = true)]
async fn f5_c3_what_is_sent_confirms_nothing_and_takes_nothing_back() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    // By the feed alone: the grain's own answer is long ago.
    pass(secs(10_000)).await;
    follower.poll_now().await.unwrap();
    settle().await;
    assert!(age(&follower, &id).unwrap() < secs(1));
    rig.log.changes.hold();
    pass(secs(20)).await;
    rig.store.apply.hold();
    rig.append_and_send(full(&id, at(2), "two")).await;
    pass(secs(10)).await;
    let under = age(&follower, &id).unwrap();
    assert!(under >= secs(30) && under < secs(32), "{under:?}");
    rig.store.apply.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    let after = age(&follower, &id).unwrap();
    assert!(after >= secs(30) && after < secs(32), "{after:?}");
    for sequence in 3..10 {
        rig.append_and_send(full(&id, at(sequence), "more")).await;
    }
    assert!(age(&follower, &id).unwrap() >= secs(30));
    // A page that asks does.
    rig.log.changes.release();
    follower.poll_now().await.unwrap();
    settle().await;
    assert!(age(&follower, &id).unwrap() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn f5_late_doubled_and_reordered_entries_cost_a_read_at_the_most() {
    let rig = Rig::folding();
    let id = grain("a");
    let one = full(&id, at(1), "one");
    let two = delta(&id, at(2), one.digest(), "two");
    let three = delta(&id, at(3), two.digest(), "three");
    rig.append(one.clone()).await;
    let follower = listening(&rig).await;
    let before = asked(&rig);
    for entry in [two.clone(), three.clone()] {
        rig.append(entry).await;
    }
    // The second before the first: one read brings both.
    rig.send(three.clone()).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one+two+three");
    assert_eq!(asked(&rig), (before.0, before.1 + 1));
    for late in [two, one, three.clone(), three] {
        rig.send(late).await;
    }
    assert_eq!(text(&follower.raw_reader(), &id), "one+two+three");
    assert_eq!(asked(&rig), (before.0, before.1 + 1));
    assert_eq!(follower.progress().pushes_applied, 0);
    assert_eq!(dropped(&follower), 5);
    assert_eq!(follower.progress().in_step, 1);
}

#[tokio::test(start_paused = true)]
async fn f5_what_comes_under_an_operation_is_looked_up() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    let (_, reads) = asked(&rig);
    rig.store.apply.hold();
    rig.append_and_send(full(&id, at(2), "two")).await;
    until("the apply is held", || rig.store.apply.waiting() == 1).await;
    rig.append_and_send(full(&id, at(3), "three")).await;
    rig.append_and_send(full(&id, at(4), "four")).await;
    rig.store.apply.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "four");
    assert_eq!(asked(&rig).1, reads + 1);
    // What the read under way brings need not be looked up again.
    rig.log.catch_up.hold();
    rig.full(&id, 5, "five").await;
    follower.poll_now().await.unwrap();
    until("the read is held", || rig.log.catch_up.waiting() == 1).await;
    rig.send(full(&id, at(5), "five")).await;
    rig.log.catch_up.release();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "five");
    assert_eq!(asked(&rig).1, reads + 2);
    assert_eq!(follower.progress().in_step, 1);
}

#[tokio::test(start_paused = true)]
async fn f5_a_new_grain_is_named_at_once_and_then_followed() {
    let rig = Rig::new();
    let follower = listening(&rig).await;
    let id = grain("new");
    rig.append_and_send(full(&id, at(1), "one")).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(dropped(&follower), 1);
    rig.append_and_send(full(&id, at(2), "two")).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(follower.progress().pushes_applied, 1);
}

#[tokio::test(start_paused = true)]
async fn f5_grains_that_are_not_followed_are_let_be() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let (id, other) = (grain("a"), grain("b"));
    rig.full(&id, 1, "one").await;
    let follower = rig.builder().poll_interval(secs(3600)).spawn();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    pass(secs(1)).await;
    let before = asked(&rig);
    rig.append_and_send(full(&other, at(1), "one")).await;
    // Out of the filter of its feed; without entries; another grain's.
    let out = GrainId::new("u", "a").unwrap();
    rig.append_and_send(full(&out, at(1), "one")).await;
    let identity = rig.log.current().identity().await.unwrap();
    let mut empty = run_of([full(&id, at(2), "two")]);
    empty.entries.clear();
    let mut swapped = run_of([full(&other, at(2), "two")]);
    swapped.grain = id.clone();
    rig.log.send_as(identity, vec![empty, swapped]);
    pass(secs(1)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(asked(&rig), before);
    assert_eq!((dropped(&follower), follower.progress().followed), (4, 1));
    // Nor is one that was unfollowed by name.
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    follower.unfollow(&other).await.unwrap();
    pass(secs(1)).await;
    let before = asked(&rig);
    rig.append_and_send(full(&other, at(2), "two")).await;
    pass(secs(1)).await;
    assert_eq!(asked(&rig), before);
}

#[tokio::test(start_paused = true)]
async fn f5_new_grains_out_of_the_filter_are_not_asked_for() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let follower = rig.builder().poll_interval(secs(3600)).spawn();
    follower.follow_all(Filter::grain_type("t")).await.unwrap();
    pass(secs(1)).await;
    let before = asked(&rig);
    let out = GrainId::new("u", "a").unwrap();
    rig.append_and_send(full(&out, at(1), "one")).await;
    pass(secs(1)).await;
    assert_eq!(asked(&rig), before);
}

#[tokio::test(start_paused = true)]
async fn f5_a_paused_grain_is_not_moved() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    let control = follower.control(id.clone());
    control.pause().await.unwrap();
    rig.append_and_send(full(&id, at(2), "two")).await;
    pass(secs(1)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(health(&follower, &id), Health::Paused);
    control.resume().await.unwrap();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn f5_a_grain_may_be_unfollowed_under_the_apply() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    rig.store.apply.hold();
    rig.append_and_send(full(&id, at(2), "two")).await;
    until("the apply is held", || rig.store.apply.waiting() == 1).await;
    let unfollowing = tokio::spawn({
        let (follower, id) = (follower.clone(), id.clone());
        async move { follower.unfollow(&id).await }
    });
    settle().await;
    assert!(!unfollowing.is_finished());
    rig.append_and_send(full(&id, at(3), "three")).await;
    rig.store.apply.release();
    unfollowing.await.unwrap().unwrap();
    rig.append_and_send(full(&id, at(4), "four")).await;
    pass(secs(1)).await;
    assert_eq!(follower.progress().followed, 0);
    assert_eq!(rig.store.applied(), 2);
}

#[tokio::test(start_paused = true)]
async fn f5_what_cannot_be_applied_never_quarantines_by_itself() {
    let rig = Rig::folding();
    let id = grain("a");
    let one = full(&id, at(1), "one");
    rig.append(one.clone()).await;
    let follower = listening(&rig).await;
    let (_, reads) = asked(&rig);
    // None of these is in the log, which says so when it is asked.
    let fails = delta(&id, at(2), one.digest(), "!");
    let panics = delta(&id, at(2), one.digest(), "?");
    for entry in [fails.clone(), panics] {
        rig.send(entry).await;
        assert_eq!(health(&follower, &id), Health::Live);
    }
    assert_eq!(asked(&rig).1, reads + 2);
    assert_eq!(follower.progress().in_step, 1);
    // A gap within what was sent: what precedes it is applied, the rest is read.
    let two = delta(&id, at(2), one.digest(), "two");
    let three = delta(&id, at(3), two.digest(), "three");
    let four = delta(&id, at(4), three.digest(), "four");
    for entry in [two.clone(), three, four.clone()] {
        rig.append(entry).await;
    }
    let identity = rig.log.current().identity().await.unwrap();
    rig.log.send_as(identity, vec![run_of([two, four.clone()])]);
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "one+two+three+four");
    assert_eq!(asked(&rig).1, reads + 3);
    // One that the log has, too, is decided by what the log answers.
    let rebased = rig.store.rebase.calls();
    let bad = delta(&id, at(5), four.digest(), "!");
    rig.append_and_send(bad).await;
    assert_eq!(health(&follower, &id), Health::Quarantined);
    assert_eq!(rig.store.rebase.calls(), rebased + 1);
    // A base above it heals, as soon as it is sent.
    rig.append_and_send(full(&id, at(6), "six")).await;
    assert_eq!(health(&follower, &id), Health::Live);
    assert_eq!(text(&follower.raw_reader(), &id), "six");
}

#[tokio::test(start_paused = true)]
async fn f5_s9_another_log_is_not_applied_whatever_fits() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    let stranger = Identity::new(LogId::new("another"), "history");
    let runs = vec![run_of([full(&id, at(2), "theirs")])];
    let pages = rig.log.changes.calls();
    rig.log.send_as(stranger, runs);
    pass(secs(1)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(health(&follower, &id), Health::Live);
    // It may be that the log was replaced: the feed was asked.
    assert_eq!(rig.log.changes.calls(), pages + 1);
    // It is: what it sends is not applied to replicas of the former.
    rig.log.begin_anew();
    rig.full(&id, 1, "new").await;
    follower.poll_now().await.unwrap();
    pass(secs(1)).await;
    assert_eq!(health(&follower, &id), Health::Foreign);
    rig.append_and_send(full(&id, at(2), "newer")).await;
    pass(secs(1)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(health(&follower, &id), Health::Foreign);
    assert_eq!(follower.rebase_foreign().await.unwrap(), (1, 0));
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "newer");
    rig.append_and_send(full(&id, at(3), "newest")).await;
    assert_eq!(text(&follower.raw_reader(), &id), "newest");
    assert_eq!(health(&follower, &id), Health::Live);
}

/// What the log has lost may still come late. A replica that took it would be ahead of the log, and nothing
/// would say so.
#[tokio::test(start_paused = true)]
async fn f5_what_a_fork_has_lost_is_not_applied_late() {
    let rig = Rig::new();
    let (id, other) = (grain("a"), grain("b"));
    rig.full(&id, 1, "one").await;
    rig.full(&other, 1, "one").await;
    let follower = listening(&rig).await;
    let before_the_fork = rig.log.current().identity().await.unwrap();
    let backup = rig.log.current().copied();
    let lost = full(&id, at(2), "lost");
    rig.append(lost.clone()).await;
    rig.log.current().restore(&backup);
    follower.poll_now().await.unwrap();
    pass(secs(10)).await;
    assert_eq!(follower.progress().in_step, 2);
    let runs = vec![run_of([lost])];
    rig.log.send_as(before_the_fork, runs);
    pass(secs(10)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(health(&follower, &id), Health::Live);
    // What is sent of the new history is applied.
    rig.append_and_send(full(&other, at(2), "two")).await;
    assert_eq!(text(&follower.raw_reader(), &other), "two");
}

#[tokio::test(start_paused = true)]
async fn f5_a_store_that_fails_under_what_was_sent_is_in_doubt_as_ever() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    rig.store.lose_answers(1);
    rig.append_and_send(full(&id, at(2), "two")).await;
    assert_eq!(follower.progress().in_step, 0);
    pass(secs(1)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(follower.progress().in_step, 1);
    // While another may still land, what comes is looked up.
    let applied = follower.progress().pushes_applied;
    rig.append_and_send(full(&id, at(3), "three")).await;
    assert_eq!(text(&follower.raw_reader(), &id), "three");
    assert_eq!(follower.progress().pushes_applied, applied);
}

/// Entries that are sent often do not put off the interval of a grain that has one of its own.
#[tokio::test(start_paused = true)]
async fn f5_an_interval_of_its_own_is_not_put_off() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.builder().poll_interval(secs(3600)).spawn();
    follower.follow_every(id.clone(), secs(2)).await.unwrap();
    follower.ready().await.unwrap();
    let (_, reads) = asked(&rig);
    for sequence in 2..=101 {
        rig.append_and_send(full(&id, at(sequence), "more")).await;
        pass(millis(200)).await;
    }
    assert!(follower.progress().pushes_applied > 80);
    let more = asked(&rig).1 - reads;
    assert!((8..=11).contains(&more), "{more} polls in 20 seconds");
    assert!(age(&follower, &id).unwrap() <= secs(3));
}

#[tokio::test(start_paused = true)]
async fn f5_a_slow_store_holds_back_what_is_sent() {
    const GRAINS: usize = 500;
    const SIZE: usize = 100;
    let rig = Rig::new();
    let state = "s".repeat(SIZE);
    let ids: Vec<GrainId> = (0..GRAINS).map(|at| grain(&at.to_string())).collect();
    for id in &ids {
        rig.full(id, 1, "one").await;
    }
    rig.log.hint(Hints::Lost);
    let follower = rig
        .builder()
        .poll_interval(secs(3600))
        .read_budget(Budget::new(100, 10 * SIZE))
        .spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    follower.ready().await.unwrap();
    pass(secs(1)).await;
    rig.store.apply.hold();
    let identity = rig.log.current().identity().await.unwrap();
    for id in &ids {
        let entry: Entry = full(id, at(2), &state);
        rig.append(entry.clone()).await;
        rig.log.send_as(identity.clone(), vec![run_of([entry])]);
    }
    pass(secs(60)).await;
    // Of two shards, each holds a budget and one sending, and as much in each of two applies.
    let taken = GRAINS - rig.log.unsent();
    assert!((10..=70).contains(&taken), "{taken} were taken");
    rig.store.apply.release();
    pass(secs(1)).await;
    assert_eq!(rig.log.unsent(), 0);
    assert_eq!(follower.progress().in_step, GRAINS);
    for id in &ids {
        assert_eq!(text(&follower.raw_reader(), id), state);
    }
    assert_eq!(follower.progress().pushes_applied, GRAINS as u64);
}

#[tokio::test(start_paused = true)]
async fn f5_a_listener_ends_with_its_reader() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following(&id).await;
    assert_eq!(rig.log.listeners.waiting(), 1);
    // The reader of the same filter is replaced by one that discovers.
    let filter = Filter::grain_type(id.grain_type());
    follower.follow_all(filter).await.unwrap();
    settle().await;
    assert_eq!(rig.log.listeners.waiting(), 1);
    rig.append_and_send(full(&id, at(2), "two")).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(rig.log.listeners.waiting(), 1);
    follower.follow_all(Filter::all()).await.unwrap();
    settle().await;
    assert_eq!(rig.log.listeners.waiting(), 2);
    follower.shutdown().await;
    settle().await;
    assert_eq!(rig.log.listeners.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn f5_with_hints_off_nobody_listens() {
    let rig = Rig::new();
    let follower = rig.builder().hints(false).spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    pass(secs(10)).await;
    assert_eq!(rig.log.listeners.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn f5_a_log_that_sends_nothing_over_and_over_is_not_asked_in_a_hot_loop() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = listening(&rig).await;
    rig.log.babble(true);
    let (calls, pages) = (rig.log.listeners.calls(), rig.log.changes.calls());
    for _ in 0..20 {
        settle().await;
    }
    let more = rig.log.listeners.calls() - calls;
    assert!(more <= 20, "{more} calls while no time passed");
    pass(secs(1)).await;
    let more = rig.log.listeners.calls() - calls;
    assert!((50..=400).contains(&more), "{more} calls in about a second");
    assert_eq!(rig.log.changes.calls(), pages);
    // And what it sends is still heard soon.
    let began = tokio::time::Instant::now();
    rig.append_and_send(full(&id, at(2), "two")).await;
    until("it is applied", || follower.progress().pushes_applied == 1).await;
    assert!(began.elapsed() <= millis(200), "{:?}", began.elapsed());
}
