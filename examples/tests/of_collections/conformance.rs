//! The kit's tests of S1 to S9 on the engine.
//!
//! The kit's payloads are text and its own fold puts a delta's behind the state. They are read as
//! operations: a whole state is a database of one collection whose first point carries the text, and
//! a delta is an upsert of a further point, named after its sequence. So every entry of the kit goes
//! through the engine's transactions, savepoints and tables like any other; only the reading of
//! payloads is not the example's own, and that is tested beside (`clauses.rs`, `payloads.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use gleaner::{CodecError, Entry, Fold, FoldError, Schema, StopReason};
use gleaner_conformance::StoreFactory;
use tempfile::TempDir;

use crate::engine::Engine;
use crate::operation::{Operation, Point};
use crate::payload::Payloads;
use crate::state::{Collection, Collections};

/// Large enough for the kit's longest run of deltas.
const MAX_STATE: usize = 1 << 16;
const COLLECTION: &str = "text";

/// The kit's payloads, with the fold that the kit gives or none.
struct Text(Option<Arc<dyn Fold>>);

/// A point that carries bytes: each is a character, so that all 256 can be.
fn carrying(bytes: &[u8]) -> Point {
    let text = bytes.iter().copied().map(char::from).collect();
    Point {
        vector: vec![0.0],
        attributes: BTreeMap::from([(COLLECTION.to_owned(), text)]),
    }
}

fn carried(point: &Point) -> Vec<u8> {
    let characters = point.attributes[COLLECTION].chars();
    characters.map(|one| u8::try_from(one).unwrap()).collect()
}

/// In the order of its points: a whole state's comes before those of sequences.
fn id(sequence: u64) -> String {
    format!("{sequence:016x}")
}

impl Payloads for Text {
    fn newest_schema(&self) -> Schema {
        self.0
            .as_ref()
            .map_or(Schema::MAX, |fold| fold.newest_schema())
    }

    fn whole(&self, payload: &[u8]) -> Result<Collections, FoldError> {
        let collection = Collection {
            dimensions: 1,
            points: BTreeMap::from([(id(0), carrying(payload))]),
        };
        Ok(Collections(BTreeMap::from([(
            COLLECTION.to_owned(),
            collection,
        )])))
    }

    fn operations(&self, delta: &Entry) -> Result<Vec<Operation>, StopReason> {
        let fold = self.0.as_ref().ok_or(StopReason::NoFold)?;
        // The kit's fold puts something behind a state, whatever the state; what, it says of none.
        let behind = fold
            .fold(delta.grain(), b"", delta)
            .map_err(StopReason::Fold)?;
        Ok(vec![Operation::Upsert {
            collection: COLLECTION.to_owned(),
            id: id(delta.sequence().get()),
            point: carrying(&behind),
        }])
    }

    fn write(&self, whole: &Collections) -> Result<Bytes, CodecError> {
        let points = whole.0[COLLECTION].points.values();
        Ok(points.flat_map(carried).collect())
    }

    fn size_of_collection(&self, _: &str) -> usize {
        0
    }

    fn size_of_point(&self, _: &str, point: &Point) -> usize {
        carried(point).len()
    }
}

struct Engines;

impl Engines {
    async fn engine(folder: &TempDir, fold: Option<Arc<dyn Fold>>) -> Engine {
        let path = folder.path().join("engine.db");
        let payloads = Box::new(Text(fold));
        Engine::open_with(path, payloads, MAX_STATE).await.unwrap()
    }
}

impl StoreFactory for Engines {
    type Guard = TempDir;
    type Store = Engine;

    async fn open(&self, fold: Option<Arc<dyn Fold>>) -> (TempDir, Engine) {
        let folder = tempfile::tempdir().unwrap();
        let engine = Self::engine(&folder, fold).await;
        (folder, engine)
    }

    async fn reopen(&self, folder: &TempDir, fold: Option<Arc<dyn Fold>>) -> Option<Engine> {
        Some(Self::engine(folder, fold).await)
    }

    fn max_state(&self) -> usize {
        MAX_STATE
    }
}

gleaner_conformance::store_conformance!(Engines);
