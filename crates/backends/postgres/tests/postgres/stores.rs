//! What the kit does not see of stores: the tables themselves, and what is large or odd.

use std::sync::Arc;

use bytes::Bytes;
use gleaner_core::{
    Advance, Binding, Cursor, Draft, Entry, ErrorKind, Expected, Filter, Fold, FoldError,
    Generation, GrainId, LogId, Mark, Rebase, ReplicaStore, StopReason, Writer,
};
use gleaner_postgres::PostgresReplicaStore;

use crate::server::{Sql, fresh, is_installed, schema_of};

pub(crate) fn log() -> LogId {
    LogId::new(&b"the log"[..])
}

pub(crate) fn grain(key: &str) -> GrainId {
    GrainId::new("aircraft", key).unwrap()
}

pub(crate) fn full(grain: &GrainId, sequence: u64, payload: impl Into<Bytes>) -> Entry {
    let cursor = Cursor::new(1, sequence);
    Draft::full(grain.clone(), cursor, Writer::new(1), payload).seal()
}

/// A whole state, then Deltas that follow each other.
pub(crate) fn history(grain: &GrainId, count: u64) -> Vec<Entry> {
    let mut all = vec![full(grain, 1, "1")];
    for sequence in 2..=count {
        let prev = all[all.len() - 1].digest();
        let cursor = Cursor::new(1, sequence);
        let payload = format!(" {sequence}");
        all.push(Draft::delta(grain.clone(), cursor, Writer::new(1), prev, payload).seal());
    }
    all
}

pub(crate) fn told(count: u64) -> String {
    let numbers: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    numbers.join(" ")
}

/// Puts a Delta's payload behind the state.
pub(crate) struct Behind;

impl Fold for Behind {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        Ok([state, delta.payload()].concat().into())
    }
}

pub(crate) async fn bound(url: &str) -> PostgresReplicaStore {
    let store = PostgresReplicaStore::open(url, Some(Arc::new(Behind)))
        .await
        .unwrap();
    assert_eq!(store.bind(&log(), None).await.unwrap(), Binding::Bound);
    store
}

pub(crate) fn run(mark: &Mark, grain: &GrainId, entries: &[Entry]) -> Advance {
    Advance {
        grain: grain.clone(),
        generation: mark.generation,
        entries: entries.to_vec(),
    }
}

pub(crate) async fn mark(store: &PostgresReplicaStore, grain: &GrainId) -> Mark {
    let grains = std::slice::from_ref(grain);
    store.cursor(grains).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_reopened_store_goes_on_where_it_was() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let store = bound(&url).await;
    let (here, gone) = (grain("here"), grain("gone"));
    let all = history(&here, 3);
    let absent = mark(&store, &here).await;
    let runs = vec![
        run(&absent, &here, &all[..2]),
        run(&absent, &gone, &[full(&gone, 7, "gone")]),
    ];
    store.apply(&log(), runs).await.unwrap();
    assert_eq!(store.prune(std::slice::from_ref(&gone)).await.unwrap(), 1);
    drop(store);
    let store = bound(&url).await;
    assert!(!store.is_resident());
    assert!(store.peek(&here).is_none() && store.handle(&here).is_none());
    let marks = store.cursor(&[gone.clone(), here.clone()]).await.unwrap();
    assert_eq!(marks[0], Mark::absent(Generation::new(1)));
    assert_eq!(marks[1].cursor, Cursor::new(1, 2));
    let outcome = store
        .apply(&log(), vec![run(&marks[1], &here, &all)])
        .await
        .unwrap()
        .remove(0);
    assert_eq!((outcome.applied, outcome.stop), (1, None));
    let replica = store.get(&here).await.unwrap().unwrap();
    assert_eq!(replica.state(), Some(told(3).as_bytes()));
}

#[tokio::test]
async fn a_thousand_whole_states_are_written_by_one_transaction() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let store = bound(&url).await;
    let sql = Sql::connect(&url).await;
    let table = format!("{}.replica", schema_of(&url));
    let ids: Vec<GrainId> = (0..1000).map(|key| grain(&key.to_string())).collect();
    for sequence in 1..=2 {
        let marks = store.cursor(&ids).await.unwrap();
        let runs = marks
            .iter()
            .zip(&ids)
            .map(|(mark, id)| run(mark, id, &[full(id, sequence, vec![1; 1024])]));
        let outcomes = store.apply(&log(), runs.collect()).await.unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.applied == 1));
        let written = format!("SELECT count(*) FROM {table} WHERE sequence = {sequence}");
        assert_eq!(sql.number(&written).await, 1000);
        let transactions = format!("SELECT count(DISTINCT xmin::text) FROM {table}");
        assert_eq!(sql.number(&transactions).await, 1);
    }
}

