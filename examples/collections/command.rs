//! [`Command`]: a line that is typed to a leader or a follower.

use std::collections::BTreeMap;
use std::str::FromStr;

use gleaner::Cursor;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::nearest::{Metric, Query};
use crate::operation::{Operation, Point};

/// What can be asked for, one a line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Write(Operation),
    /// Points that are made up, into a collection.
    Bulk {
        collection: String,
        points: usize,
    },
    Search(Query),
    Count {
        collection: String,
    },
    /// How old what is served is.
    Age,
    /// Wait until a write is here.
    Reached(Cursor),
}

/// What can be typed.
pub(crate) const HELP: &str = "\
create COLLECTION DIMENSIONS | drop COLLECTION
upsert COLLECTION ID NUMBER... [NAME=VALUE...] | delete COLLECTION ID | bulk COLLECTION POINTS
search COLLECTION NUMBER... HOW-MANY [l2|cosine] | count COLLECTION
age | reached EPOCH:SEQUENCE";

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["create", name, dimensions] => Ok(Self::Write(Operation::CreateCollection {
                name: (*name).to_owned(),
                dimensions: parsed(dimensions, "a number of dimensions")?,
            })),
            ["drop", name] => Ok(Self::Write(Operation::DropCollection {
                name: (*name).to_owned(),
            })),
            ["upsert", collection, id, rest @ ..] => Ok(Self::Write(Operation::Upsert {
                collection: (*collection).to_owned(),
                id: (*id).to_owned(),
                point: point(rest)?,
            })),
            ["delete", collection, id] => Ok(Self::Write(Operation::Delete {
                collection: (*collection).to_owned(),
                id: (*id).to_owned(),
            })),
            ["bulk", collection, points] => Ok(Self::Bulk {
                collection: (*collection).to_owned(),
                points: parsed(points, "a number of points")?,
            }),
            ["search", collection, rest @ ..] => query(collection, rest).map(Self::Search),
            ["count", collection] => Ok(Self::Count {
                collection: (*collection).to_owned(),
            }),
            ["age"] => Ok(Self::Age),
            ["reached", cursor] => {
                let (epoch, sequence) = cursor
                    .split_once(':')
                    .ok_or_else(|| format!("{cursor:?} is no EPOCH:SEQUENCE"))?;
                Ok(Self::Reached(Cursor::new(
                    parsed(epoch, "an epoch")?,
                    parsed(sequence, "a sequence")?,
                )))
            }
            _ => Err(format!("no such command; there are\n{HELP}")),
        }
    }
}

fn parsed<T: FromStr>(word: &str, what: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word:?} is not {what}"))
}

fn vector(words: &[&str]) -> Result<Vec<f32>, String> {
    words.iter().map(|word| parsed(word, "a number")).collect()
}

/// Numbers, then attributes.
fn point(words: &[&str]) -> Result<Point, String> {
    let numbers = words.iter().take_while(|word| !word.contains('=')).count();
    let (numbers, rest) = words.split_at(numbers);
    let mut attributes = BTreeMap::new();
    for word in rest {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("{word:?} stands behind attributes and is none"))?;
        attributes.insert(name.to_owned(), value.to_owned());
    }
    Ok(Point {
        vector: vector(numbers)?,
        attributes,
    })
}

/// Numbers, how many points, and perhaps a metric.
fn query(collection: &str, words: &[&str]) -> Result<Query, String> {
    let (words, metric) = match words {
        [words @ .., "l2"] => (words, Metric::L2),
        [words @ .., "cosine"] => (words, Metric::Cosine),
        words => (words, Metric::default()),
    };
    let [numbers @ .., count] = words else {
        return Err("a search is for a number of points".to_owned());
    };
    Ok(Query {
        collection: collection.to_owned(),
        vector: vector(numbers)?,
        count: parsed(count, "a number of points")?,
        metric,
    })
}

/// Points `p0`, `p1`, ... that look random and are the same each time, in the cube from -1 to 1.
pub(crate) fn made_up(collection: &str, dimensions: u32, points: usize) -> Vec<Operation> {
    let vector = |at: u64| {
        let coordinate = |dimension: u32| {
            let bits = xxh3_64_with_seed(&at.to_le_bytes(), u64::from(dimension));
            // 16 of its bits are all that `f32` holds exactly at this size.
            let step = u16::try_from(bits >> 48).unwrap_or_default();
            f32::from(step) / 32768.0 - 1.0
        };
        (0..dimensions).map(coordinate).collect()
    };
    (0..points as u64)
        .map(|at| Operation::Upsert {
            collection: collection.to_owned(),
            id: format!("p{at}"),
            point: Point {
                vector: vector(at),
                attributes: BTreeMap::new(),
            },
        })
        .collect()
}
