//! The clauses of a replica store on the engine's own payloads, where the kit's do not reach: against
//! a store that folds bytes, and with payloads that are none.

use std::sync::Arc;

use bytes::Bytes;
use gleaner::memory::MemoryReplicaStore;
use gleaner::{
    Advance, Cursor, Digest, Draft, Entry, Expected, Fold, GrainId, Kind, LogId, Outcome, Rebase,
    ReplicaStore, Schema, StopReason, Writer,
};
use tempfile::TempDir;

use crate::database::grain;
use crate::dice::Dice;
use crate::engine::{Engine, SearchError};
use crate::nearest::{Metric, Query};
use crate::operation::{Operation, Point, Refused};
use crate::payload::{Bincoded, Payloads, SCHEMA};
use crate::state::Collections;

const WRITER: Writer = Writer::new(7);

fn log() -> LogId {
    LogId::new("a log")
}

/// The entries of one database, as a publisher numbers them.
struct Pen {
    grain: GrainId,
    last: (Cursor, Digest),
}

impl Pen {
    fn new(name: &str) -> Self {
        Self {
            grain: grain(name).unwrap(),
            last: (Cursor::new(1, 0), Digest::ZERO),
        }
    }

    fn entry(&mut self, kind: Kind, payload: Bytes) -> Entry {
        let (cursor, digest) = self.last;
        let next = Cursor::new(1, cursor.sequence.get() + 1);
        let grain = self.grain.clone();
        let mut draft = match kind {
            Kind::FullState => Draft::full(grain, next, WRITER, payload),
            Kind::Delta => Draft::delta(grain, next, WRITER, digest, payload),
            Kind::Tombstone => Draft::tombstone(grain, next, WRITER),
        };
        draft.schema = SCHEMA;
        let entry = draft.seal();
        self.last = (entry.cursor(), entry.digest());
        entry
    }

    fn full(&mut self, whole: &Collections) -> Entry {
        self.entry(Kind::FullState, Bincoded.write(whole).unwrap())
    }

    fn delta(&mut self, operations: &Vec<Operation>) -> Entry {
        self.entry(Kind::Delta, Bincoded::delta(operations).unwrap())
    }
}

async fn engine() -> (TempDir, Engine) {
    let folder = tempfile::tempdir().unwrap();
    let engine = reopened(&folder).await;
    engine.bind(&log(), None).await.unwrap();
    (folder, engine)
}

async fn reopened(folder: &TempDir) -> Engine {
    Engine::open(folder.path().join("engine.db")).await.unwrap()
}

