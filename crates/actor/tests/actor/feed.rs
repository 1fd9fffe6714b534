//! The reader of a feed: a row per arrow, and that it lists before it reads (F3).

use std::time::Duration;

use gleaner_actor::{FeedAction, FeedEvent, FeedReader, Jitter};
use proptest::prelude::*;

use crate::script::{NOW, exact};

const MORE: FeedEvent = FeedEvent::Listed { more: true };
const ALL: FeedEvent = FeedEvent::Listed { more: false };
const PART: FeedEvent = FeedEvent::Page { complete: false };
const END: FeedEvent = FeedEvent::Page { complete: true };
use FeedEvent::{Expired, Failed, Start, Started, Stop, Woken};

fn wait(millis: u64) -> FeedAction {
    FeedAction::Wait {
        until: NOW.plus(Duration::from_millis(millis)),
    }
}

fn back_off(millis: u64) -> FeedAction {
    FeedAction::BackOff {
        until: NOW.plus(Duration::from_millis(millis)),
    }
}

fn after(has_feed: bool, script: &[FeedEvent]) -> FeedReader {
    let mut reader = FeedReader::new(exact(), Jitter::new(1), has_feed);
    for event in script {
        let _ = reader.on(NOW, *event);
    }
    reader
}

#[test]
#[expect(clippy::too_many_lines, reason = "a row per arrow")]
fn every_arrow() {
    let rows: &[(&str, &[FeedEvent], FeedEvent, FeedAction, bool)] = &[
        ("start", &[], Start, FeedAction::Start, false),
        ("list", &[Start], Started, FeedAction::List, false),
        (
            "list on",
            &[Start, Started],
            MORE,
            FeedAction::ListNext,
            false,
        ),
        ("all listed", &[Start, Started], ALL, FeedAction::Read, true),
        (
            "all pages listed",
            &[Start, Started, MORE],
            ALL,
            FeedAction::Read,
            true,
        ),
        (
            "more to read",
            &[Start, Started, ALL],
            PART,
            FeedAction::Read,
            true,
        ),
        ("the end", &[Start, Started, ALL], END, wait(1000), true),
        (
            "woken",
            &[Start, Started, ALL, END],
            Woken,
            FeedAction::Read,
            true,
        ),
        ("start fails", &[Start], Failed, back_off(100), false),
        (
            "start again",
            &[Start, Failed],
            Woken,
            FeedAction::Start,
            false,
        ),
        (
            "start fails again",
            &[Start, Failed, Woken],
            Failed,
            back_off(200),
            false,
        ),
        (
            "list fails",
            &[Start, Started],
            Failed,
            back_off(100),
            false,
        ),
        (
            "list again",
            &[Start, Started, Failed],
            Woken,
            FeedAction::List,
            false,
        ),
        (
            "a later page fails",
            &[Start, Started, MORE],
            Failed,
            back_off(100),
            false,
        ),
        (
            "that page again",
            &[Start, Started, MORE, Failed],
            Woken,
            FeedAction::ListNext,
            false,
        ),
        (
            "listing resets",
            &[Start, Started, Failed, Woken, MORE],
            Failed,
            back_off(100),
            false,
        ),
        (
            "read fails",
            &[Start, Started, ALL],
            Failed,
            back_off(100),
            true,
        ),
        (
            "read again",
            &[Start, Started, ALL, Failed],
            Woken,
            FeedAction::Read,
            true,
        ),
        (
            "reading resets",
            &[Start, Started, ALL, Failed, Woken, PART],
            Failed,
            back_off(100),
            true,
        ),
        (
            "expired",
            &[Start, Started, ALL],
            Expired,
            back_off(100),
            false,
        ),
        (
            "expired: start anew",
            &[Start, Started, ALL, Expired],
            Woken,
            FeedAction::Start,
            false,
        ),
        (
            "expired: list anew",
            &[Start, Started, ALL, Expired, Woken],
            Started,
            FeedAction::List,
            false,
        ),
        (
            "expired while listing",
            &[Start, Started, MORE],
            Expired,
            back_off(100),
            false,
        ),
        (
            "expired while starting",
            &[Start],
            Expired,
            back_off(100),
            false,
        ),
        (
            "stop at rest",
            &[Start, Started, ALL, END],
            Stop,
            FeedAction::Stopped,
            true,
        ),
        (
            "stop in flight",
            &[Start, Started],
            Stop,
            FeedAction::Stopped,
            false,
        ),
        (
            "stop before the start",
            &[],
            Stop,
            FeedAction::Stopped,
            false,
        ),
        ("stopped", &[Stop], Start, FeedAction::Stopped, false),
    ];
    for (name, script, event, action, listed) in rows {
        let mut reader = after(true, script);
        assert_eq!(reader.on(NOW, *event), *action, "{name}");
        assert_eq!(reader.has_listed(), *listed, "{name}: listed");
    }
}

