//! What is refused, whatever the database holds and because of what it holds; nothing changes.

use std::collections::BTreeMap;

use crate::nearest::{MAX_HITS, Metric, Query};
use crate::operation::{MAX_ATTRIBUTES, MAX_DIMENSIONS, MAX_NAME, Operation, Point, Refused};
use crate::state::Collections;

fn create(name: &str, dimensions: u32) -> Operation {
    Operation::CreateCollection {
        name: name.to_owned(),
        dimensions,
    }
}

fn upsert(collection: &str, id: &str, vector: &[f32]) -> Operation {
    Operation::Upsert {
        collection: collection.to_owned(),
        id: id.to_owned(),
        point: Point {
            vector: vector.to_vec(),
            ..Point::default()
        },
    }
}

fn attributes(bytes: usize) -> Operation {
    let attributes = BTreeMap::from([("name".to_owned(), "x".repeat(bytes - 4))]);
    Operation::Upsert {
        collection: "c".to_owned(),
        id: "x".to_owned(),
        point: Point {
            vector: vec![0.0; 2],
            attributes,
        },
    }
}

fn database() -> Collections {
    let mut database = Collections::default();
    for operation in [create("c", 2), upsert("c", "kept", &[0.0, 1.0])] {
        database.apply(operation).unwrap();
    }
    database
}

#[test]
fn operations_keep_their_limits() {
    let (long, longest) = ("x".repeat(MAX_NAME + 1), "x".repeat(MAX_NAME));
    let no = |name: &str| Refused::NoCollection {
        name: name.to_owned(),
    };
    let other = |found| Refused::OtherDimensions { expected: 2, found };
    let delete = |collection: &str, id: &str| Operation::Delete {
        collection: collection.to_owned(),
        id: id.to_owned(),
    };
    let drop = |name: &str| Operation::DropCollection {
        name: name.to_owned(),
    };
    for (operation, why) in [
        (create("", 2), Refused::Name { bytes: 0 }),
        (create(&long, 2), Refused::Name { bytes: 257 }),
        (create("d", 0), Refused::Dimensions { dimensions: 0 }),
        (
            create("d", MAX_DIMENSIONS + 1),
            Refused::Dimensions { dimensions: 4097 },
        ),
        (
            create("c", 3),
            Refused::Exists {
                name: "c".to_owned(),
            },
        ),
        (drop(""), Refused::Name { bytes: 0 }),
        (drop("d"), no("d")),
        (upsert("d", "x", &[0.0, 0.0]), no("d")),
        (upsert("c", "", &[0.0, 0.0]), Refused::Name { bytes: 0 }),
        (
            upsert("c", &long, &[0.0, 0.0]),
            Refused::Name { bytes: 257 },
        ),
        (upsert("c", "x", &[]), other(0)),
        (upsert("c", "x", &[0.0; 3]), other(3)),
        (
            upsert("c", "x", &[0.0, f32::NAN]),
            Refused::NotFinite { dimension: 1 },
        ),
        (
            upsert("c", "x", &[f32::INFINITY, 0.0]),
            Refused::NotFinite { dimension: 0 },
        ),
        (
            attributes(MAX_ATTRIBUTES + 1),
            Refused::Attributes { bytes: 4097 },
        ),
        (delete("d", "x"), no("d")),
        (delete("c", ""), Refused::Name { bytes: 0 }),
    ] {
        let mut database = database();
        assert_eq!(database.apply(operation.clone()), Err(why), "{operation:?}");
        assert_eq!(database, self::database(), "{operation:?}");
    }
    let mut database = database();
    for operation in [
        create(&longest, MAX_DIMENSIONS),
        upsert("c", &longest, &[f32::MAX, f32::MIN]),
        attributes(MAX_ATTRIBUTES),
        delete("c", "nobody"),
    ] {
        assert_eq!(database.apply(operation), Ok(()));
    }
    assert_eq!(database.find("c").unwrap().points.len(), 3);
}

#[test]
fn searches_keep_their_limits() {
    let database = database();
    let query = |collection: &str, vector: &[f32], count, metric| Query {
        collection: collection.to_owned(),
        vector: vector.to_vec(),
        count,
        metric,
    };
    let count = |count| Refused::Count {
        count,
        max: MAX_HITS,
    };
    for (query, why) in [
        (
            query("", &[0.0; 2], 1, Metric::L2),
            Refused::Name { bytes: 0 },
        ),
        (
            query("d", &[0.0; 2], 1, Metric::L2),
            Refused::NoCollection {
                name: "d".to_owned(),
            },
        ),
        (query("c", &[0.0; 2], 0, Metric::L2), count(0)),
        (query("c", &[0.0; 2], 1001, Metric::L2), count(1001)),
        (
            query("c", &[f32::NAN, 0.0], 1, Metric::L2),
            Refused::NotFinite { dimension: 0 },
        ),
        (
            query("c", &[1.0], 1, Metric::L2),
            Refused::OtherDimensions {
                expected: 2,
                found: 1,
            },
        ),
        (
            query("c", &[0.0; 2], 1, Metric::Cosine),
            Refused::NoDirection,
        ),
    ] {
        assert_eq!(database.search(&query), Err(why), "{query:?}");
    }
    let most = query("c", &[0.0; 2], MAX_HITS, Metric::L2);
    assert_eq!(database.search(&most).unwrap().len(), 1);
}