async fn apply(store: &dyn ReplicaStore, entries: &[Entry]) -> Outcome {
    let grain = entries[0].grain().clone();
    let marks = store.cursor(std::slice::from_ref(&grain)).await.unwrap();
    let run = Advance {
        grain,
        generation: marks[0].generation,
        entries: entries.to_vec(),
    };
    let mut outcomes = store.apply(&log(), vec![run]).await.unwrap();
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

fn create(name: &str) -> Operation {
    Operation::CreateCollection {
        name: name.to_owned(),
        dimensions: 2,
    }
}

fn upsert(collection: &str, id: &str, vector: [f32; 2]) -> Operation {
    Operation::Upsert {
        collection: collection.to_owned(),
        id: id.to_owned(),
        point: Point {
            vector: vector.to_vec(),
            ..Point::default()
        },
    }
}

fn whole(operations: &[Operation]) -> Collections {
    let mut whole = Collections::default();
    for operation in operations {
        whole.apply(operation.clone()).unwrap();
    }
    whole
}

fn near(collection: &str, vector: [f32; 2]) -> Query {
    Query {
        collection: collection.to_owned(),
        vector: vector.to_vec(),
        count: 100,
        metric: Metric::L2,
    }
}

async fn ids(engine: &Engine, collection: &str) -> Vec<String> {
    let found = engine
        .search(&grain("a").unwrap(), near(collection, [0.0, 0.0]))
        .await
        .unwrap();
    found.what.into_iter().map(|hit| hit.id).collect()
}

/// Histories of operations, most of which make sense, and of payloads that make none; runs that are
/// cut, doubled and strayed; rebases: engine and byte store say the same of each and hold the same.
#[tokio::test]
async fn s1_to_s3_the_engine_is_what_a_fold_over_bytes_is() {
    for (seed, limit) in [(1, 1 << 20), (2, 1 << 20), (3, 600), (4, 900)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.db");
        let engine = Engine::open_with(path, Box::new(Bincoded), limit)
            .await
            .unwrap();
        let folding = MemoryReplicaStore::new()
            .with_fold(Arc::new(Bincoded))
            .with_max_state(limit);
        engine.bind(&log(), None).await.unwrap();
        folding.bind(&log(), None).await.unwrap();
        let mut dice = Dice::new(seed);
        let mut history = history(&mut dice);
        let (mut stops, mut moves) = (0, 0);
        for step in 0..600 {
            // Mostly from where both stand; else a stray, or what lies behind a bad entry.
            let near = if dice.roll(4) == 0 { 100 } else { 3 };
            let from = dice.pick(history.len().min(near));
            let many = 1 + dice.pick(5);
            let run: Vec<Entry> = history.iter().skip(from).take(many).cloned().collect();
            let (there, here) = if dice.roll(12) == 0 {
                rebase(&engine, &folding, run).await
            } else {
                (apply(&folding, &run).await, apply(&engine, &run).await)
            };
            assert_eq!(here, there, "seed {seed}, step {step}");
            stops += usize::from(here.stop.is_some());
            moves += here.applied;
            let id = grain("a").unwrap();
            let (mine, theirs) = (engine.get(&id).await, folding.get(&id).await);
            assert_eq!(mine.unwrap(), theirs.unwrap(), "seed {seed}, step {step}");
            let mark = &engine.cursor(&[id]).await.unwrap()[0];
            history.retain(|entry| entry.cursor() >= mark.cursor);
            if history.len() < 20 {
                history = history_behind(&mut dice, mark.cursor, mark.digest);
            }
        }
        assert!(
            stops > 50 && moves > 100,
            "seed {seed}: {stops} stops, {moves} moves"
        );
    }
}

async fn rebase(
    engine: &Engine,
    folding: &MemoryReplicaStore,
    entries: Vec<Entry>,
) -> (Outcome, Outcome) {
    let grain = entries[0].grain().clone();
    let marks = engine.cursor(std::slice::from_ref(&grain)).await.unwrap();
    let rebase = Rebase {
        grain,
        expected: Expected::from(&marks[0]),
        entries,
    };
    (
        folding.rebase(&log(), rebase.clone()).await.unwrap(),
        engine.rebase(&log(), rebase).await.unwrap(),
    )
}

fn history(dice: &mut Dice) -> Vec<Entry> {
    history_behind(dice, Cursor::new(1, 0), Digest::ZERO)
}

fn history_behind(dice: &mut Dice, cursor: Cursor, digest: Digest) -> Vec<Entry> {
    let mut pen = Pen::new("a");
    pen.last = (cursor, digest);
    let mut state = Collections::default();
    let mut all = vec![pen.full(&state)];
    while all.len() < 100 {
        match dice.roll(30) {
            0 => {
                all.push(pen.entry(Kind::Tombstone, Bytes::new()));
                state = Collections::default();
                all.push(pen.full(&state));
            }
            1..5 => all.push(pen.full(&state)),
            5 => all.push(pen.entry(Kind::Delta, dice.bytes(40).into())),
            _ => {
                // Operations that are refused are left in now and then.
                let bad = dice.roll(25) == 0;
                let mut operations = Vec::new();
                for _ in 0..=dice.roll(4) {
                    let operation = dice.operation();
                    if state.apply(operation.clone()).is_ok() || bad {
                        operations.push(operation);
                    }
                }
                all.push(pen.delta(&operations));
            }
        }
    }
    all
}

/// A Delta of which one operation is refused does nothing at all.
#[tokio::test]
async fn s1_a_delta_is_done_whole_or_not() {
    let (_folder, engine) = engine().await;
    let mut pen = Pen::new("a");
    let base = pen.full(&whole(&[create("c"), upsert("c", "kept", [1.0, 1.0])]));
    assert_eq!(apply(&engine, std::slice::from_ref(&base)).await.stop, None);
    let before = engine.get(&pen.grain).await.unwrap();
    for refused in [
        Operation::DropCollection {
            name: "none".to_owned(),
        },
        upsert("none", "x", [0.0, 0.0]),
        create("c"),
        Operation::Delete {
            collection: "none".to_owned(),
            id: "x".to_owned(),
        },
    ] {
        let mut pen = Pen { ..Pen::new("a") };
        pen.last = (base.cursor(), base.digest());
        let delta = pen.delta(&vec![
            upsert("c", "new", [2.0, 2.0]),
            Operation::Delete {
                collection: "c".to_owned(),
                id: "kept".to_owned(),
            },
            create("other"),
            refused,
        ]);
        let outcome = apply(&engine, &[delta]).await;
        let why = outcome.stop.map(|stop| stop.why);
        assert!(matches!(why, Some(StopReason::Fold(_))), "{why:?}");
        assert_eq!(engine.get(&pen.grain).await.unwrap(), before);
    }
    assert_eq!(ids(&engine, "c").await, ["kept"]);
}

/// An upsert again, a delete again: an entry counts once.
#[tokio::test]
async fn s2_operations_are_done_once() {
    let (_folder, engine) = engine().await;
    let mut pen = Pen::new("a");
    let run = [
        pen.full(&Collections::default()),
        pen.delta(&vec![create("c"), upsert("c", "x", [1.0, 0.0])]),
        pen.delta(&vec![Operation::DropCollection {
            name: "c".to_owned(),
        }]),
        pen.delta(&vec![create("c"), upsert("c", "y", [1.0, 0.0])]),
    ];
    assert_eq!(apply(&engine, &run).await.applied, 4);
    for from in 0..run.len() {
        let outcome = apply(&engine, &run[from..]).await;
        assert_eq!((outcome.applied, outcome.stop), (0, None));
    }
    assert_eq!(ids(&engine, "c").await, ["y"]);
}

/// Searches while entries go in: each finds a state that some entry led to, under its cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s4_a_search_sees_one_moment() {
    let (_folder, engine) = engine().await;
    let mut pen = Pen::new("a");
    let run = [pen.full(&whole(&[create("c")]))];
    apply(&engine, &run).await;
    let searching = tokio::spawn({
        let engine = engine.clone();
        async move {
            let mut moments = std::collections::BTreeSet::new();
            loop {
                let query = near("c", [0.0, 0.0]);
                let found = engine.search(&grain("a").unwrap(), query).await.unwrap();
                let sequence = found.cursor.sequence.get();
                // The entry of a sequence puts all ten points that far away.
                if sequence > 1 {
                    assert_eq!(found.what.len(), 10);
                    for hit in &found.what {
                        let far = f64::from(u32::try_from(sequence).unwrap());
                        assert_eq!(hit.distance.to_bits(), far.to_bits());
                    }
                }
                moments.insert(sequence);
                if sequence == 301 {
                    return moments;
                }
            }
        }
    });
    for at in 2_u16..=301 {
        let points = (0..10).map(|id| upsert("c", &id.to_string(), [f32::from(at), 0.0]));
        let delta = pen.delta(&points.collect());
        assert_eq!(apply(&engine, &[delta]).await.applied, 1);
    }
    let moments = searching.await.unwrap();
    assert!(moments.contains(&301), "{moments:?}");
}

