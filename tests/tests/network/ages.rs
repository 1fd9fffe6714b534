//! The promise about ages (C5): an answer of age *a* at time *t* holds what was acknowledged before
//! *t - a*.

use std::collections::BTreeMap;
use std::time::Duration;

use gleaner::Cursor;
use gleaner_tests::News;

/// What became of the readings.
#[derive(Debug, Default)]
pub(crate) struct Ages {
    /// How many there were.
    pub(crate) read: usize,
    /// How many lacked something that had been acknowledged: a smaller age would have been a lie.
    pub(crate) behind: usize,
    pub(crate) oldest: Duration,
}

/// Holds every reading against what was acknowledged to whoever wrote.
pub(crate) fn are_true(acked: &[News], readings: &[News]) -> Ages {
    let mut by_key: BTreeMap<&str, Vec<(Duration, Cursor)>> = BTreeMap::new();
    for news in acked {
        if let News::Acked {
            key, cursor, at, ..
        } = news
        {
            by_key.entry(key).or_default().push((*at, *cursor));
        }
    }
    for acked in by_key.values_mut() {
        // When it was known is later than when it was: that asks no more than was promised.
        acked.sort_unstable();
    }
    let mut ages = Ages::default();
    for news in readings {
        let News::Aged {
            key,
            cursor,
            age,
            at,
            ..
        } = news
        else {
            continue;
        };
        let Some(acked) = by_key.get(key.as_str()) else {
            continue;
        };
        let before = |time: Duration| {
            let count = acked.partition_point(|(known, _)| *known < time);
            acked[..count].iter().map(|(_, cursor)| *cursor).max()
        };
        ages.read += 1;
        ages.oldest = ages.oldest.max(*age);
        ages.behind += usize::from(before(*at) > Some(*cursor));
        let owed = before(at.saturating_sub(*age));
        assert!(
            owed.is_none_or(|owed| owed <= *cursor),
            "{key}: an answer of age {age:?} stands at {cursor:?}, and {owed:?} was acknowledged before that"
        );
    }
    ages
}

fn told(cursor: u64, millis: u64, age: Option<u64>) -> News {
    let (key, cursor, at) = (
        "load-0".to_owned(),
        Cursor::new(1, cursor),
        Duration::from_millis(millis),
    );
    match age {
        None => News::Acked {
            key,
            cursor,
            turn: Some(1),
            at,
        },
        Some(age) => News::Aged {
            key,
            cursor,
            age: Duration::from_millis(age),
            health: "live".to_owned(),
            at,
        },
    }
}

#[test]
fn what_is_old_enough_is_true() {
    let acked = [told(1, 100, None), told(2, 200, None)];
    let ages = are_true(&acked, &[told(1, 250, Some(60)), told(2, 250, Some(0))]);
    assert_eq!((ages.read, ages.behind), (2, 1));
}

#[test]
#[should_panic(expected = "an answer of age")]
fn an_age_that_is_too_small_is_found() {
    let acked = [told(1, 100, None), told(2, 200, None)];
    are_true(&acked, &[told(1, 250, Some(40))]);
}
