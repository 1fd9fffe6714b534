//! The words that scripts of events are written in, and the situations that they lead to.

use std::sync::Arc;
use std::time::Duration;

use gleaner_actor::{
    Action, Answer, Applied, Event, GrainActor, Jitter, Moment, Origin, Place, Policy, Push, Step,
};
use gleaner_core::{
    Cursor, Digest, Expected, FoldError, Generation, Head, Kind, Schema, StopReason,
};

/// When every event of a script happens.
pub(crate) const NOW: Moment = Moment::from_nanos(10_000_000_000);

/// Exact waits: 1 s between polls, backoff from 100 ms to 30 s.
pub(crate) fn exact() -> Arc<Policy> {
    Arc::new(Policy::default().with_jitter(0.0))
}

/// A cursor of epoch 1.
pub(crate) fn at(sequence: u64) -> Cursor {
    if sequence == 0 {
        Cursor::ZERO
    } else {
        Cursor::new(1, sequence)
    }
}

pub(crate) fn digest(cursor: Cursor) -> Digest {
    Digest::new(cursor.epoch.get() * 1000 + cursor.sequence.get())
}

/// A head of epoch 1 with its base.
pub(crate) fn head(sequence: u64, base: u64) -> Head {
    Head {
        cursor: at(sequence),
        digest: digest(at(sequence)),
        kind: if sequence == base {
            Kind::FullState
        } else {
            Kind::Delta
        },
        base: at(base),
    }
}

pub(crate) fn place(sequence: u64) -> Place {
    Place {
        cursor: at(sequence),
        digest: if sequence == 0 {
            Digest::ZERO
        } else {
            digest(at(sequence))
        },
        generation: Generation::default(),
        foreign: false,
    }
}

pub(crate) fn foreign(sequence: u64) -> Place {
    Place {
        foreign: true,
        ..place(sequence)
    }
}

pub(crate) fn loaded(sequence: u64) -> Event {
    Event::Loaded {
        place: place(sequence),
        listed: None,
    }
}

pub(crate) fn listed(sequence: u64, head: Head) -> Event {
    Event::Loaded {
        place: place(sequence),
        listed: Some(head),
    }
}

/// The run from `first` reaches the head.
pub(crate) fn run(head: Head, first: u64) -> Answer {
    Answer {
        head: Some(head),
        first: Some(at(first)),
        complete: true,
        foreign: false,
    }
}

/// The run from `first` does not reach the head.
pub(crate) fn cut(head: Head, first: u64) -> Answer {
    Answer {
        complete: false,
        ..run(head, first)
    }
}

/// There is nothing to apply.
pub(crate) fn empty(head: Option<Head>) -> Answer {
    Answer {
        head,
        first: None,
        complete: true,
        foreign: false,
    }
}

pub(crate) fn applied(sequence: u64, applied: usize, answer: Answer) -> Applied {
    Applied {
        place: place(sequence),
        applied,
        stop: None,
        origin: Origin::Answer(answer),
    }
}

pub(crate) fn stopped(
    sequence: u64,
    applied: usize,
    bad: u64,
    why: StopReason,
    answer: Answer,
) -> Applied {
    Applied {
        place: place(sequence),
        applied,
        stop: Some((at(bad), why)),
        origin: Origin::Answer(answer),
    }
}

/// A base comes unasked, and what follows it up to `last`.
pub(crate) fn pushed_base(first: u64, last: u64) -> Push {
    Push {
        first: at(first),
        prev: None,
        last: at(last),
        foreign: false,
    }
}

/// Deltas come unasked.
pub(crate) fn pushed(first: u64, last: u64) -> Push {
    Push {
        prev: Some(digest(at(first - 1))),
        ..pushed_base(first, last)
    }
}

/// A pushed run was given to the store.
pub(crate) fn push_applied(sequence: u64, count: usize, push: Push) -> Applied {
    Applied {
        origin: Origin::Push(push),
        ..applied(sequence, count, empty(None))
    }
}

/// A pushed run was given to the store, and stopped.
pub(crate) fn push_stopped(sequence: u64, bad: u64, why: StopReason, push: Push) -> Applied {
    Applied {
        origin: Origin::Push(push),
        ..stopped(sequence, 0, bad, why, empty(None))
    }
}

pub(crate) fn fold_failed() -> StopReason {
    StopReason::Fold(FoldError::new("no"))
}

pub(crate) fn newer_schema() -> StopReason {
    StopReason::Schema {
        schema: Schema::new(2),
        newest: Schema::new(1),
    }
}

pub(crate) fn too_large() -> StopReason {
    StopReason::TooLarge { size: 2, limit: 1 }
}