/// What was answered is there after reopening, and a run goes on behind it.
#[tokio::test]
async fn s5_a_reopened_engine_goes_on() {
    let (folder, engine) = engine().await;
    let mut pen = Pen::new("a");
    let run = [
        pen.full(&whole(&[create("c")])),
        pen.delta(&vec![upsert("c", "x", [1.0, 0.0])]),
    ];
    apply(&engine, &run).await;
    let before = engine.get(&pen.grain).await.unwrap();
    drop(engine);
    let engine = reopened(&folder).await;
    assert_eq!(engine.get(&pen.grain).await.unwrap(), before);
    let next = [pen.delta(&vec![upsert("c", "y", [2.0, 0.0])])];
    assert_eq!(apply(&engine, &next).await.applied, 1);
    assert_eq!(ids(&engine, "c").await, ["x", "y"]);
}

/// What a whole state does not say is gone, and a Tombstone leaves nothing to search.
#[tokio::test]
async fn s6_a_whole_state_replaces_everything() {
    let (_folder, engine) = engine().await;
    let mut pen = Pen::new("a");
    let id = pen.grain.clone();
    let before = [create("c"), create("d"), upsert("c", "x", [1.0, 0.0])];
    apply(&engine, &[pen.full(&whole(&before))]).await;
    let after = [create("c"), upsert("c", "y", [1.0, 0.0])];
    apply(&engine, &[pen.full(&whole(&after))]).await;
    assert_eq!(ids(&engine, "c").await, ["y"]);
    let gone = engine.search(&id, near("d", [0.0, 0.0])).await;
    let name = "d".to_owned();
    assert!(
        matches!(&gone, Err(SearchError::Refused(Refused::NoCollection { name: no })) if *no == name),
        "{gone:?}"
    );
    apply(&engine, &[pen.entry(Kind::Tombstone, Bytes::new())]).await;
    let ended = engine.search(&id, near("c", [0.0, 0.0])).await;
    assert!(matches!(ended, Err(SearchError::NoDatabase)), "{ended:?}");
    let back = [pen.full(&whole(&after))];
    assert_eq!(apply(&engine, &back).await.applied, 1);
    assert_eq!(ids(&engine, "c").await, ["y"]);
}