#[tokio::test]
async fn what_is_too_much_for_one_turn_is_carried_out_in_several() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let store = bound(&url).await;
    // States of which two are more than a turn reads or writes, and more grains than it takes.
    let large: Vec<GrainId> = (0..4).map(|key| grain(&format!("large {key}"))).collect();
    let small: Vec<GrainId> = (0..2500)
        .map(|key| grain(&format!("small {key}")))
        .collect();
    let bases: Vec<Entry> = large
        .iter()
        .map(|id| full(id, 1, vec![b'x'; 5 << 20]))
        .collect();
    let absent = mark(&store, &large[0]).await;
    let runs = large
        .iter()
        .zip(&bases)
        .map(|(id, base)| run(&absent, id, std::slice::from_ref(base)));
    let runs = runs.chain(small.iter().map(|id| run(&absent, id, &[full(id, 1, "s")])));
    let outcomes = store.apply(&log(), runs.collect()).await.unwrap();
    assert_eq!(outcomes.len(), 2504);
    assert!(outcomes.iter().all(|outcome| outcome.applied == 1));
    // Deltas on all of the large ones, and two runs about one grain.
    let deltas = large.iter().zip(&bases).map(|(id, base)| {
        let cursor = Cursor::new(1, 2);
        let delta = Draft::delta(id.clone(), cursor, Writer::new(1), base.digest(), "y");
        run(&absent, id, &[delta.seal()])
    });
    let twice = [2, 3].map(|sequence| run(&absent, &small[0], &[full(&small[0], sequence, "t")]));
    let outcomes = store
        .apply(&log(), deltas.chain(twice).collect())
        .await
        .unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.applied == 1 && outcome.stop.is_none())
    );
    for id in &large {
        let replica = store.get(id).await.unwrap().unwrap();
        let state = replica.state().unwrap();
        assert_eq!((state.len(), state.last()), ((5 << 20) + 1, Some(&b'y')));
    }
    assert_eq!(mark(&store, &small[0]).await.cursor, Cursor::new(1, 3));
}

#[tokio::test]
async fn a_page_ends_at_64_mib_of_states() {
    if !is_installed() {
        return;
    }
    let store = bound(&fresh()).await;
    let ids: Vec<GrainId> = (0..6).map(|key| grain(&key.to_string())).collect();
    for id in &ids {
        let absent = mark(&store, id).await;
        let runs = vec![run(&absent, id, &[full(id, 1, vec![1; 15 << 20])])];
        store.apply(&log(), runs).await.unwrap();
    }
    let (mut after, mut pages) = (None, Vec::new());
    loop {
        let page = store
            .list(&Filter::all(), after.as_ref(), 10)
            .await
            .unwrap();
        assert!(
            page.replicas
                .iter()
                .all(|(_, replica)| replica.state().unwrap().len() == 15 << 20)
        );
        pages.push(page.replicas.len());
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(pages, [5, 1]);
}

#[tokio::test]
async fn names_and_schemas_of_any_characters_are_kept_apart() {
    if !is_installed() {
        return;
    }
    let server = fresh();
    let (server, _) = server.split_once('?').unwrap();
    let config = PostgresReplicaStore::builder(server).unwrap();
    let store = config
        .schema("o'Ne \"%\\/ $1 {s}")
        .unwrap()
        .open()
        .await
        .unwrap();
    store.bind(&log(), None).await.unwrap();
    let longest = "\u{1f33e}".repeat(128);
    let parts = [
        "a",
        "A",
        "a/b",
        "b",
        "a.b",
        "*",
        "%",
        "_",
        "'",
        "\"",
        "\\",
        "\\x00",
        "$1",
        "{s}",
        "\0",
        "a\0",
        "\n",
        "\u{7f}",
        " ",
        "NULL",
        "\u{1f33e}",
        &longest,
    ];
    let mut ids = Vec::new();
    for name in parts {
        for key in parts {
            ids.push(GrainId::new(name, key).unwrap());
        }
    }
    let absent = mark(&store, &ids[0]).await;
    let runs = ids
        .iter()
        .map(|id| run(&absent, id, &[full(id, 1, id.to_string())]));
    store.apply(&log(), runs.collect()).await.unwrap();
    for id in &ids {
        let replica = store.get(id).await.unwrap().unwrap();
        assert_eq!(replica.state(), Some(id.to_string().as_bytes()));
    }
    let page = store.list(&Filter::all(), None, 1000).await.unwrap();
    let mut sorted = ids.clone();
    sorted.sort();
    let listed: Vec<GrainId> = page.replicas.into_iter().map(|(id, _)| id).collect();
    assert_eq!((listed, page.next), (sorted, None));
    assert_eq!(store.prune(&ids[..30]).await.unwrap(), 30);
    assert!(store.get(&ids[29]).await.unwrap().is_none());
    assert!(store.get(&ids[30]).await.unwrap().is_some());
}

#[tokio::test]
async fn tables_of_a_newer_version_are_refused_and_left_alone() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let store = bound(&url).await;
    let id = grain("a");
    let absent = mark(&store, &id).await;
    let one = vec![run(&absent, &id, &[full(&id, 1, "one")])];
    store.apply(&log(), one).await.unwrap();
    let sql = Sql::connect(&url).await;
    let schema = schema_of(&url);
    sql.run(&format!(
        "UPDATE {schema}.layout SET version = 2 WHERE name = 'replica store'"
    ))
    .await;
    let runs = || vec![run(&absent, &id, &[full(&id, 2, "two")])];
    let rebase = Rebase {
        grain: id.clone(),
        expected: Expected {
            cursor: Cursor::new(1, 1),
            generation: Generation::default(),
        },
        entries: vec![full(&id, 2, "two")],
    };
    let expected = rebase.expected;
    let ids = [id.clone()];
    let refusals = [
        PostgresReplicaStore::open(&url, None).await.err(),
        store.bind(&LogId::new("other"), Some(&log())).await.err(),
        store.apply(&log(), runs()).await.err(),
        store.rebase(&log(), rebase).await.err(),
        store.remove(&id, expected).await.err(),
        store.prune(&ids).await.err(),
        store.get(&id).await.err(),
        store.cursor(&ids).await.err(),
        store.list(&Filter::all(), None, 10).await.err(),
    ];
    for (at, refusal) in refusals.into_iter().enumerate() {
        let error = refusal.unwrap_or_else(|| panic!("call {at} was not refused"));
        assert_eq!(error.kind(), ErrorKind::Permanent, "call {at}: {error}");
        let said = error.to_string();
        assert!(
            said.contains("version 2") && said.contains("knows 1"),
            "{said}"
        );
    }
    let version = format!("SELECT version::int8 FROM {schema}.layout WHERE name = 'replica store'");
    assert_eq!(sql.number(&version).await, 2);
    sql.run(&format!(
        "UPDATE {schema}.layout SET version = 1 WHERE name = 'replica store'"
    ))
    .await;
    let replica = store.get(&id).await.unwrap().unwrap();
    assert_eq!(
        (replica.cursor(), replica.log()),
        (Cursor::new(1, 1), &log())
    );
    assert_eq!(store.bind(&log(), None).await.unwrap(), Binding::Bound);
}

