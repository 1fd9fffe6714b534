//! Quarantine, its healing, and skip.

use gleaner_actor::{Action, Event, Health, Refusal, Reply};
use gleaner_core::StopReason;

use super::{check, row};
use crate::script::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn quarantine_and_skip() {
    let bad = Health::Quarantined;
    check(vec![
        row("timer", quarantined(), Event::Timer, catch_up(4)).is(bad),
        row("poll now", quarantined(), Event::PollNow, catch_up(4)).is(bad),
        row("doubted", quarantined(), Event::Doubted, Action::Load).is(bad),
        row(
            "named, base below",
            quarantined(),
            Event::Named(head(9, 1)),
            Action::Nothing,
        )
        .is(bad),
        row(
            "named, base is the bad entry",
            quarantined(),
            Event::Named(head(9, 5)),
            Action::Nothing,
        )
        .is(bad),
        row(
            "named, base above",
            quarantined(),
            Event::Named(head(6, 6)),
            catch_up(4),
        )
        .is(bad),
        row(
            "healed",
            then(
                quarantined(),
                [
                    Event::Named(head(6, 6)),
                    Event::CaughtUp(run(head(6, 6), 6)),
                ],
            ),
            Event::Applied(applied(6, 1, run(head(6, 6), 6))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "still bad: the backoff doubles",
            retrying(),
            Event::Applied(stopped(4, 0, 5, StopReason::NoFold, run(head(6, 1), 5))),
            wait(200),
        )
        .is(bad),
        row(
            "a base was named under the retry",
            then(retrying(), [Event::Named(head(7, 7))]),
            Event::Applied(stopped(4, 0, 5, StopReason::NoFold, run(head(6, 1), 5))),
            catch_up(4),
        )
        .is(bad),
        row(
            "no base, but names, under the retry",
            then(retrying(), [Event::Named(head(7, 1))]),
            Event::Applied(stopped(4, 0, 5, StopReason::NoFold, run(head(6, 1), 5))),
            wait(200),
        )
        .is(bad),
        row(
            "a name under the first try is worth one look",
            then(applying(), [Event::Named(head(7, 7))]),
            Event::Applied(stopped(4, 1, 5, StopReason::NoFold, run(head(6, 1), 4))),
            catch_up(4),
        )
        .is(bad),
        row(
            "doubted under the try: load",
            then(applying(), [Event::Doubted]),
            Event::Applied(stopped(4, 1, 5, StopReason::NoFold, run(head(6, 1), 4))),
            Action::Load,
        )
        .is(bad),
        row(
            "skip",
            quarantined(),
            Event::Skip { expected: at(5) },
            catch_up(4),
        )
        .reply(Reply::Done(at(4)))
        .is(bad),
        row(
            "skip another",
            quarantined(),
            Event::Skip { expected: at(6) },
            Action::Nothing,
        )
        .refused(Refusal::Moved { found: at(5) })
        .is(bad),
        row(
            "skip, and none is bad",
            resting(3),
            Event::Skip { expected: at(3) },
            Action::Nothing,
        )
        .refused(Refusal::NotQuarantined)
        .in_step(),
        row(
            "skip, but ended",
            then(quarantined(), [Event::Stop]),
            Event::Skip { expected: at(5) },
            Action::Nothing,
        )
        .refused(Refusal::Stopping)
        .is(bad),
        row(
            "skip under the retry",
            retrying(),
            Event::Skip { expected: at(5) },
            Action::Nothing,
        )
        .reply(Reply::Done(at(4)))
        .is(bad),
        row(
            "skipped, no base: waits an interval",
            then(quarantined(), [Event::Skip { expected: at(5) }]),
            Event::CaughtUp(run(head(6, 1), 5)),
            wait(1000),
        )
        .is(bad),
        row(
            "skipped, base is the bad entry: waits",
            then(skipped(), [Event::Timer]),
            Event::CaughtUp(run(head(6, 5), 5)),
            wait(1000),
        )
        .is(bad),
        row(
            "skipped, and names under the look: waits",
            then(skipped(), [Event::Timer, Event::Named(head(7, 1))]),
            Event::CaughtUp(run(head(6, 1), 5)),
            wait(1000),
        )
        .is(bad),
        row(
            "skipped, a base is named",
            skipped(),
            Event::Named(head(7, 7)),
            catch_up(4),
        )
        .is(bad),
        row(
            "skipped, a base",
            then(skipped(), [Event::Timer]),
            Event::CaughtUp(run(head(7, 7), 7)),
            apply(),
        )
        .is(bad),
        row(
            "skipped, then live at the base",
            then(
                skipped(),
                [Event::Timer, Event::CaughtUp(run(head(7, 7), 7))],
            ),
            Event::Applied(applied(7, 1, run(head(7, 7), 7))),
            FOREVER,
        )
        .confirms()
        .in_step(),
        row(
            "the next bad entry is not given up with the first",
            then(
                skipped(),
                [
                    Event::Timer,
                    Event::CaughtUp(run(head(8, 7), 7)),
                    Event::Applied(stopped(7, 1, 8, StopReason::NoFold, run(head(8, 7), 7))),
                    Event::Timer,
                ],
            ),
            Event::CaughtUp(run(head(8, 7), 8)),
            apply(),
        )
        .is(bad),
    ]);
}
