//! Seek and rebase, by compare-and-set.

use gleaner_actor::{Action, Event, Health, Refusal, Reply};
use gleaner_core::StopReason;

use super::{check, foreign_answer, row};
use crate::script::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn seek_and_rebase() {
    let rebase_at = |sequence| Event::Rebase {
        expected: at(sequence),
    };
    let seek = Event::Seek {
        expected: at(3),
        to: at(2),
    };
    let done = Reply::Done(at(3));
    let whole = run(head(3, 1), 1);
    check(vec![
        row("rebase", resting(3), rebase_at(3), Action::Reread),
        row(
            "seek",
            resting(3),
            seek.clone(),
            Action::ReadUpTo { to: at(2) },
        ),
        row("rebase, moved", resting(3), rebase_at(2), Action::Nothing)
            .refused(Refusal::Moved { found: at(3) })
            .in_step(),
        row(
            "rebase while backing off",
            backing_off(),
            rebase_at(3),
            Action::Reread,
        )
        .boots(),
        row(
            "rebase of a quarantined grain",
            quarantined(),
            rebase_at(4),
            Action::Reread,
        )
        .is(Health::Quarantined),
        row(
            "rebase in doubt loads first",
            in_doubt(),
            rebase_at(6),
            Action::Load,
        )
        .boots(),
        row(
            "told in doubt, loaded",
            then(in_doubt(), [rebase_at(6)]),
            loaded(6),
            Action::Reread,
        )
        .boots(),
        row(
            "told in doubt, load fails",
            then(in_doubt(), [rebase_at(6)]),
            Event::LoadFailed,
            wait(200),
        )
        .reply(Reply::Failed)
        .boots(),
        row("busy", asked(), seek.clone(), Action::Nothing).refused(Refusal::Busy),
        row(
            "busy, rebasing",
            asked_rebasing(),
            seek.clone(),
            Action::Nothing,
        )
        .refused(Refusal::Busy),
        row(
            "busy, waiting",
            then(polling(3), [rebase_at(3)]),
            seek.clone(),
            Action::Nothing,
        )
        .refused(Refusal::Busy)
        .boots(),
        row(
            "told in flight waits",
            polling(3),
            rebase_at(3),
            Action::Nothing,
        )
        .boots(),
        row(
            "told in flight, then performed",
            then(polling(3), [rebase_at(3)]),
            Event::CaughtUp(empty(Some(head(3, 1)))),
            Action::Reread,
        )
        .confirms(),
        row(
            "told in flight, performed before the run is applied",
            then(polling(3), [rebase_at(3)]),
            Event::CaughtUp(run(head(6, 1), 4)),
            Action::Reread,
        )
        .boots(),
        row(
            "told in flight, moved meanwhile",
            then(applying(), [rebase_at(3)]),
            Event::Applied(applied(6, 3, run(head(6, 1), 4))),
            Action::Load,
        )
        .confirms()
        .refused(Refusal::Moved { found: at(6) }),
        row(
            "told in flight, the store fails",
            then(applying(), [rebase_at(3)]),
            Event::ApplyFailed,
            wait(100),
        )
        .reply(Reply::Failed)
        .boots(),
        row(
            "told in flight, the log fails",
            then(polling(3), [rebase_at(3)]),
            Event::ReadFailed,
            Action::Reread,
        )
        .boots(),
        row(
            "told in flight, deferred",
            then(polling(3), [rebase_at(3)]),
            Event::Deferred,
            Action::Reread,
        )
        .boots(),
        row(
            "told before the start",
            vec![],
            rebase_at(3),
            Action::Nothing,
        )
        .boots(),
        row(
            "told while loading",
            then(loading(), [rebase_at(3)]),
            loaded(3),
            Action::Reread,
        )
        .boots(),
        row("read for it", asked(), Event::CaughtUp(whole), rebase(3)),
        row(
            "nothing there",
            asked(),
            Event::CaughtUp(empty(None)),
            Action::Load,
        )
        .refused(Refusal::NothingThere),
        row(
            "foreign",
            asked(),
            Event::CaughtUp(foreign_answer()),
            Action::Load,
        )
        .refused(Refusal::Foreign),
        row("read fails", asked(), Event::ReadFailed, wait(100)).reply(Reply::Failed),
        row("read deferred", asked(), Event::Deferred, wait(100)).reply(Reply::Failed),
        row(
            "read cannot",
            asked(),
            Event::Unreadable(at(1)),
            Action::Load,
        )
        .refused(Refusal::NotApplicable { at: at(1) }),
        row(
            "done",
            asked_rebasing(),
            Event::Rebased(applied(3, 3, whole)),
            Action::Load,
        )
        .reply(done),
        row(
            "moved in the store",
            asked_rebasing(),
            Event::Rebased(stopped(4, 0, 1, StopReason::Moved, whole)),
            Action::Load,
        )
        .refused(Refusal::Moved { found: at(4) }),
        row(
            "foreign in the store",
            asked_rebasing(),
            Event::Rebased(stopped(3, 0, 1, StopReason::ForeignLog, whole)),
            Action::Load,
        )
        .refused(Refusal::Foreign),
        row(
            "cannot be applied",
            asked_rebasing(),
            Event::Rebased(stopped(3, 0, 2, fold_failed(), whole)),
            Action::Load,
        )
        .refused(Refusal::NotApplicable { at: at(2) }),
        row(
            "store fails",
            asked_rebasing(),
            Event::ApplyFailed,
            wait(100),
        )
        .reply(Reply::Failed),
        row("paused: loads first", paused(), rebase_at(3), Action::Load).is(Health::Paused),
        row(
            "paused: loaded",
            then(paused(), [rebase_at(3)]),
            loaded(3),
            Action::Reread,
        )
        .is(Health::Paused),
        row(
            "paused: moved",
            then(paused(), [rebase_at(3)]),
            loaded(4),
            FOREVER,
        )
        .refused(Refusal::Moved { found: at(4) })
        .is(Health::Paused),
        row(
            "paused: done, and paused again",
            then(paused(), [rebase_at(3), loaded(3), Event::CaughtUp(whole)]),
            Event::Rebased(applied(3, 3, whole)),
            FOREVER,
        )
        .reply(done)
        .is(Health::Paused),
        row(
            "heals a quarantine",
            then(
                quarantined(),
                [rebase_at(4), Event::CaughtUp(run(head(7, 7), 7))],
            ),
            Event::Rebased(applied(7, 1, run(head(7, 7), 7))),
            Action::Load,
        )
        .reply(Reply::Done(at(7)))
        .boots(),
        row(
            "stopping",
            then(polling(3), [Event::Stop]),
            rebase_at(3),
            Action::Nothing,
        )
        .refused(Refusal::Stopping)
        .boots(),
        row("stopped", ended(), rebase_at(3), Action::Nothing).refused(Refusal::Stopping),
    ]);
}
