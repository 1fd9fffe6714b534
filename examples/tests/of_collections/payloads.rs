//! What is decoded: whatever the bytes or the line, an answer and no panic.

use bytes::Bytes;

use crate::command::{Command, made_up};
use crate::dice::Dice;
use crate::operation::Operation;
use crate::payload::{Bincoded, Payloads};
use crate::state::Collections;

fn database(dice: &mut Dice) -> (Collections, Vec<Operation>) {
    let mut database = Collections::default();
    let mut done = Vec::new();
    while done.len() < 30 {
        let operation = dice.operation();
        if database.apply(operation.clone()).is_ok() {
            done.push(operation);
        }
    }
    (database, done)
}

/// Sizes that the engine keeps count of are those of the bytes.
#[test]
fn a_database_comes_back_and_is_as_large_as_counted() {
    let mut dice = Dice::new(3);
    for _ in 0..100 {
        let (database, operations) = database(&mut dice);
        let written = Bincoded.write(&database).unwrap();
        let empty = Bincoded.write(&Collections::default()).unwrap().len();
        let collections: usize = database
            .0
            .iter()
            .map(|(name, collection)| {
                let points = collection.points.iter();
                let points: usize = points
                    .map(|(id, point)| Bincoded.size_of_point(id, point))
                    .sum();
                Bincoded.size_of_collection(name) + points
            })
            .sum();
        assert_eq!(written.len(), empty + collections);
        assert_eq!(Bincoded.whole(&written).unwrap(), database);
        let delta = Bincoded::delta(&operations).unwrap();
        assert_eq!(Bincoded::read_delta(&delta).unwrap(), operations);
    }
}

/// Bytes at random, and good payloads with some bytes changed, cut off or put behind: refused, or
/// read as something that is within all limits and, for a state, is written back as it came.
#[test]
fn no_payload_panics() {
    let mut dice = Dice::new(11);
    let (mut whole, mut deltas, mut refused) = (0, 0, 0);
    for turn in 0..20_000 {
        let (database, operations) = database(&mut dice);
        let mut payload = match turn % 3 {
            0 => dice.bytes(200),
            1 => Bincoded.write(&database).unwrap().to_vec(),
            _ => Bincoded::delta(&operations).unwrap().to_vec(),
        };
        for _ in 0..dice.roll(4) {
            if !payload.is_empty() {
                let at = dice.pick(payload.len());
                payload[at] = u8::try_from(dice.roll(256)).unwrap();
            }
        }
        if dice.roll(4) == 0 {
            payload.truncate(dice.pick(payload.len() + 1));
        }
        if dice.roll(8) == 0 {
            payload.extend(dice.bytes(9));
        }
        if let Ok(read) = Bincoded.whole(&payload) {
            assert_eq!(read.check(), Ok(()));
            assert_eq!(Bincoded.write(&read).unwrap(), Bytes::from(payload.clone()));
            whole += 1;
        } else {
            refused += 1;
        }
        if let Ok(read) = Bincoded::read_delta(&payload) {
            let kept = read.iter().all(|operation| operation.check().is_ok());
            assert!(kept, "{read:?}");
            deltas += 1;
        }
    }
    assert!(
        whole > 1000 && deltas > 1000 && refused > 1000,
        "{whole} states, {deltas} deltas, {refused} refused"
    );
}

/// Lengths that are lies cost nothing.
#[test]
fn a_length_that_is_a_lie_is_refused() {
    for claimed in [u64::MAX, 1 << 60, 1 << 33, 1 << 24] {
        let mut payload = claimed.to_le_bytes().to_vec();
        payload.extend([0; 64]);
        assert!(Bincoded.whole(&payload).is_err());
        assert!(Bincoded::read_delta(&payload).is_err());
    }
}

/// A state is written in one way alone: other orders and doubles are refused.
#[test]
fn names_out_of_order_are_refused() {
    let collection = |name: &str| {
        let mut bytes = (name.len() as u64).to_le_bytes().to_vec();
        bytes.extend(name.as_bytes());
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
        bytes
    };
    let state = |names: [&str; 2]| {
        let mut bytes = 2_u64.to_le_bytes().to_vec();
        bytes.extend(names.iter().flat_map(|name| collection(name)));
        bytes
    };
    assert!(Bincoded.whole(&state(["a", "b"])).is_ok());
    assert!(Bincoded.whole(&state(["b", "a"])).is_err());
    assert!(Bincoded.whole(&state(["a", "a"])).is_err());
}

#[test]
fn lines_are_read_as_commands_or_refused() {
    for line in [
        "create planes 3",
        "drop planes",
        "upsert planes a 0.1 -2 3e5",
        "upsert planes a 0.1 seat=window of=",
        "delete planes a",
        "bulk planes 5000",
        "search planes 0.1 0.2 0.3 5",
        "search planes 5 cosine",
        "count planes",
        "age",
        "reached 1:7",
    ] {
        assert!(line.parse::<Command>().is_ok(), "{line:?}");
    }
    for line in [
        "",
        "create planes",
        "create planes -3",
        "create planes 99999999999",
        "upsert planes",
        "upsert planes a 0.1 seat=window 0.2",
        "upsert planes a zero",
        "search planes",
        "search planes cosine",
        "search planes 0.1 0.2 0.3",
        "bulk planes many",
        "reached 7",
        "reached a:b",
        "age now",
    ] {
        assert!(line.parse::<Command>().is_err(), "{line:?}");
    }
    let words = [
        "create",
        "upsert",
        "search",
        "reached",
        "c",
        "0.5",
        "=",
        "a=b",
        "l2",
        "7",
        "1:",
        "\u{1f33e}",
    ];
    let mut dice = Dice::new(17);
    for _ in 0..20_000 {
        let line: Vec<&str> = (0..dice.roll(7))
            .map(|_| words[dice.pick(words.len())])
            .collect();
        // Either way, it comes back.
        let _ = line.join(" ").parse::<Command>();
    }
}

#[test]
fn made_up_points_are_the_same_each_time() {
    let points = made_up("c", 3, 100);
    assert_eq!(points, made_up("c", 3, 100));
    assert!(points.iter().all(|point| point.check().is_ok()));
    assert_ne!(points[0], points[1]);
}
