//! Entries that come unasked (F5).

use gleaner_actor::{Action, Event, Health, Push};
use gleaner_core::{Cursor, Digest, StopReason};

use super::{check, other_history, row};
use crate::script::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn what_fits_is_applied_and_what_does_not_is_looked_up() {
    let push = |push| Event::Pushed(push);
    let of_epoch_2 = Push {
        first: Cursor::new(2, 4),
        last: Cursor::new(2, 4),
        ..pushed(4, 4)
    };
    let of_another_history = Push {
        prev: Some(Digest::new(77)),
        ..pushed(4, 4)
    };
    let foreign = |push| Push {
        foreign: true,
        ..push
    };
    check(vec![
        row("the next delta", resting(3), push(pushed(4, 4)), apply()),
        row("several", resting(3), push(pushed(4, 6)), apply()),
        row("a base above", resting(3), push(pushed_base(9, 9)), apply()),
        row("unfed", resting(3), push(pushed(4, 4)), apply()).unfed(),
        row(
            "the first entry of a grain",
            then(polling(0), [Event::CaughtUp(empty(None))]),
            push(pushed_base(1, 1)),
            apply(),
        ),
        row(
            "a delta across a gap",
            resting(3),
            push(pushed(5, 5)),
            catch_up(3),
        ),
        row(
            "a delta of another epoch",
            resting(3),
            push(of_epoch_2),
            catch_up(3),
        ),
        row(
            "a delta of another history",
            resting(3),
            push(of_another_history),
            catch_up(3),
        ),
        row(
            "a base at the cursor, and more",
            resting(3),
            push(pushed_base(3, 4)),
            catch_up(3),
        ),
        row(
            "of another log",
            resting(3),
            push(foreign(pushed(4, 4))),
            catch_up(3),
        ),
        row(
            "late, or once more",
            resting(3),
            push(pushed(3, 3)),
            Action::Nothing,
        )
        .in_step(),
        row(
            "late, of another log",
            resting(3),
            push(foreign(pushed_base(2, 2))),
            Action::Nothing,
        )
        .in_step(),
        row("ahead", ahead(), push(pushed(8, 8)), catch_up(7)).is(Health::Ahead),
        row(
            "quarantined, and it follows",
            quarantined(),
            push(pushed(5, 5)),
            Action::Nothing,
        )
        .is(Health::Quarantined),
        row(
            "quarantined, and it is the bad entry",
            quarantined(),
            push(pushed_base(5, 5)),
            Action::Nothing,
        )
        .is(Health::Quarantined),
        row(
            "quarantined, and a base above",
            quarantined(),
            push(pushed_base(6, 6)),
            catch_up(4),
        )
        .is(Health::Quarantined),
        row(
            "a base above, under the retry",
            then(retrying(), [push(pushed_base(6, 6))]),
            Event::Applied(stopped(4, 0, 5, StopReason::NoFold, run(head(6, 1), 5))),
            catch_up(4),
        )
        .is(Health::Quarantined),
        row(
            "under the first try of what turns out to be bad",
            then(applying(), [push(pushed_base(7, 7))]),
            Event::Applied(stopped(4, 1, 5, StopReason::NoFold, run(head(6, 1), 4))),
            catch_up(4),
        )
        .is(Health::Quarantined),
        row("paused", paused(), push(pushed(4, 4)), Action::Nothing).is(Health::Paused),
        row("ended", ended(), push(pushed(4, 4)), Action::Nothing),
        row(
            "in doubt, at rest",
            then(
                in_doubt(),
                [
                    Event::Timer,
                    loaded(3),
                    Event::CaughtUp(empty(Some(head(3, 1)))),
                ],
            ),
            push(pushed(4, 4)),
            catch_up(3),
        ),
        row(
            "under a poll that does not bring it",
            then(polling(3), [push(pushed(4, 4))]),
            Event::CaughtUp(empty(Some(head(3, 1)))),
            catch_up(3),
        )
        .confirms(),
        row(
            "under a poll that brings it",
            then(
                polling(3),
                [push(pushed(4, 4)), Event::CaughtUp(run(head(4, 1), 4))],
            ),
            Event::Applied(applied(4, 1, run(head(4, 1), 4))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "under a load that a listing spares the poll",
            then(loading(), [push(pushed(4, 4))]),
            listed(3, head(3, 1)),
            catch_up(3),
        )
        .confirms(),
    ]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn a_pushed_run_neither_confirms_nor_quarantines() {
    let push = pushed(4, 4);
    let done = || Event::Applied(push_applied(4, 1, push));
    let stopped = |why| Event::Applied(push_stopped(3, 4, why, push));
    check(vec![
        row("applied", applying_push(), done(), Action::Nothing).in_step(),
        row(
            "applied, no feed: the timer that is set stays set",
            applying_push(),
            done(),
            Action::Nothing,
        )
        .unfed()
        .in_step(),
        row(
            "the timer came meanwhile",
            then(applying_push(), [Event::Timer]),
            done(),
            catch_up(4),
        )
        .unfed(),
        row(
            "named meanwhile as it is now",
            then(applying_push(), [Event::Named(head(4, 1))]),
            done(),
            Action::Nothing,
        )
        .in_step(),
        row(
            "named so twice",
            then(
                applying_push(),
                [Event::Named(head(4, 1)), Event::Named(head(4, 1))],
            ),
            done(),
            Action::Nothing,
        )
        .in_step(),
        row(
            "named meanwhile further on",
            then(applying_push(), [Event::Named(head(5, 1))]),
            done(),
            catch_up(4),
        ),
        row(
            "named meanwhile as it was",
            then(applying_push(), [Event::Named(head(3, 1))]),
            done(),
            catch_up(4),
        ),
        row(
            "named meanwhile with another history",
            then(applying_push(), [Event::Named(other_history(head(4, 1)))]),
            done(),
            catch_up(4),
        ),
        row(
            "named as it is now, and otherwise",
            then(
                applying_push(),
                [Event::Named(head(4, 1)), Event::Named(head(5, 1))],
            ),
            done(),
            catch_up(4),
        ),
        row(
            "sent once more meanwhile",
            then(applying_push(), [Event::Pushed(push)]),
            done(),
            Action::Nothing,
        )
        .in_step(),
        row(
            "the next was sent meanwhile",
            then(applying_push(), [Event::Pushed(pushed(5, 5))]),
            done(),
            catch_up(4),
        ),
        row(
            "doubted meanwhile",
            then(applying_push(), [Event::Doubted]),
            done(),
            Action::Load,
        ),
        row(
            "told to look meanwhile",
            then(applying_push(), [Event::PollNow]),
            done(),
            catch_up(4),
        ),
        row(
            "paused meanwhile",
            then(applying_push(), [Event::Pause]),
            done(),
            FOREVER,
        )
        .is(Health::Paused),
        row(
            "stopped meanwhile",
            then(applying_push(), [Event::Stop]),
            done(),
            Action::Stopped,
        ),
        row(
            "it led elsewhere",
            applying_push(),
            Event::Applied(push_applied(5, 1, push)),
            catch_up(5),
        ),
        row(
            "gap",
            applying_push(),
            stopped(StopReason::Gap),
            catch_up(3),
        ),
        row("fold", applying_push(), stopped(fold_failed()), catch_up(3)),
        row(
            "no fold",
            applying_push(),
            stopped(StopReason::NoFold),
            catch_up(3),
        ),
        row(
            "schema",
            applying_push(),
            stopped(newer_schema()),
            catch_up(3),
        ),
        row(
            "too large",
            applying_push(),
            stopped(too_large()),
            catch_up(3),
        ),
        row(
            "no base",
            applying_push(),
            stopped(StopReason::NoBase),
            catch_up(3),
        ),
        row(
            "another log's",
            applying_push(),
            stopped(StopReason::ForeignLog),
            catch_up(3),
        ),
        row(
            "moved",
            applying_push(),
            Event::Applied(push_stopped(5, 4, StopReason::Moved, push)),
            Action::Load,
        ),
        row(
            "moved, and stands where it stood",
            applying_push(),
            stopped(StopReason::Moved),
            wait(100),
        ),
        row(
            "apply failed",
            applying_push(),
            Event::ApplyFailed,
            wait(100),
        ),
        row(
            "in doubt",
            then(applying_push(), [Event::ApplyFailed]),
            Event::Timer,
            Action::Load,
        ),
    ]);
}