pub(crate) fn catch_up(sequence: u64) -> Action {
    Action::CatchUp { from: at(sequence) }
}

pub(crate) fn apply() -> Action {
    Action::Apply {
        generation: Generation::default(),
    }
}

pub(crate) fn rebase(sequence: u64) -> Action {
    Action::Rebase {
        expected: Expected {
            cursor: at(sequence),
            generation: Generation::default(),
        },
    }
}

pub(crate) fn wait(millis: u64) -> Action {
    Action::Wait {
        until: Some(NOW.plus(Duration::from_millis(millis))),
    }
}

pub(crate) const FOREVER: Action = Action::Wait { until: None };

/// An actor after a script.
pub(crate) fn after(fed: bool, script: &[Event]) -> (GrainActor, Option<Step>) {
    let mut actor = GrainActor::new(exact(), Jitter::new(1), fed);
    let mut last = None;
    for event in script {
        last = Some(actor.on(NOW, event));
    }
    (actor, last)
}

fn with(mut script: Vec<Event>, events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    script.extend(events);
    script
}

/// `script`, then `events`.
pub(crate) fn then<const N: usize>(script: Vec<Event>, events: [Event; N]) -> Vec<Event> {
    with(script, events)
}

// Situations, each named after the state that it ends in.

pub(crate) fn loading() -> Vec<Event> {
    vec![Event::Start]
}

pub(crate) fn polling(sequence: u64) -> Vec<Event> {
    then(loading(), [loaded(sequence)])
}

/// In step at a head whose base is entry 1.
pub(crate) fn resting(sequence: u64) -> Vec<Event> {
    then(
        polling(sequence),
        [Event::CaughtUp(empty(Some(head(sequence, 1))))],
    )
}

/// At 3, given 4 to 6; the base is 1.
pub(crate) fn applying() -> Vec<Event> {
    then(polling(3), [Event::CaughtUp(run(head(6, 1), 4))])
}

/// In step at 3, and 4 came unasked.
pub(crate) fn applying_push() -> Vec<Event> {
    then(resting(3), [Event::Pushed(pushed(4, 4))])
}

/// At 4; 5 did not fit.
pub(crate) fn rereading() -> Vec<Event> {
    let gap = stopped(4, 1, 5, StopReason::Gap, run(head(6, 1), 4));
    then(applying(), [Event::Applied(gap)])
}

/// At 4, given 1 to 6 after a misfit.
pub(crate) fn rebasing() -> Vec<Event> {
    then(rereading(), [Event::CaughtUp(run(head(6, 1), 1))])
}

/// At 4, given 5 and 6 from the base 5 after a misfit.
pub(crate) fn reapplying() -> Vec<Event> {
    then(rereading(), [Event::CaughtUp(run(head(6, 5), 5))])
}

/// At 4; 5 is bad, tried once, the base is 1.
pub(crate) fn quarantined() -> Vec<Event> {
    let bad = stopped(4, 1, 5, StopReason::NoFold, run(head(6, 1), 4));
    then(applying(), [Event::Applied(bad)])
}

/// As quarantined, and 5 is tried again.
pub(crate) fn retrying() -> Vec<Event> {
    then(
        quarantined(),
        [Event::Timer, Event::CaughtUp(run(head(6, 1), 5))],
    )
}

/// As quarantined, and 5 is given up.
pub(crate) fn skipped() -> Vec<Event> {
    then(
        quarantined(),
        [
            Event::Skip { expected: at(5) },
            Event::CaughtUp(run(head(6, 1), 5)),
        ],
    )
}

pub(crate) fn backing_off() -> Vec<Event> {
    then(polling(3), [Event::ReadFailed])
}

/// The store failed under an apply at 3.
pub(crate) fn in_doubt() -> Vec<Event> {
    then(applying(), [Event::ApplyFailed])
}

/// In step at 3, then paused.
pub(crate) fn paused() -> Vec<Event> {
    then(resting(3), [Event::Pause])
}

pub(crate) fn ended() -> Vec<Event> {
    then(resting(3), [Event::Stop])
}

/// In step at 3, and told to rebase.
pub(crate) fn asked() -> Vec<Event> {
    then(resting(3), [Event::Rebase { expected: at(3) }])
}

/// In step at 3, told to rebase, given 1 to 3.
pub(crate) fn asked_rebasing() -> Vec<Event> {
    then(asked(), [Event::CaughtUp(run(head(3, 1), 1))])
}

/// Above the head.
pub(crate) fn ahead() -> Vec<Event> {
    then(polling(7), [Event::CaughtUp(empty(Some(head(5, 1))))])
}
