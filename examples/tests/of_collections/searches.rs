//! The nearest points, against all points sorted; in memory and in tables alike.

use gleaner::{Advance, Cursor, Draft, Generation, LogId, ReplicaStore, Writer};

use crate::database::grain;
use crate::dice::Dice;
use crate::engine::Engine;
use crate::nearest::{Metric, Query};
use crate::operation::{Operation, Point};
use crate::payload::{Bincoded, Payloads};
use crate::state::Collections;

/// Written otherwise than the search is: everything is sorted.
fn sorted(database: &Collections, query: &Query) -> Vec<(String, f64)> {
    let length = |vector: &[f64]| vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    let wide = |vector: &[f32]| vector.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
    let from = wide(&query.vector);
    let mut all: Vec<(String, f64)> = database.0[&query.collection]
        .points
        .iter()
        .map(|(id, point)| {
            let to = wide(&point.vector);
            let distance = match query.metric {
                Metric::L2 => {
                    let way: Vec<f64> = from.iter().zip(&to).map(|(a, b)| a - b).collect();
                    length(&way)
                }
                Metric::Cosine if length(&to) == 0.0 => 1.0,
                Metric::Cosine => {
                    let product: f64 = from.iter().zip(&to).map(|(a, b)| a * b).sum();
                    1.0 - product / (length(&from) * length(&to))
                }
            };
            (id.clone(), distance)
        })
        .collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(query.count);
    all
}

#[tokio::test]
async fn the_nearest_are_those_of_a_full_sort() {
    let mut dice = Dice::new(5);
    let mut database = Collections::default();
    database
        .apply(Operation::CreateCollection {
            name: "c".to_owned(),
            dimensions: 3,
        })
        .unwrap();
    for at in 0..500 {
        // Some lie in one place, one nowhere.
        let vector = match at {
            0 => vec![0.0; 3],
            1..20 => vec![1.0, 2.0, 3.0],
            _ => dice.vector(3),
        };
        database
            .apply(Operation::Upsert {
                collection: "c".to_owned(),
                id: format!("p{at}"),
                point: Point {
                    vector,
                    ..Point::default()
                },
            })
            .unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path().join("engine.db")).await.unwrap();
    let (log, id) = (LogId::new("a log"), grain("a").unwrap());
    engine.bind(&log, None).await.unwrap();
    let state = Bincoded.write(&database).unwrap();
    let run = Advance {
        grain: id.clone(),
        generation: Generation::default(),
        entries: vec![Draft::full(id.clone(), Cursor::new(1, 1), Writer::new(7), state).seal()],
    };
    assert_eq!(engine.apply(&log, vec![run]).await.unwrap()[0].stop, None);
    for turn in 0..60 {
        let query = Query {
            collection: "c".to_owned(),
            vector: if turn % 6 == 0 {
                vec![1.0, 2.0, 3.0]
            } else {
                dice.vector(3)
            },
            count: [1, 5, 19, 20, 499, 500, 1000][turn % 7],
            metric: [Metric::L2, Metric::Cosine][turn % 2],
        };
        let hits = database.search(&query).unwrap();
        let pairs: Vec<(String, f64)> = hits
            .iter()
            .map(|hit| (hit.id.clone(), hit.distance))
            .collect();
        assert_eq!(pairs, sorted(&database, &query), "{query:?}");
        let found = engine.search(&id, query.clone()).await.unwrap();
        assert_eq!(found.what, hits, "{query:?}");
        assert_eq!(found.cursor, Cursor::new(1, 1));
    }
}