#[tokio::test]
async fn a_damaged_row_harms_its_grain_alone() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let store = bound(&url).await;
    let sql = Sql::connect(&url).await;
    let schema = schema_of(&url);
    let ids = ["before", "hit", "later"].map(grain);
    for (turn, damage) in [
        "epoch = -1",
        "sequence = -5",
        "generation = -1",
        "schema = -1",
        "schema = 4294967296",
    ]
    .into_iter()
    .enumerate()
    {
        let number = turn as u64 * 2 + 1;
        let marks = store.cursor(&ids).await.unwrap();
        let runs = |marks: &[Mark], number: u64| -> Vec<Advance> {
            let runs = marks.iter().zip(&ids);
            runs.map(|(mark, id)| run(mark, id, &[full(id, number, "whole")]))
                .collect()
        };
        store.apply(&log(), runs(&marks, number)).await.unwrap();
        sql.run(&format!(
            "UPDATE {schema}.replica SET {damage} WHERE grain_key = 'hit'"
        ))
        .await;
        let outcomes = store.apply(&log(), runs(&marks, number + 1)).await.unwrap();
        for (at, outcome) in outcomes.into_iter().enumerate() {
            let why = outcome.stop.map(|stop| stop.why);
            match at {
                1 => assert!(
                    matches!(why, Some(StopReason::Fold(_))),
                    "{damage}: {why:?}"
                ),
                _ => assert_eq!((outcome.applied, why), (1, None), "{damage}"),
            }
        }
        let refused = |error: gleaner_core::Error| {
            assert_eq!(error.kind(), ErrorKind::Permanent, "{damage}: {error}");
            assert_eq!(error.grain(), Some(&ids[1]), "{damage}: {error}");
        };
        refused(store.get(&ids[1]).await.unwrap_err());
        refused(store.cursor(&ids).await.unwrap_err());
        let rebase = Rebase {
            grain: ids[1].clone(),
            expected: Expected::from(&marks[1]),
            entries: vec![full(&ids[1], number + 1, "whole")],
        };
        refused(store.rebase(&log(), rebase).await.unwrap_err());
        let neighbours = [ids[0].clone(), ids[2].clone()];
        let cursors = store.cursor(&neighbours).await.unwrap();
        assert!(
            cursors
                .iter()
                .all(|mark| mark.cursor == Cursor::new(1, number + 1))
        );
        // A page ends before it, and one that would begin with it says so.
        let page = store.list(&Filter::all(), None, 10).await.unwrap();
        assert_eq!(
            (page.replicas.len(), page.next.as_ref()),
            (1, Some(&ids[0]))
        );
        refused(
            store
                .list(&Filter::all(), Some(&ids[0]), 10)
                .await
                .unwrap_err(),
        );
        let rest = store.list(&Filter::all(), Some(&ids[1]), 10).await.unwrap();
        assert_eq!((rest.replicas.len(), rest.next), (1, None));
        // Told to, the store lets it go, and begins anew.
        assert_eq!(store.prune(&ids[1..2]).await.unwrap(), 1, "{damage}");
    }
}
