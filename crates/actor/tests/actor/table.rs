//! A row per arrow of the actor; and that all other pairs of state and answer change nothing.

use gleaner_actor::{Action, Answer, Event, Health, Refusal, Reply, Step};
use gleaner_core::{Digest, Head, StopReason};

use crate::script::*;

struct Row {
    name: &'static str,
    fed: bool,
    script: Vec<Event>,
    event: Event,
    step: Step,
    health: Health,
    in_step: bool,
}

fn row(name: &'static str, script: Vec<Event>, event: Event, action: Action) -> Row {
    Row {
        name,
        fed: true,
        script,
        event,
        step: Step {
            action,
            confirms: false,
            reply: None,
        },
        health: Health::Live,
        in_step: false,
    }
}

impl Row {
    fn unfed(mut self) -> Self {
        self.fed = false;
        self
    }
    fn confirms(mut self) -> Self {
        self.step.confirms = true;
        self
    }
    fn reply(mut self, reply: Reply) -> Self {
        self.step.reply = Some(reply);
        self
    }
    fn refused(self, refusal: Refusal) -> Self {
        self.reply(Reply::Refused(refusal))
    }
    fn is(mut self, health: Health) -> Self {
        self.health = health;
        self
    }
    fn boots(self) -> Self {
        self.is(Health::Bootstrapping)
    }
    fn in_step(mut self) -> Self {
        self.in_step = true;
        self
    }
}

fn check(rows: Vec<Row>) {
    for row in rows {
        let name = row.name;
        let (mut actor, _) = after(row.fed, &row.script);
        assert_eq!(actor.on(NOW, &row.event), row.step, "{name}: step");
        assert_eq!(actor.health(), row.health, "{name}: health");
        assert_eq!(actor.is_in_step(), row.in_step, "{name}: in step");
        let flies = !matches!(
            row.step.action,
            Action::Wait { .. } | Action::Stopped | Action::Nothing
        );
        if row.step.action != Action::Nothing {
            assert_eq!(actor.is_busy(), flies, "{name}: busy");
        }
    }
}

fn other_history(mut head: Head) -> Head {
    head.digest = Digest::new(77);
    head
}

fn foreign_answer() -> Answer {
    Answer {
        foreign: true,
        ..run(head(3, 1), 1)
    }
}

#[test]
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

#[test]
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

#[test]
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

#[test]
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

/// The answers that each situation waits for; any other changes nothing.
#[test]
fn an_answer_to_what_is_not_in_flight_changes_nothing() {
    let whole = run(head(9, 9), 9);
    let answers = [
        ("start", Event::Start),
        ("load", listed(9, head(9, 9))),
        ("load", Event::LoadFailed),
        ("read", Event::CaughtUp(whole)),
        ("read", Event::Deferred),
        ("read", Event::ReadFailed),
        ("read", Event::Unreadable(at(9))),
        ("apply", Event::Applied(applied(9, 1, whole))),
        ("rebase", Event::Rebased(applied(9, 1, whole))),
        ("apply or rebase", Event::ApplyFailed),
    ];
    let situations = [
        ("start", vec![]),
        ("load", loading()),
        ("read", polling(3)),
        ("apply", applying()),
        ("apply", reapplying()),
        ("apply", retrying()),
        ("read", rereading()),
        ("rebase", rebasing()),
        ("read", asked()),
        ("rebase", asked_rebasing()),
        ("", resting(3)),
        ("", quarantined()),
        ("", skipped()),
        ("", backing_off()),
        ("", in_doubt()),
        ("", paused()),
        ("", ended()),
        ("", ahead()),
    ];
    let mut checked = 0;
    for (waits_for, script) in situations {
        for (answers, event) in &answers {
            if !waits_for.is_empty() && answers.contains(waits_for) {
                continue;
            }
            let (mut actor, _) = after(true, &script);
            let before = format!("{actor:?}");
            let step = actor.on(NOW, event);
            let nothing = Step {
                action: Action::Nothing,
                confirms: false,
                reply: None,
            };
            assert_eq!(step, nothing, "{event:?} after {script:?}");
            assert_eq!(format!("{actor:?}"), before, "{event:?} after {script:?}");
            checked += 1;
        }
    }
    assert!(checked > 140, "{checked}");
}

/// Timers and names that come when nothing waits for them.
#[test]
fn an_ended_actor_wants_nothing() {
    for event in [
        Event::Timer,
        Event::Named(head(9, 9)),
        Event::Doubted,
        Event::PollNow,
        Event::Pause,
        Event::Resume,
    ] {
        let (mut actor, _) = after(true, &ended());
        assert_eq!(actor.on(NOW, &event).action, Action::Nothing, "{event:?}");
    }
}
