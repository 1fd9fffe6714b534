//! Runs, the delta rule, and how a replica stands.

use gleaner_actor::{Action, Event, Health};
use gleaner_core::StopReason;

use super::{check, foreign_answer, other_history, row};
use crate::script::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn applies_and_the_delta_rule() {
    let whole = run(head(6, 1), 4);
    let cut = cut(head(6, 1), 4);
    let result = |result| Event::Applied(result);
    let rebased = |result| Event::Rebased(result);
    check(vec![
        row("applied", applying(), result(applied(6, 3, whole)), FOREVER)
            .confirms()
            .in_step(),
        row(
            "applied, still behind",
            applying(),
            result(applied(5, 2, cut)),
            catch_up(5),
        )
        .boots(),
        row(
            "a run that moves nothing",
            applying(),
            result(applied(3, 0, cut)),
            wait(100),
        )
        .boots(),
        row(
            "a whole run that leads nowhere",
            applying(),
            result(applied(5, 2, whole)),
            wait(100),
        )
        .boots(),
        row(
            "another apply led beyond",
            applying(),
            result(applied(7, 0, whole)),
            catch_up(7),
        )
        .boots(),
        row("apply failed", applying(), Event::ApplyFailed, wait(100)).boots(),
        row("in doubt", in_doubt(), Event::Timer, Action::Load).boots(),
        row(
            "poll now in doubt",
            in_doubt(),
            Event::PollNow,
            Action::Load,
        )
        .boots(),
        row(
            "loaded after doubt",
            then(in_doubt(), [Event::Timer]),
            loaded(6),
            catch_up(6),
        )
        .boots(),
        row(
            "moved",
            applying(),
            result(stopped(5, 0, 4, StopReason::Moved, whole)),
            Action::Load,
        )
        .boots(),
        row(
            "moved, and stands where it stood",
            applying(),
            result(stopped(3, 0, 4, StopReason::Moved, whole)),
            wait(100),
        )
        .boots(),
        row(
            "another log's",
            applying(),
            result(stopped(3, 0, 4, StopReason::ForeignLog, whole)),
            FOREVER,
        )
        .is(Health::Foreign),
        row(
            "gap",
            applying(),
            result(stopped(4, 1, 5, StopReason::Gap, whole)),
            Action::Reread,
        )
        .boots(),
        row(
            "fold failed",
            applying(),
            result(stopped(4, 1, 5, fold_failed(), whole)),
            Action::Reread,
        )
        .boots(),
        row(
            "no fold",
            applying(),
            result(stopped(4, 1, 5, StopReason::NoFold, whole)),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "schema",
            applying(),
            result(stopped(4, 1, 5, newer_schema(), whole)),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "too large",
            applying(),
            result(stopped(4, 1, 5, too_large(), whole)),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "no base",
            applying(),
            result(stopped(4, 1, 5, StopReason::NoBase, whole)),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "reread, base below",
            rereading(),
            Event::CaughtUp(run(head(6, 1), 1)),
            rebase(4),
        )
        .boots(),
        row(
            "reread, base at the cursor",
            rereading(),
            Event::CaughtUp(run(head(6, 4), 4)),
            rebase(4),
        )
        .boots(),
        row(
            "reread, base above",
            rereading(),
            Event::CaughtUp(run(head(6, 5), 5)),
            apply(),
        )
        .boots(),
        row(
            "reread, in step",
            rereading(),
            Event::CaughtUp(empty(Some(head(4, 1)))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "reread, tail lost",
            rereading(),
            Event::CaughtUp(run(head(3, 1), 1)),
            FOREVER,
        )
        .is(Health::Ahead),
        row(
            "reread, grain lost",
            rereading(),
            Event::CaughtUp(empty(None)),
            FOREVER,
        )
        .is(Health::Missing),
        row(
            "reread, nothing comes",
            rereading(),
            Event::CaughtUp(empty(Some(head(6, 1)))),
            wait(100),
        )
        .boots(),
        row("reread deferred", rereading(), Event::Deferred, wait(100)).boots(),
        row("reread failed", rereading(), Event::ReadFailed, wait(100)).boots(),
        row(
            "reread unreadable",
            rereading(),
            Event::Unreadable(at(1)),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "rebased",
            rebasing(),
            rebased(applied(6, 6, run(head(6, 1), 1))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "rebase fails too: second failure",
            rebasing(),
            rebased(stopped(4, 0, 5, fold_failed(), run(head(6, 1), 1))),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "rebase moved",
            rebasing(),
            rebased(stopped(5, 0, 1, StopReason::Moved, run(head(6, 1), 1))),
            Action::Load,
        )
        .boots(),
        row(
            "rebase moved, and stands where it stood",
            rebasing(),
            rebased(stopped(4, 0, 1, StopReason::Moved, run(head(6, 1), 1))),
            wait(100),
        )
        .boots(),
        row(
            "rebase of another log's",
            rebasing(),
            rebased(stopped(4, 0, 1, StopReason::ForeignLog, run(head(6, 1), 1))),
            FOREVER,
        )
        .is(Health::Foreign),
        row("rebase lost", rebasing(), Event::ApplyFailed, wait(100)).boots(),
        row(
            "reapplied",
            reapplying(),
            result(applied(6, 2, run(head(6, 5), 5))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "fold fails on the reread run: second failure",
            reapplying(),
            result(stopped(4, 0, 5, fold_failed(), run(head(6, 5), 5))),
            wait(100),
        )
        .is(Health::Quarantined),
        row(
            "gap in the reread run: second failure",
            reapplying(),
            result(stopped(5, 1, 6, StopReason::Gap, run(head(6, 5), 5))),
            wait(100),
        )
        .is(Health::Quarantined),
    ]);
}

#[test]
fn standing() {
    let poll = |answer| Event::CaughtUp(answer);
    check(vec![
        row("ahead", polling(7), poll(empty(Some(head(5, 1)))), FOREVER).is(Health::Ahead),
        row(
            "ahead, no feed",
            polling(7),
            poll(empty(Some(head(5, 1)))),
            wait(1000),
        )
        .unfed()
        .is(Health::Ahead),
        row(
            "diverged",
            polling(3),
            poll(empty(Some(other_history(head(3, 1))))),
            FOREVER,
        )
        .is(Health::Diverged),
        row("missing", polling(3), poll(empty(None)), FOREVER).is(Health::Missing),
        row(
            "foreign answer",
            polling(3),
            poll(foreign_answer()),
            FOREVER,
        )
        .is(Health::Foreign),
        row(
            "foreign replica at the very head",
            vec![
                Event::Start,
                Event::Loaded {
                    place: foreign(3),
                    listed: None,
                },
            ],
            poll(empty(Some(head(3, 1)))),
            FOREVER,
        )
        .is(Health::Foreign),
        row(
            "foreign replica and a higher base",
            vec![
                Event::Start,
                Event::Loaded {
                    place: foreign(3),
                    listed: None,
                },
            ],
            poll(run(head(9, 9), 9)),
            FOREVER,
        )
        .is(Health::Foreign),
        row(
            "ahead, and a name",
            ahead(),
            Event::Named(head(8, 8)),
            catch_up(7),
        )
        .is(Health::Ahead),
        row(
            "ahead, and a poll",
            then(ahead(), [Event::Timer]),
            poll(run(head(8, 8), 8)),
            apply(),
        )
        .is(Health::Ahead),
        row(
            "ahead, healed by a higher base",
            then(ahead(), [Event::Timer, poll(run(head(8, 8), 8))]),
            Event::Applied(applied(8, 1, run(head(8, 8), 8))),
            FOREVER,
        )
        .confirms()
        .in_step(),
    ]);
}
