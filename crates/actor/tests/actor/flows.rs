//! What several steps together promise: waits that grow and are reset, draining at once.

use std::sync::Arc;
use std::time::Duration;

use gleaner_actor::{Action, Applied, Event, GrainActor, Health, Jitter, Moment, Place, Policy};
use gleaner_core::{Generation, StopReason};

use crate::script::*;

/// How long the actor waits after each failure of what it tries.
fn waits(actor: &mut GrainActor, fails: &[Event], times: usize) -> Vec<Duration> {
    let mut waits = Vec::new();
    for _ in 0..times {
        let mut last = None;
        for event in fails {
            last = Some(actor.on(NOW, event).action);
        }
        let Some(Action::Wait { until: Some(until) }) = last else {
            panic!("no wait but {last:?}");
        };
        waits.push(until.since(NOW));
        let _ = actor.on(until, &Event::Timer);
    }
    waits
}

fn millis(waits: &[Duration]) -> Vec<u128> {
    waits.iter().map(Duration::as_millis).collect()
}

#[test]
fn backoff_doubles_whatever_fails() {
    let whole = run(head(6, 1), 4);
    let bad = |why| Event::Applied(stopped(3, 0, 4, why, whole));
    let cases: [(&str, Vec<Event>, Vec<Event>); 8] = [
        ("load", loading(), vec![Event::LoadFailed]),
        ("read", polling(3), vec![Event::ReadFailed]),
        ("unreadable", polling(3), vec![Event::Unreadable(at(4))]),
        (
            "apply",
            polling(3),
            vec![Event::CaughtUp(whole), Event::ApplyFailed],
        ),
        (
            "nothing comes",
            polling(3),
            vec![Event::CaughtUp(empty(Some(head(6, 1))))],
        ),
        (
            "nothing moves",
            polling(3),
            vec![
                Event::CaughtUp(cut(head(6, 1), 4)),
                Event::Applied(applied(3, 0, cut(head(6, 1), 4))),
            ],
        ),
        (
            "no fold",
            polling(3),
            vec![Event::CaughtUp(whole), bad(StopReason::NoFold)],
        ),
        (
            "fold, and again",
            polling(3),
            vec![
                Event::CaughtUp(whole),
                bad(fold_failed()),
                Event::CaughtUp(run(head(6, 1), 1)),
                Event::Rebased(stopped(3, 0, 4, fold_failed(), run(head(6, 1), 1))),
            ],
        ),
    ];
    for (name, script, mut fails) in cases {
        let (mut actor, _) = after(true, &script);
        let first = waits(&mut actor, &fails, 1);
        if name == "apply" {
            // The doubt is followed by a load.
            fails.insert(0, loaded(3));
        }
        let more = waits(&mut actor, &fails, 9);
        assert_eq!(millis(&first), [100], "{name}");
        assert_eq!(
            millis(&more),
            [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000],
            "{name}"
        );
    }
}

#[test]
fn success_resets_the_backoff() {
    for (name, answer) in [
        ("in step", Event::CaughtUp(empty(Some(head(3, 1))))),
        ("ahead", Event::CaughtUp(empty(Some(head(2, 1))))),
    ] {
        let (mut actor, _) = after(false, &polling(3));
        assert_eq!(
            millis(&waits(&mut actor, &[Event::ReadFailed], 3)),
            [100, 200, 400]
        );
        let _ = actor.on(NOW, &answer);
        let _ = actor.on(NOW, &Event::Timer);
        assert_eq!(
            millis(&waits(&mut actor, &[Event::ReadFailed], 1)),
            [100],
            "{name}"
        );
    }
    let (mut actor, _) = after(false, &polling(3));
    assert_eq!(
        millis(&waits(&mut actor, &[Event::ReadFailed], 3)),
        [100, 200, 400]
    );
    let _ = actor.on(NOW, &Event::CaughtUp(cut(head(6, 1), 4)));
    let _ = actor.on(NOW, &Event::Applied(applied(5, 2, cut(head(6, 1), 4))));
    assert_eq!(millis(&waits(&mut actor, &[Event::ReadFailed], 1)), [100]);
}

#[test]
fn poll_now_resets_the_backoff() {
    let (mut actor, _) = after(true, &polling(3));
    assert_eq!(millis(&waits(&mut actor, &[Event::ReadFailed], 3)).len(), 3);
    let _ = actor.on(NOW, &Event::ReadFailed);
    let _ = actor.on(NOW, &Event::PollNow);
    assert_eq!(millis(&waits(&mut actor, &[Event::ReadFailed], 1)), [100]);
}

