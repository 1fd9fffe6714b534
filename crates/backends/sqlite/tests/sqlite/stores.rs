//! What the kit does not see of stores: memory beside the file, and the file itself.

use gleaner_core::{
    Advance, Binding, Cursor, Entry, ErrorKind, Filter, Generation, LogId, Mark, ReplicaHandle,
    ReplicaStore, StopReason,
};
use gleaner_sqlite::SqliteReplicaStore;

use crate::{full, grain};

fn log() -> LogId {
    LogId::new(&b"the log"[..])
}

async fn bound(path: &std::path::Path) -> SqliteReplicaStore {
    let store = SqliteReplicaStore::open(path, None).await.unwrap();
    assert_eq!(store.bind(&log(), None).await.unwrap(), Binding::Bound);
    store
}

async fn apply(store: &SqliteReplicaStore, entry: Entry) -> Mark {
    let run = Advance {
        grain: entry.grain().clone(),
        generation: Generation::default(),
        entries: vec![entry],
    };
    let outcome = store.apply(&log(), vec![run]).await.unwrap().remove(0);
    assert_eq!(outcome.stop, None);
    outcome.mark
}

fn state(cell: &ReplicaHandle) -> Option<Vec<u8>> {
    cell.load()?.state().as_ref().map(|state| state.to_vec())
}

#[tokio::test]
async fn a_reopened_store_goes_on_where_it_was_and_is_resident_once_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = bound(&path).await;
    let mark = apply(&store, full("a", 1, 3, "three")).await;
    drop(store);
    let store = bound(&path).await;
    assert!(store.peek(&grain("a")).is_none(), "nobody has asked yet");
    assert_eq!(
        store.cursor(&[grain("a"), grain("b")]).await.unwrap(),
        [mark, Mark::absent(Generation::default())]
    );
    let replica = store.peek(&grain("a")).unwrap();
    assert_eq!(replica.cursor(), Cursor::new(1, 3));
    assert_eq!(replica.state(), Some(&b"three"[..]));
    let got = store.get(&grain("a")).await.unwrap().unwrap();
    assert!(replica.is_same(&got), "reading copies nothing");
}

#[tokio::test]
async fn a_handle_outlives_a_removal_and_sees_what_comes_after() {
    let folder = tempfile::tempdir().unwrap();
    let store = bound(&folder.path().join("store.db")).await;
    let cell = store.handle(&grain("a")).unwrap();
    assert_eq!(state(&cell), None);
    let mark = apply(&store, full("a", 1, 1, "one")).await;
    assert_eq!(state(&cell).as_deref(), Some(&b"one"[..]));
    assert!(store.remove(&grain("a"), (&mark).into()).await.unwrap());
    assert_eq!(state(&cell), None);
    assert!(store.get(&grain("a")).await.unwrap().is_none());
    let absent = store.cursor(&[grain("a")]).await.unwrap().remove(0);
    assert!(absent.generation > mark.generation);
    let run = Advance {
        grain: grain("a"),
        generation: absent.generation,
        entries: vec![full("a", 1, 2, "two")],
    };
    store.apply(&log(), vec![run]).await.unwrap();
    assert_eq!(state(&cell).as_deref(), Some(&b"two"[..]));
}

#[tokio::test]
async fn a_store_without_residents_reads_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteReplicaStore::builder(&path)
        .resident(false)
        .open()
        .await
        .unwrap();
    store.bind(&log(), None).await.unwrap();
    apply(&store, full("a", 1, 1, "one")).await;
    assert!(!store.is_resident());
    assert!(store.peek(&grain("a")).is_none() && store.handle(&grain("a")).is_none());
    let got = store.get(&grain("a")).await.unwrap().unwrap();
    assert_eq!(got.state(), Some(&b"one"[..]));
}

#[tokio::test]
async fn residents_learn_of_another_stores_writes_when_they_are_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (one, two) = (bound(&path).await, bound(&path).await);
    apply(&one, full("a", 1, 1, "one")).await;
    let mark = apply(&two, full("a", 1, 2, "two")).await;
    assert_eq!(one.cursor(&[grain("a")]).await.unwrap().remove(0), mark);
    assert_eq!(one.peek(&grain("a")).unwrap().cursor(), Cursor::new(1, 2));
    // Removed by the other, an apply of the former generation changes nothing, here too.
    assert!(two.remove(&grain("a"), (&mark).into()).await.unwrap());
    let late = Advance {
        grain: grain("a"),
        generation: mark.generation,
        entries: vec![full("a", 1, 3, "late")],
    };
    let outcome = one.apply(&log(), vec![late]).await.unwrap().remove(0);
    assert_eq!(outcome.stop.unwrap().why, StopReason::Moved);
    assert!(one.peek(&grain("a")).is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_applies_at_once_are_each_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let store = bound(&folder.path().join("store.db")).await;
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for sequence in 1..=50 {
                    let entry = full(&task.to_string(), 1, sequence, vec![1; 64]);
                    assert_eq!(apply(&store, entry).await.cursor, Cursor::new(1, sequence));
                    // What was answered is shown.
                    let shown = store.peek(&grain(&task.to_string())).unwrap().cursor();
                    assert_eq!(shown, Cursor::new(1, sequence));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let page = store.list(&Filter::all(), None, 100).await.unwrap();
    assert_eq!(page.replicas.len(), 16);
    assert!(
        page.replicas
            .iter()
            .all(|(_, replica)| replica.cursor() == Cursor::new(1, 50))
    );
}

#[tokio::test]
async fn a_store_whose_file_is_gone_says_so_and_a_new_one_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = bound(&path).await;
    apply(&store, full("a", 1, 1, "one")).await;
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.path().join(format!("store.db{end}"))).unwrap();
    }
    let error = store.cursor(&[grain("a")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    drop(bound(&path).await);
    let mark = store.cursor(&[grain("a")]).await.unwrap().remove(0);
    assert_eq!(mark, Mark::absent(Generation::default()));
    assert!(store.peek(&grain("a")).is_none());
}

fn delete(path: &std::path::Path) {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        drop(std::fs::remove_file(file));
    }
}

#[tokio::test]
async fn a_store_begun_anew_has_no_residents_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = bound(&path).await;
    for seen_gone in [false, true] {
        apply(&store, full("a", 1, 1, "old")).await;
        delete(&path);
        if seen_gone {
            let gone = store.cursor(&[grain("b")]).await.unwrap_err();
            assert_eq!(gone.kind(), ErrorKind::Transient, "{gone}");
            // While there is no other, the old one is served.
            assert!(store.peek(&grain("a")).is_some());
        }
        let anew = bound(&path).await;
        store.cursor(&[grain("b")]).await.unwrap();
        assert_eq!(store.peek(&grain("a")), None, "seen gone: {seen_gone}");
        drop(anew);
    }
}

#[tokio::test]
async fn residents_outlast_a_file_that_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = bound(&path).await;
    apply(&store, full("a", 1, 1, "kept")).await;
    let away = |from: &str, to: &str| {
        for end in ["", "-wal", "-shm"] {
            let file = |name: &str| folder.path().join(format!("{name}{end}"));
            drop(std::fs::rename(file(from), file(to)));
        }
    };
    away("store.db", "away.db");
    store.cursor(&[grain("b")]).await.unwrap_err();
    away("away.db", "store.db");
    store.cursor(&[grain("b")]).await.unwrap();
    assert!(store.peek(&grain("a")).is_some());
    apply(&store, full("a", 1, 2, "newer")).await;
}
