//! What is held against what the processes have said, beyond the log and the store themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use gleaner::{Cursor, Draft, GrainId, Head, Writer};
use gleaner_tests::{GRAIN_TYPE, News, Payload};

use crate::truth::{Acked, Histories, turn};

/// Whether the log holds it, under its number and with its state.
pub(crate) fn is_held(histories: &Histories, acked: &Acked) -> bool {
    histories.get(&acked.key).is_some_and(|(_, entries)| {
        let mut held = entries
            .iter()
            .filter(|entry| entry.cursor() == acked.cursor);
        held.any(|entry| turn(entry) == acked.turn)
    })
}

/// Parts what may have been given up between two moments from the rest. Before the first, what is known to
/// be acknowledged was so before the copy; the second is before the log was there again, and behind all that
/// was said of its former answers.
pub(crate) fn parted(
    acked: &[News],
    between: Option<(Duration, Duration)>,
) -> (Vec<News>, Vec<News>) {
    let (mut given_up, mut kept) = (Vec::new(), Vec::new());
    for news in acked {
        let News::Acked { at, .. } = news else {
            continue;
        };
        let may_be = between.is_some_and(|(from, to)| from <= *at && *at <= to);
        if may_be { &mut given_up } else { &mut kept }.push(news.clone());
    }
    (given_up, kept)
}

/// Every turn of a grain was published once.
pub(crate) fn assert_nothing_is_there_twice(histories: &Histories) {
    for (key, (_, entries)) in histories {
        let mut seen = BTreeMap::new();
        for entry in entries {
            let turn = turn(entry);
            let before = seen.insert(turn, entry.cursor());
            assert_eq!(before, None, "{key}: {turn:?} again at {}", entry.cursor());
        }
    }
}

/// While the server answers nobody, no age is smaller than that has lasted. How many were read.
pub(crate) fn ages_grow_in_silence(readings: &[News], silences: &[(Duration, Duration)]) -> usize {
    let mut met = 0;
    for news in readings {
        let News::Aged { key, age, at, .. } = news else {
            continue;
        };
        for (from, to) in silences {
            if from <= at && at <= to {
                met += 1;
                let lasted = at.saturating_sub(*from);
                assert!(
                    *age >= lasted,
                    "{key}: age {age:?}, {lasted:?} after the last answer"
                );
            }
        }
    }
    met
}

/// In the order in which they were read, replicas only go on.
pub(crate) fn assert_no_way_back(readings: &[News]) {
    let mut newest: BTreeMap<&str, Cursor> = BTreeMap::new();
    for news in readings {
        if let News::Aged { key, cursor, .. } = news {
            let before = newest.insert(key, *cursor).unwrap_or_default();
            assert!(before <= *cursor, "{key}: {cursor} was read after {before}");
        }
    }
}

fn aged(cursor: u64, age: u64, at: u64) -> News {
    News::Aged {
        key: "load-0".to_owned(),
        cursor: Cursor::new(1, cursor),
        age: Duration::from_millis(age),
        health: "live".to_owned(),
        at: Duration::from_millis(at),
    }
}

#[test]
fn an_age_may_be_small_only_while_somebody_answers() {
    let silence = [(Duration::from_millis(100), Duration::from_millis(200))];
    let readings = [aged(1, 1, 99), aged(1, 50, 150), aged(1, 1, 201)];
    assert_eq!(ages_grow_in_silence(&readings, &silence), 1);
}

#[test]
#[should_panic(expected = "after the last answer")]
fn an_age_that_does_not_grow_in_silence_is_found() {
    let silence = [(Duration::from_millis(100), Duration::from_millis(200))];
    ages_grow_in_silence(&[aged(1, 49, 150)], &silence);
}

#[test]
#[should_panic(expected = "was read after")]
fn a_replica_that_goes_back_is_found() {
    assert_no_way_back(&[aged(2, 0, 1), aged(1, 0, 2)]);
}

#[test]
fn what_was_given_up_lies_between_two_moments() {
    let acked = |key: &str, at: u64| News::Acked {
        key: key.to_owned(),
        cursor: Cursor::new(1, at),
        turn: Some(at),
        at: Duration::from_millis(at),
    };
    let heard: Vec<News> = [("a", 1), ("a", 2), ("b", 3), ("a", 4), ("a", 5), ("b", 6)]
        .map(|(key, at)| acked(key, at))
        .to_vec();
    let between = Some((Duration::from_millis(2), Duration::from_millis(3)));
    let (given_up, kept) = parted(&heard, between);
    assert_eq!(given_up, [acked("a", 2), acked("b", 3)]);
    assert_eq!(kept.len(), 4);
    assert_eq!(parted(&heard, None).1, heard);
}

#[test]
#[should_panic(expected = "again at 1:2")]
fn a_state_that_is_there_twice_is_found() {
    let grain = GrainId::new(GRAIN_TYPE, "load-0").unwrap();
    let twice = [1, 2].map(|sequence| {
        let state = Payload::new(7).bytes("load-0");
        Draft::full(
            grain.clone(),
            Cursor::new(1, sequence),
            Writer::new(1),
            state,
        )
        .seal()
    });
    let head = Head::of(&twice[1], twice[1].cursor());
    let history = (head, twice.to_vec());
    assert_nothing_is_there_twice(&Histories::from([("load-0".to_owned(), history)]));
}