#[test]
fn jitter_comes_from_the_seed_alone() {
    let draw = |seed| {
        let policy = Arc::new(Policy::default());
        let mut actor = GrainActor::new(policy, Jitter::new(seed), false);
        for event in polling(3) {
            let _ = actor.on(NOW, &event);
        }
        waits(&mut actor, &[Event::ReadFailed], 8)
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    for (at, wait) in draw(1).iter().enumerate() {
        let nominal = 0.1 * f64::from(1_u32 << at);
        let part = wait.as_secs_f64() / nominal;
        assert!((0.9..=1.1).contains(&part), "{at}: {wait:?}");
        assert!((part - 1.0).abs() > 1e-9, "{at}: not varied");
    }
}

#[test]
fn no_interval_is_too_long() {
    let policy = Policy::default()
        .with_poll_interval(Duration::MAX)
        .with_backoff(Duration::MAX, Duration::MAX)
        .with_jitter(1.0);
    for seed in 0..64 {
        let policy = Arc::new(policy.clone());
        let mut actor = GrainActor::new(policy, Jitter::new(seed), false);
        for event in resting(3) {
            let _ = actor.on(NOW, &event);
        }
        assert!(actor.is_in_step());
        let _ = actor.on(Moment::from_nanos(u64::MAX), &Event::Timer);
        let step = actor.on(Moment::from_nanos(u64::MAX), &Event::ReadFailed);
        assert!(matches!(step.action, Action::Wait { until: Some(_) }));
    }
}

#[test]
fn a_backlog_is_drained_without_waiting() {
    let (mut actor, _) = after(true, &polling(0));
    for sequence in (2..=20).step_by(2) {
        let answer = cut(head(21, 1), sequence - 1);
        assert_eq!(actor.on(NOW, &Event::CaughtUp(answer)).action, apply());
        let step = actor.on(NOW, &Event::Applied(applied(sequence, 2, answer)));
        assert_eq!(step.action, catch_up(sequence));
        assert!(!step.confirms);
    }
    let answer = run(head(21, 1), 21);
    let _ = actor.on(NOW, &Event::CaughtUp(answer));
    let step = actor.on(NOW, &Event::Applied(applied(21, 1, answer)));
    assert!(step.confirms && actor.is_in_step());
    assert_eq!(actor.cursor(), at(21));
}

#[test]
fn a_quarantined_entry_is_named_until_it_is_passed() {
    let (mut actor, _) = after(true, &quarantined());
    assert_eq!(actor.quarantined(), Some(at(5)));
    assert_eq!(actor.cursor(), at(4));
    let answer = run(head(7, 7), 7);
    for event in [
        Event::Named(head(7, 7)),
        Event::CaughtUp(answer),
        Event::Applied(applied(7, 1, answer)),
    ] {
        let _ = actor.on(NOW, &event);
    }
    assert_eq!((actor.quarantined(), actor.health()), (None, Health::Live));
}

#[test]
fn an_operator_can_rebase_a_foreign_replica() {
    let loaded = Event::Loaded {
        place: foreign(3),
        listed: None,
    };
    let script = [
        Event::Start,
        loaded,
        Event::CaughtUp(run(head(9, 9), 9)),
        Event::Rebase { expected: at(3) },
        Event::CaughtUp(run(head(9, 9), 9)),
        Event::Rebased(applied(9, 1, run(head(9, 9), 9))),
        crate::script::loaded(9),
        Event::CaughtUp(empty(Some(head(9, 9)))),
    ];
    let (actor, last) = after(true, &script);
    assert!(last.unwrap().confirms && actor.is_in_step());
}

/// S5, S8: an apply that was not answered may land after the replica was loaded. Nobody names a replica
/// that moved by itself, so even a grain that a feed covers is looked at again.
#[test]
fn what_may_still_land_is_looked_for_ever_more_rarely() {
    let (mut actor, _) = after(true, &in_doubt());
    let (mut now, mut waits) = (NOW, Vec::new());
    let mut step = actor.on(now, &Event::Timer);
    for _ in 0..20 {
        assert_eq!(step.action, Action::Load);
        let _ = actor.on(now, &loaded(3));
        step = actor.on(now, &Event::CaughtUp(empty(Some(head(3, 1)))));
        assert!(step.confirms && actor.is_in_step());
        let Action::Wait { until: Some(until) } = step.action else {
            break;
        };
        waits.push(until.since(now));
        now = until;
        step = actor.on(now, &Event::Timer);
    }
    assert_eq!(step.action, FOREVER);
    assert!((11..=14).contains(&waits.len()), "{waits:?}");
    let (_, before_the_end) = waits.split_last().unwrap();
    assert!(before_the_end.is_sorted(), "{waits:?}");
    let span: Duration = waits.iter().sum();
    assert!(span > Duration::from_secs(120), "{span:?}");
}

/// S5, S8: polls between the looks, because the grain is named or its interval has passed, do not put
/// the next look off: the replica may have moved by itself, and only a load tells.
#[test]
fn polls_do_not_put_off_the_look_for_what_may_still_land() {
    for fed in [true, false] {
        let (mut actor, _) = after(fed, &in_doubt());
        let above = Event::CaughtUp(empty(Some(head(2, 1))));
        let _ = actor.on(NOW, &Event::Timer);
        let _ = actor.on(NOW, &loaded(3));
        let mut step = actor.on(NOW, &above);
        let (mut now, mut looks) = (NOW, 0);
        for _ in 0..20 {
            now = now.plus(Duration::from_millis(60));
            let Action::Wait { until: Some(until) } = step.action else {
                panic!("in doubt, and no wait but {:?}", step.action);
            };
            let hint = if until <= now {
                Event::Timer
            } else {
                Event::Named(head(2, 1))
            };
            if actor.on(now, &hint).action == Action::Load {
                looks += 1;
                let _ = actor.on(now, &loaded(3));
            }
            step = actor.on(now, &above);
            assert_eq!(actor.health(), Health::Ahead);
        }
        // 1.2 s: after waits of 100, 200, 400 and (not yet) 800 ms.
        assert_eq!(looks, 3, "fed: {fed}");
    }
}

/// Delta rule, L11: the operator gives up an entry, and then the log loses it. What the log has below it
/// is applied: nothing stands in its way any more.
#[test]
fn what_was_given_up_and_then_lost_is_not_waited_for() {
    let bad = run(head(6, 6), 6);
    let script = [
        Event::CaughtUp(bad),
        Event::Applied(stopped(3, 0, 6, StopReason::NoFold, bad)),
        Event::Skip { expected: at(6) },
        Event::CaughtUp(bad),
    ];
    let (mut actor, last) = after(false, &then(polling(3), script));
    assert!(matches!(last.unwrap().action, Action::Wait { .. }));
    assert_eq!(actor.health(), Health::Quarantined);
    let _ = actor.on(NOW.plus(Duration::from_secs(3600)), &Event::Timer);
    let step = actor.on(NOW, &Event::CaughtUp(run(head(5, 5), 5)));
    assert!(matches!(step.action, Action::Apply { .. }), "{step:?}");
    let step = actor.on(NOW, &Event::Applied(applied(5, 1, run(head(5, 5), 5))));
    assert!(step.confirms && actor.is_in_step());
}

/// C2, S8: a rebase that was not answered may set the replica back at any moment: nothing confirms it
/// until its generation was raised or nothing can land any more.
#[test]
fn a_replica_that_may_be_set_back_is_not_confirmed() {
    let (mut actor, _) = after(true, &asked_rebasing());
    let script = [
        Event::ApplyFailed,
        Event::Timer,
        loaded(3),
        Event::CaughtUp(empty(Some(head(3, 1)))),
    ];
    let mut last = None;
    for event in &script {
        last = Some(actor.on(NOW, event));
    }
    let last = last.unwrap();
    assert!(!last.confirms && !actor.is_in_step());
    assert_eq!(actor.health(), Health::Live);
    let Action::Wait { until: Some(due) } = last.action else {
        panic!("{last:?}");
    };
    // It has landed.
    let landed = Event::Loaded {
        place: Place {
            generation: Generation::new(1),
            ..place(2)
        },
        listed: None,
    };
    for event in [Event::Timer, landed, Event::CaughtUp(run(head(3, 1), 3))] {
        let _ = actor.on(due, &event);
    }
    let again = Applied {
        place: Place {
            generation: Generation::new(1),
            ..place(3)
        },
        ..applied(3, 1, run(head(3, 1), 3))
    };
    let step = actor.on(due, &Event::Applied(again));
    assert!(step.confirms && actor.is_in_step());
}

/// F5, C3: entries that come unasked lead a replica on without a read, also one whose actor sleeps; what
/// is named then is known.
#[test]
fn what_comes_unasked_needs_no_read() {
    let (mut actor, _) = after(true, &resting(3));
    for sequence in 4..20 {
        actor = actor.rest().unwrap().wake(exact(), Jitter::new(1), true);
        let push = pushed(sequence, sequence);
        assert_eq!(actor.on(NOW, &Event::Pushed(push)).action, apply());
        assert!(!actor.is_in_step() && actor.is_busy());
        assert_eq!(actor.health(), Health::Live);
        let step = actor.on(NOW, &Event::Applied(push_applied(sequence, 1, push)));
        assert!(!step.confirms && actor.is_in_step());
        let step = actor.on(NOW, &Event::Named(head(sequence, 1)));
        assert_eq!(
            (step.action, actor.cursor()),
            (Action::Nothing, at(sequence))
        );
    }
}

/// F5: the same misfit over and over is a read each and no more, and none while one is under way.
#[test]
fn misfits_are_a_read_each_at_the_most() {
    let (mut actor, _) = after(true, &resting(3));
    let misfit = Event::Pushed(pushed(7, 7));
    let mut reads = 0;
    for _ in 0..10 {
        for _ in 0..5 {
            reads += usize::from(actor.on(NOW, &misfit).action == catch_up(3));
        }
        let step = actor.on(NOW, &Event::CaughtUp(empty(Some(head(3, 1)))));
        // What came under the read is looked up once more.
        assert_eq!(step.action, catch_up(3));
        reads += 1;
        let step = actor.on(NOW, &Event::CaughtUp(empty(Some(head(3, 1)))));
        assert_eq!(step.action, FOREVER);
        assert!(actor.rest().is_some());
    }
    assert_eq!(reads, 20);
}