/// Two handles that know nothing of each other, as two processes have: each operation counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_two_engines_on_one_file_do_each_operation_once() {
    let (folder, first) = engine().await;
    let second = reopened(&folder).await;
    let mut pen = Pen::new("a");
    let mut run = vec![pen.full(&whole(&[create("c")]))];
    for at in 0_u16..60 {
        // Would be refused if it was done again.
        let name = format!("c{at}");
        run.push(pen.delta(&vec![
            create(&name),
            upsert(&name, "x", [f32::from(at), 0.0]),
        ]));
    }
    let hands = [first.clone(), second].map(|engine| {
        let run = run.clone();
        tokio::spawn(async move {
            let mut applied = 0;
            for upto in 1..=run.len() {
                let outcome = apply(&engine, &run[..upto]).await;
                assert_eq!(outcome.stop, None);
                applied += outcome.applied;
            }
            applied
        })
    });
    let mut applied = 0;
    for hand in hands {
        applied += hand.await.unwrap();
    }
    assert_eq!(applied, run.len());
    assert_eq!(ids(&first, "c59").await, ["x"]);
}

/// A database is not another's: same names, same ids. One that is removed leaves nothing behind.
#[tokio::test]
async fn s7_databases_are_kept_apart() {
    let (folder, engine) = engine().await;
    for (name, x) in [("a", 1.0), ("b", 2.0)] {
        let database = whole(&[create("c"), upsert("c", "x", [x, 0.0])]);
        apply(&engine, &[Pen::new(name).full(&database)]).await;
    }
    let removed = engine.prune(&[grain("b").unwrap()]).await.unwrap();
    assert_eq!(removed, 1);
    assert_eq!(ids(&engine, "c").await, ["x"]);
    let gone = engine
        .search(&grain("b").unwrap(), near("c", [0.0, 0.0]))
        .await;
    assert!(matches!(gone, Err(SearchError::NoDatabase)), "{gone:?}");
    let file = rusqlite::Connection::open(folder.path().join("engine.db")).unwrap();
    for table in ["database", "collection", "point"] {
        let count = format!("SELECT count(*) FROM {table}");
        let rows: i64 = file.query_row(&count, (), |row| row.get(0)).unwrap();
        assert_eq!(rows, 1, "rows of {table}");
    }
}

/// A state or a change that is none is refused; the database is served as it was, and heals with the
/// next whole state.
#[tokio::test]
async fn s7_what_is_no_payload_stops_the_run() {
    let (_folder, engine) = engine().await;
    let mut pen = Pen::new("a");
    let database = whole(&[create("c"), upsert("c", "x", [1.0, 0.0])]);
    apply(&engine, &[pen.full(&database)]).await;
    let before = engine.get(&pen.grain).await.unwrap();
    let longer = [Bincoded.write(&database).unwrap().as_ref(), b"x"].concat();
    for kind in [Kind::FullState, Kind::Delta] {
        for payload in [&b"nonsense"[..], b"", &[0xff; 64], &longer] {
            let mut hand = Pen::new("a");
            hand.last = pen.last;
            let outcome = apply(
                &engine,
                &[hand.entry(kind, Bytes::copy_from_slice(payload))],
            )
            .await;
            let why = outcome.stop.map(|stop| stop.why);
            assert!(
                matches!(why, Some(StopReason::Fold(_))),
                "{kind:?}: {why:?}"
            );
            assert_eq!(engine.get(&pen.grain).await.unwrap(), before);
        }
    }
    assert_eq!(ids(&engine, "c").await, ["x"]);
    assert_eq!(apply(&engine, &[pen.full(&database)]).await.applied, 1);
}

/// Payloads of a later version of this program wait for one that reads them.
#[tokio::test]
async fn s7_a_newer_schema_stops_the_run() {
    let (_folder, engine) = engine().await;
    let pen = Pen::new("a");
    let payload = Bincoded.write(&Collections::default()).unwrap();
    let mut draft = Draft::full(pen.grain.clone(), Cursor::new(1, 1), WRITER, payload);
    draft.schema = Schema::new(SCHEMA.get() + 1);
    let outcome = apply(&engine, &[draft.seal()]).await;
    let newest = Fold::newest_schema(&Bincoded);
    assert!(
        matches!(
            outcome.stop.map(|stop| stop.why),
            Some(StopReason::Schema { newest: found, .. }) if found == newest
        ),
        "it must stop"
    );
}

/// Another program's file is left alone.
#[tokio::test]
async fn s9_a_foreign_file_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    let theirs = rusqlite::Connection::open(&path).unwrap();
    theirs.execute_batch("CREATE TABLE mine (x)").unwrap();
    let Err(refused) = Engine::open(&path).await else {
        panic!("a foreign file was opened");
    };
    assert!(refused.to_string().contains("theirs.db"), "{refused}");
    let tables: i64 = theirs
        .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}
