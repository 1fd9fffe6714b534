//! A row per arrow of the actor; and that all other pairs of state and answer change nothing.

mod applying;
mod bad_entries;
mod commands;
mod ending;
mod following;
mod pushes;

use gleaner_actor::{Action, Answer, Event, Health, Refusal, Reply, Step};
use gleaner_core::{Digest, Head};

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
        ("apply", applying_push()),
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
        Event::Pushed(pushed_base(9, 9)),
        Event::Doubted,
        Event::PollNow,
        Event::Pause,
        Event::Resume,
    ] {
        let (mut actor, _) = after(true, &ended());
        assert_eq!(actor.on(NOW, &event).action, Action::Nothing, "{event:?}");
    }
}
