//! What an operator may tell a grain: pause, resume, poll now, skip, seek, rebase.

use gleaner_consumer::{ControlError, Health, Refusal};
use gleaner_core::Cursor;

use crate::rig::*;

async fn text_in(rig: &Rig, id: &gleaner_core::GrainId) -> String {
    use gleaner_core::ReplicaStore;
    let replica = rig.store.get(id).await.unwrap().unwrap();
    String::from_utf8(replica.state().unwrap().to_vec()).unwrap()
}

const fn at(sequence: u64) -> Cursor {
    Cursor::new(1, sequence)
}

#[tokio::test(start_paused = true)]
async fn t1_pause_waits_for_the_operation_in_flight() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.store.apply.hold();
    rig.full(&id, 2, "two").await;
    until("the apply is held", || rig.store.apply.waiting() == 1).await;
    let control = follower.control(id.clone());
    let pausing = tokio::spawn({
        let control = control.clone();
        async move { control.pause().await }
    });
    pass(secs(10)).await;
    assert!(!pausing.is_finished());
    rig.store.apply.release();
    pausing.await.unwrap().unwrap();
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    rig.full(&id, 3, "three").await;
    let reads = rig.log.catch_up.calls();
    pass(secs(30)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(rig.log.catch_up.calls(), reads);
    control.resume().await.unwrap();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "three");
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn poll_now_ends_a_backoff() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.catch_up.fail(usize::MAX);
    rig.full(&id, 2, "two").await;
    pass(secs(120)).await;
    rig.log.catch_up.fail(0);
    let began = tokio::time::Instant::now();
    follower.control(id.clone()).poll_now().await.unwrap();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(began.elapsed(), secs(0));
}

#[tokio::test(start_paused = true)]
async fn poll_now_of_the_follower_does_not_wait_for_the_interval() {
    let rig = Rig::new();
    rig.log.hint(Hints::Lost);
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.builder().poll_interval(secs(600)).spawn();
    follower.follow(id.clone()).await.unwrap();
    follower.ready().await.unwrap();
    pass(secs(1)).await;
    rig.full(&id, 2, "two").await;
    pass(secs(10)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    follower.poll_now().await.unwrap();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
}

#[tokio::test(start_paused = true)]
async fn skip_gives_up_the_quarantined_entry_and_waits_for_a_base() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    rig.delta(&id, 2, "!").await;
    let follower = rig.following_all().await;
    let control = follower.control(id.clone());
    assert_eq!(health(&follower, &id), Health::Quarantined);
    let wrong = control.skip(at(1)).await;
    assert_eq!(
        wrong,
        Err(ControlError::Refused(Refusal::Moved { found: at(2) }))
    );
    assert_eq!(control.skip(at(2)).await, Ok(at(1)));
    pass(secs(5)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "s");
    assert_eq!(health(&follower, &id), Health::Quarantined);
    rig.full(&id, 3, "three").await;
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "three");
    assert_eq!(health(&follower, &id), Health::Live);
    let nothing = control.skip(at(3)).await;
    assert_eq!(nothing, Err(ControlError::Refused(Refusal::NotQuarantined)));
}

#[tokio::test(start_paused = true)]
async fn seek_puts_a_former_state_in_place_and_a_grain_at_large_follows_on() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    rig.delta(&id, 2, "d").await;
    rig.full(&id, 3, "three").await;
    let follower = rig.following_all().await;
    let control = follower.control(id.clone());
    let refused = control.seek(at(2), at(1)).await;
    assert_eq!(
        refused,
        Err(ControlError::Refused(Refusal::Moved { found: at(3) }))
    );
    assert_eq!(text(&follower.raw_reader(), &id), "three");
    let mut changes = follower.changes();
    assert_eq!(control.seek(at(3), at(2)).await, Ok(at(2)));
    assert_eq!(
        changes.next().await.map(|(grain, _)| grain),
        Some(id.clone())
    );
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "three");
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn seek_of_a_paused_grain_stays_where_it_was_put() {
    let rig = Rig::folding();
    let id = grain("a");
    rig.full(&id, 1, "s").await;
    rig.delta(&id, 2, "d").await;
    rig.full(&id, 3, "three").await;
    let follower = rig.following_all().await;
    let control = follower.control(id.clone());
    control.pause().await.unwrap();
    assert_eq!(control.seek(at(3), at(2)).await, Ok(at(2)));
    pass(secs(30)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "s+d");
    assert_eq!(health(&follower, &id), Health::Paused);
    control.resume().await.unwrap();
    settle().await;
    assert_eq!(text(&follower.raw_reader(), &id), "three");
}

