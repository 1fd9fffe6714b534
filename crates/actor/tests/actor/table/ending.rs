//! Pause, resume and stop (T1).

use gleaner_actor::{Action, Event, Health, Refusal, Reply};
use gleaner_core::StopReason;

use super::{check, row};
use crate::script::*;

#[test]
fn pause_and_resume() {
    check(vec![
        row("pause at rest", resting(3), Event::Pause, FOREVER).is(Health::Paused),
        row("pause backing off", backing_off(), Event::Pause, FOREVER).is(Health::Paused),
        row("pause quarantined", quarantined(), Event::Pause, FOREVER).is(Health::Paused),
        row("pause in flight", polling(3), Event::Pause, Action::Nothing).is(Health::Paused),
        row(
            "pause in flight, answered",
            then(polling(3), [Event::Pause]),
            Event::CaughtUp(empty(Some(head(3, 1)))),
            FOREVER,
        )
        .confirms()
        .is(Health::Paused),
        row(
            "pause in flight, behind: no further operation",
            then(polling(3), [Event::Pause]),
            Event::CaughtUp(run(head(6, 1), 4)),
            FOREVER,
        )
        .is(Health::Paused),
        row(
            "pause in flight, failed",
            then(polling(3), [Event::Pause]),
            Event::ReadFailed,
            FOREVER,
        )
        .is(Health::Paused),
        row(
            "pause under an apply that is not the last",
            then(applying(), [Event::Pause]),
            Event::Applied(applied(5, 2, cut(head(6, 1), 4))),
            FOREVER,
        )
        .is(Health::Paused),
        row(
            "pause under a misfit",
            then(rereading(), [Event::Pause]),
            Event::CaughtUp(run(head(6, 1), 1)),
            FOREVER,
        )
        .is(Health::Paused),
        row(
            "a command goes on under a pause",
            then(asked(), [Event::Pause]),
            Event::CaughtUp(run(head(3, 1), 1)),
            rebase(3),
        )
        .is(Health::Paused),
        row(
            "pause and resume in flight",
            then(polling(3), [Event::Pause, Event::Resume]),
            Event::CaughtUp(run(head(6, 1), 4)),
            apply(),
        )
        .boots(),
        row("resume", paused(), Event::Resume, Action::Load),
        row(
            "resume, not paused",
            resting(3),
            Event::Resume,
            Action::Nothing,
        )
        .in_step(),
        row(
            "timer while paused",
            paused(),
            Event::Timer,
            Action::Nothing,
        )
        .is(Health::Paused),
        row(
            "poll now while paused",
            paused(),
            Event::PollNow,
            Action::Nothing,
        )
        .is(Health::Paused),
        row(
            "named while paused",
            paused(),
            Event::Named(head(9, 9)),
            Action::Nothing,
        )
        .is(Health::Paused),
        row(
            "doubted while paused",
            paused(),
            Event::Doubted,
            Action::Nothing,
        )
        .is(Health::Paused),
    ]);
}

#[test]
fn stop_waits_for_the_operation_in_flight() {
    let stops = |script: Vec<Event>| then(script, [Event::Stop]);
    let gap = stopped(4, 1, 5, StopReason::Gap, run(head(6, 1), 4));
    for (name, script) in [
        ("new", vec![]),
        ("resting", resting(3)),
        ("backing off", backing_off()),
        ("in doubt", in_doubt()),
        ("quarantined", quarantined()),
        ("paused", paused()),
        ("ended", ended()),
    ] {
        let (mut actor, _) = after(true, &script);
        assert_eq!(
            actor.on(NOW, &Event::Stop).action,
            Action::Stopped,
            "{name}"
        );
        assert!(!actor.is_in_step(), "{name}");
    }
    let whole = run(head(6, 1), 4);
    for (name, script, answer) in [
        ("loading", loading(), loaded(3)),
        ("load fails", loading(), Event::LoadFailed),
        ("polling, behind", polling(3), Event::CaughtUp(whole)),
        (
            "polling, in step",
            polling(3),
            Event::CaughtUp(empty(Some(head(3, 1)))),
        ),
        (
            "polling, nothing comes",
            polling(3),
            Event::CaughtUp(empty(Some(head(6, 1)))),
        ),
        ("deferred", polling(3), Event::Deferred),
        ("read fails", polling(3), Event::ReadFailed),
        ("unreadable", polling(3), Event::Unreadable(at(4))),
        ("applying", applying(), Event::Applied(applied(6, 3, whole))),
        (
            "applying, behind",
            applying(),
            Event::Applied(applied(5, 2, cut(head(6, 1), 4))),
        ),
        ("applying, gap", applying(), Event::Applied(gap)),
        ("apply fails", applying(), Event::ApplyFailed),
        (
            "rereading",
            rereading(),
            Event::CaughtUp(run(head(6, 1), 1)),
        ),
        (
            "rebasing",
            rebasing(),
            Event::Rebased(applied(6, 6, run(head(6, 1), 1))),
        ),
        ("asked", asked(), Event::CaughtUp(run(head(3, 1), 1))),
        (
            "asked, rebasing",
            asked_rebasing(),
            Event::Rebased(applied(3, 3, run(head(3, 1), 1))),
        ),
    ] {
        let (mut actor, last) = after(true, &stops(script));
        assert_eq!(last.unwrap().action, Action::Nothing, "{name}: waits");
        assert_eq!(
            actor.on(NOW, &answer).action,
            Action::Stopped,
            "{name}: ends"
        );
    }
    // A command that never began, one that was cut off, and one that was done.
    let (mut actor, _) = after(
        true,
        &then(polling(3), [Event::Rebase { expected: at(3) }, Event::Stop]),
    );
    let step = actor.on(NOW, &Event::ReadFailed);
    assert_eq!(step.reply, Some(Reply::Refused(Refusal::Stopping)));
    let (mut actor, _) = after(true, &stops(asked()));
    let step = actor.on(NOW, &Event::CaughtUp(run(head(3, 1), 1)));
    assert_eq!(step.reply, Some(Reply::Refused(Refusal::Stopping)));
    let (mut actor, _) = after(true, &stops(asked_rebasing()));
    let step = actor.on(NOW, &Event::Rebased(applied(3, 3, run(head(3, 1), 1))));
    assert_eq!(step.reply, Some(Reply::Done(at(3))));
    // A command told before the start ends with it.
    let (mut actor, _) = after(true, &[Event::Rebase { expected: at(0) }]);
    let step = actor.on(NOW, &Event::Stop);
    assert_eq!(
        (step.action, step.reply),
        (Action::Stopped, Some(Reply::Refused(Refusal::Stopping)))
    );
}