#[test]
fn without_a_feed_it_lists_every_interval() {
    let rows: &[(&str, &[FeedEvent], FeedEvent, FeedAction, bool)] = &[
        ("start", &[], Start, FeedAction::List, false),
        ("list on", &[Start], MORE, FeedAction::ListNext, false),
        ("all listed", &[Start, MORE], ALL, wait(1000), true),
        ("woken", &[Start, ALL], Woken, FeedAction::List, true),
        ("fails", &[Start], Failed, back_off(100), false),
        ("again", &[Start, Failed], Woken, FeedAction::List, false),
        (
            "expired",
            &[Start, ALL, Woken],
            Expired,
            back_off(100),
            false,
        ),
        (
            "anew",
            &[Start, ALL, Woken, Expired],
            Woken,
            FeedAction::List,
            false,
        ),
    ];
    for (name, script, event, action, listed) in rows {
        let mut reader = after(false, script);
        assert_eq!(reader.on(NOW, *event), *action, "{name}");
        assert_eq!(reader.has_listed(), *listed, "{name}: listed");
    }
}

/// Which answers each situation waits for; any other changes nothing.
#[test]
fn an_answer_to_what_is_not_asked_changes_nothing() {
    let situations: &[(&[FeedEvent], &[FeedEvent])] = &[
        (&[], &[Start]),
        (&[Start], &[Started, Failed, Expired]),
        (&[Start, Started], &[MORE, ALL, Failed, Expired]),
        (&[Start, Started, MORE], &[MORE, ALL, Failed, Expired]),
        (&[Start, Started, ALL], &[PART, END, Failed, Expired]),
        (&[Start, Started, ALL, END], &[Woken]),
        (&[Start, Started, ALL, Failed], &[Woken]),
    ];
    for (script, waited) in situations {
        for event in [Start, Started, MORE, ALL, PART, END, Expired, Failed, Woken] {
            let mut reader = after(true, script);
            let before = format!("{reader:?}");
            let action = reader.on(NOW, event);
            let unchanged = format!("{reader:?}") == before && action == FeedAction::Nothing;
            assert_eq!(
                unchanged,
                !waited.contains(&event),
                "{event:?} after {script:?}"
            );
        }
    }
}

fn any_event() -> impl Strategy<Value = FeedEvent> {
    prop_oneof![
        3 => Just(Start),
        3 => Just(Started),
        2 => Just(MORE),
        3 => Just(ALL),
        2 => Just(PART),
        2 => Just(END),
        1 => Just(Expired),
        1 => Just(Failed),
        3 => Just(Woken),
    ]
}

proptest! {
    /// F3: changes are read only from a position behind which every head was listed; and whatever has
    /// happened, answers bring the reader to its end.
    #[test]
    fn it_lists_before_it_reads(
        has_feed in any::<bool>(),
        events in prop::collection::vec(any_event(), 0..60),
    ) {
        let mut reader = after(has_feed, &[]);
        let mut started = !has_feed;
        let mut all_listed = false;
        let mut asked = FeedAction::Nothing;
        for event in events {
            match (asked, event) {
                (FeedAction::Start, Started) => { started = true; all_listed = false; }
                (FeedAction::List | FeedAction::ListNext, FeedEvent::Listed { more }) => {
                    all_listed |= !more;
                }
                (FeedAction::Start | FeedAction::List | FeedAction::ListNext | FeedAction::Read, Expired) => {
                    started = !has_feed;
                    all_listed = false;
                }
                _ => {}
            }
            let action = reader.on(NOW, event);
            match action {
                FeedAction::Read => prop_assert!(has_feed && started && all_listed),
                FeedAction::List | FeedAction::ListNext => prop_assert!(started),
                FeedAction::Start => prop_assert!(has_feed),
                _ => {}
            }
            prop_assert_eq!(reader.has_listed(), all_listed);
            if action != FeedAction::Nothing {
                asked = action;
            }
        }
        // From here on everything answers: it waits at the end within a few steps.
        let mut steps = 0;
        let mut action = if asked == FeedAction::Nothing { reader.on(NOW, Start) } else { asked };
        while !matches!(action, FeedAction::Wait { .. }) {
            let answer = match action {
                FeedAction::Start => Started,
                FeedAction::List | FeedAction::ListNext => ALL,
                FeedAction::Read => END,
                FeedAction::BackOff { .. } => Woken,
                other => panic!("{other:?}"),
            };
            action = reader.on(NOW, answer);
            steps += 1;
            prop_assert!(steps <= 5, "{:?}", reader);
        }
        prop_assert!(reader.has_listed());
    }
}