#[tokio::test(start_paused = true)]
async fn seek_to_where_the_log_has_nothing_changes_nothing() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 5, "five").await;
    let follower = rig.following_all().await;
    let control = follower.control(id.clone());
    let refused = control.seek(at(5), at(4)).await;
    assert_eq!(refused, Err(ControlError::Refused(Refusal::NothingThere)));
    assert_eq!(text(&follower.raw_reader(), &id), "five");
    assert_eq!(rig.store.rebase.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_seek_that_a_log_fails_is_answered() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&id, 2, "two").await;
    let follower = rig.following_all().await;
    rig.log.reads.fail(usize::MAX);
    let control = follower.control(id.clone());
    assert_eq!(control.seek(at(2), at(1)).await, Err(ControlError::Failed));
    rig.log.reads.fail(0);
    rig.store.rebase.fail(1);
    pass(secs(60)).await;
    assert_eq!(control.seek(at(2), at(1)).await, Err(ControlError::Failed));
    pass(secs(60)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn a_rebase_that_a_log_puts_off_for_ever_is_answered() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.defer_all(true);
    let control = follower.control(id.clone());
    assert_eq!(control.rebase(at(1)).await, Err(ControlError::Failed));
    rig.log.defer_all(false);
    pass(secs(10)).await;
    assert_eq!(health(&follower, &id), Health::Live);
}

#[tokio::test(start_paused = true)]
async fn rebase_heals_a_replica_that_is_ahead_and_is_said() {
    let traces = Traces::take();
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&id, 2, "two").await;
    let follower = rig.following_all().await;
    assert!(rig.log.current().lose_tail(&id, at(1)));
    pass(secs(5)).await;
    assert_eq!(health(&follower, &id), Health::Ahead);
    assert_eq!(traces.with(&["WARN", "ahead"]).len(), 1);
    let control = follower.control(id.clone());
    let refused = control.rebase(at(1)).await;
    assert_eq!(
        refused,
        Err(ControlError::Refused(Refusal::Moved { found: at(2) }))
    );
    assert_eq!(text(&follower.raw_reader(), &id), "two");
    assert_eq!(control.rebase(at(2)).await, Ok(at(1)));
    pass(secs(2)).await;
    assert_eq!(text(&follower.raw_reader(), &id), "one");
    assert_eq!(health(&follower, &id), Health::Live);
    assert!(age(&follower, &id).unwrap() <= INTERVAL);
    assert_eq!(traces.with(&["replica set back by a rebase"]).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_command_is_refused_while_one_is_under_way() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    rig.full(&id, 2, "two").await;
    let follower = rig.following_all().await;
    rig.log.reads.hold();
    let control = follower.control(id.clone());
    let seeking = tokio::spawn({
        let control = control.clone();
        async move { control.seek(at(2), at(1)).await }
    });
    until("the seek is held", || rig.log.reads.waiting() == 1).await;
    let second = control.rebase(at(2)).await;
    assert_eq!(second, Err(ControlError::Refused(Refusal::Busy)));
    let skip = control.skip(at(2)).await;
    assert_eq!(skip, Err(ControlError::Refused(Refusal::NotQuarantined)));
    rig.log.reads.release();
    assert_eq!(seeking.await.unwrap(), Ok(at(1)));
}

#[tokio::test(start_paused = true)]
async fn commands_to_a_grain_that_is_not_followed_say_so() {
    let rig = Rig::new();
    let follower = rig.follower();
    let control = follower.control(grain("a"));
    assert_eq!(control.health(), None);
    assert_eq!(control.pause().await, Err(ControlError::NotFollowed));
    assert_eq!(control.poll_now().await, Err(ControlError::NotFollowed));
    assert_eq!(control.skip(at(1)).await, Err(ControlError::NotFollowed));
    drop(follower);
    settle().await;
    assert_eq!(control.resume().await, Err(ControlError::Ended));
}

#[tokio::test(start_paused = true)]
async fn a_command_that_waits_is_answered_when_its_grain_is_unfollowed() {
    let rig = Rig::new();
    let id = grain("a");
    rig.full(&id, 1, "one").await;
    let follower = rig.following_all().await;
    rig.log.catch_up.hold();
    rig.full(&id, 2, "two").await;
    until("a poll is held", || rig.log.catch_up.waiting() == 1).await;
    let control = follower.control(id.clone());
    let rebasing = tokio::spawn({
        let control = control.clone();
        async move { control.rebase(at(1)).await }
    });
    settle().await;
    let unfollowing = tokio::spawn({
        let (follower, id) = (follower.clone(), id.clone());
        async move { follower.unfollow(&id).await }
    });
    settle().await;
    rig.log.catch_up.release();
    unfollowing.await.unwrap().unwrap();
    assert_eq!(rebasing.await.unwrap(), Err(ControlError::NotFollowed));
    assert_eq!(text_in(&rig, &id).await, "one");
}
