//! Start, load, poll, and what makes an actor look again.

use gleaner_actor::{Action, Event, Health};

use super::{check, other_history, row};
use crate::script::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn start_and_load() {
    check(vec![
        row("start", vec![], Event::Start, Action::Load).boots(),
        row("loaded", loading(), loaded(3), catch_up(3)).boots(),
        row(
            "listed head equal spares the poll",
            loading(),
            listed(3, head(3, 1)),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "listed head equal, no feed",
            loading(),
            listed(3, head(3, 1)),
            wait(1000),
        )
        .unfed()
        .confirms()
        .in_step(),
        row(
            "listed head newer",
            loading(),
            listed(3, head(4, 1)),
            catch_up(3),
        )
        .boots(),
        row(
            "listed head older",
            loading(),
            listed(3, head(2, 1)),
            catch_up(3),
        )
        .boots(),
        row(
            "listed head of another history",
            loading(),
            listed(3, other_history(head(3, 1))),
            catch_up(3),
        )
        .boots(),
        row(
            "listed head equal, but another log's replica",
            loading(),
            Event::Loaded {
                place: foreign(3),
                listed: Some(head(3, 1)),
            },
            catch_up(3),
        )
        .boots(),
        row(
            "listed head equal, but named since",
            then(loading(), [Event::Named(head(4, 1))]),
            listed(3, head(3, 1)),
            catch_up(3),
        )
        .confirms(),
        row(
            "listed head equal, but named before the load was tried again",
            then(
                loading(),
                [Event::Named(head(4, 1)), Event::LoadFailed, Event::Timer],
            ),
            listed(3, head(3, 1)),
            catch_up(3),
        )
        .confirms(),
        row(
            "listed head equal, but named while backing off",
            then(
                loading(),
                [Event::LoadFailed, Event::Named(head(4, 1)), Event::Timer],
            ),
            listed(3, head(3, 1)),
            catch_up(3),
        )
        .confirms(),
        row(
            "listed head equal, but named before the start",
            vec![Event::Named(head(4, 1)), Event::Start],
            listed(3, head(3, 1)),
            catch_up(3),
        )
        .confirms(),
        row("load failed", loading(), Event::LoadFailed, wait(100)).boots(),
        row(
            "load again",
            then(loading(), [Event::LoadFailed]),
            Event::Timer,
            Action::Load,
        )
        .boots(),
        row(
            "told before the start",
            vec![Event::Pause],
            Event::Start,
            Action::Load,
        )
        .is(Health::Paused),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn polls_and_their_answers() {
    let poll = |answer| Event::CaughtUp(answer);
    check(vec![
        row(
            "in step",
            polling(3),
            poll(empty(Some(head(3, 1)))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "in step, no feed",
            polling(3),
            poll(empty(Some(head(3, 1)))),
            wait(1000),
        )
        .unfed()
        .confirms()
        .in_step(),
        row(
            "nothing here, nothing there",
            polling(0),
            poll(empty(None)),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row("behind", polling(3), poll(run(head(6, 1), 4)), apply()).boots(),
        row(
            "behind and cut",
            polling(3),
            poll(cut(head(6, 1), 4)),
            apply(),
        )
        .boots(),
        row(
            "behind, and nothing comes",
            polling(3),
            poll(empty(Some(head(6, 1)))),
            wait(100),
        )
        .boots(),
        row("deferred", polling(3), Event::Deferred, catch_up(3)).boots(),
        row("read failed", polling(3), Event::ReadFailed, wait(100)).boots(),
        row(
            "unreadable",
            polling(3),
            Event::Unreadable(at(4)),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "timer after a failed read",
            backing_off(),
            Event::Timer,
            catch_up(3),
        )
        .boots(),
        row(
            "poll now after a failed read",
            backing_off(),
            Event::PollNow,
            catch_up(3),
        )
        .boots(),
        row(
            "poll now after a failed load",
            then(loading(), [Event::LoadFailed]),
            Event::PollNow,
            Action::Load,
        )
        .boots(),
        row(
            "doubted after a failed read",
            then(backing_off(), [Event::Doubted]),
            Event::Timer,
            Action::Load,
        )
        .boots(),
        row(
            "named while backing off",
            backing_off(),
            Event::Named(head(9, 9)),
            Action::Nothing,
        )
        .boots(),
        row("timer at rest", resting(3), Event::Timer, catch_up(3)),
        row("poll now at rest", resting(3), Event::PollNow, catch_up(3)),
        row("doubted at rest", resting(3), Event::Doubted, Action::Load),
        row(
            "named at rest",
            resting(3),
            Event::Named(head(4, 1)),
            catch_up(3),
        ),
        row(
            "named with an older head",
            resting(3),
            Event::Named(head(2, 1)),
            catch_up(3),
        ),
        row(
            "named as known",
            resting(3),
            Event::Named(head(3, 1)),
            Action::Nothing,
        )
        .in_step(),
        row(
            "named with another history",
            resting(3),
            Event::Named(other_history(head(3, 1))),
            catch_up(3),
        ),
        row(
            "named as known, but not live",
            ahead(),
            Event::Named(head(7, 1)),
            catch_up(7),
        )
        .is(Health::Ahead),
        row(
            "named while polling: again",
            then(polling(3), [Event::Named(head(4, 1))]),
            poll(empty(Some(head(3, 1)))),
            catch_up(3),
        )
        .confirms(),
        row(
            "poll now while polling: again",
            then(polling(3), [Event::PollNow]),
            poll(empty(Some(head(3, 1)))),
            catch_up(3),
        )
        .confirms(),
        row(
            "doubted while polling: load",
            then(polling(3), [Event::Doubted]),
            poll(empty(Some(head(3, 1)))),
            Action::Load,
        )
        .confirms(),
        row(
            "doubted while the read fails: load",
            then(polling(3), [Event::Doubted, Event::ReadFailed]),
            Event::Timer,
            Action::Load,
        )
        .boots(),
        row(
            "again only once",
            then(polling(3), [Event::PollNow, poll(empty(Some(head(3, 1))))]),
            poll(empty(Some(head(3, 1)))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "timer while polling",
            polling(3),
            Event::Timer,
            Action::Nothing,
        )
        .boots(),
    ]);
}
