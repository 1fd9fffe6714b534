//! A file that is deleted, or deleted and begun anew, under logs that hold it open (L11).

use std::path::Path;
use std::time::Duration;

use gleaner_core::{Budget, Caught, ChangeFeed, Cursor, ErrorKind, Filter, ReplicationLog};
use gleaner_sqlite::SqliteLog;

use crate::{full, grain};

const LONG: Duration = Duration::from_secs(60);

fn delete(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(end);
        drop(std::fs::remove_file(file));
    }
    assert!(!path.exists());
}

#[tokio::test]
async fn a_reader_finds_the_new_log_and_its_position_is_expired() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let reader = SqliteLog::open(&path).await.unwrap();
    reader.append(full("a", 1, 9, "old")).await.unwrap();
    let all = Filter::all();
    let before = reader.identity().await.unwrap();
    let since = reader.start(&all).await.unwrap();

    delete(&path);
    let anew = SqliteLog::open(&path).await.unwrap();
    anew.append(full("a", 1, 1, "new")).await.unwrap();

    tokio::time::timeout(LONG, reader.wait(&since, LONG * 2))
        .await
        .expect("a waiter learns of it");
    let expired = reader.changes(&since, &all, 10).await.unwrap_err();
    assert_eq!(expired.kind(), ErrorKind::Expired);
    let wants = [(grain("a"), Cursor::ZERO)];
    let caught = reader.catch_up(&wants, Budget::UNBOUNDED).await.unwrap();
    assert_ne!(caught.identity, before);
    assert_ne!(caught.identity.log, before.log);
    assert_eq!(caught.identity, anew.identity().await.unwrap());
    let [Caught::Run(run)] = &caught.grains[..] else {
        panic!("{caught:?}");
    };
    assert_eq!(&run.entries[0].payload()[..], b"new");
    // What the reader writes goes to the new file too, and the feed goes on there.
    let since = reader.start(&all).await.unwrap();
    reader.append(full("a", 1, 2, "newer")).await.unwrap();
    assert_eq!(anew.changes(&since, &all, 10).await.unwrap().moved.len(), 1);
    assert_eq!(
        anew.heads(&[grain("a")]).await.unwrap()[0].unwrap().cursor,
        Cursor::new(1, 2)
    );
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_of_and_not_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.unwrap();
    log.append(full("a", 1, 1, "x")).await.unwrap();
    log.heads(&[grain("a")]).await.unwrap();
    delete(&path);
    for error in [
        log.append(full("a", 1, 2, "x")).await.unwrap_err(),
        log.heads(&[grain("a")]).await.unwrap_err(),
        log.identity().await.unwrap_err(),
        log.start(&Filter::all()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
        assert!(error.to_string().contains("gone"), "{error}");
    }
    assert!(!path.exists());
    // Once somebody begins it anew, it goes on.
    let anew = SqliteLog::open(&path).await.unwrap();
    log.append(full("a", 1, 1, "again")).await.unwrap();
    assert!(anew.heads(&[grain("a")]).await.unwrap()[0].is_some());
}

#[tokio::test]
async fn closing_the_old_file_harms_nothing_of_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let old = SqliteLog::open(&path).await.unwrap();
    old.append(full("a", 1, 1, "old")).await.unwrap();
    old.heads(&[grain("a")]).await.unwrap();
    delete(&path);
    let anew = SqliteLog::open(&path).await.unwrap();
    anew.append(full("b", 1, 1, "new")).await.unwrap();
    let wal = folder.path().join("log.db-wal");
    assert!(wal.exists());
    // Each of these closes a connection to the file that was deleted.
    old.heads(&[grain("a")]).await.unwrap();
    old.claim(&[]).await.unwrap();
    old.append(full("c", 1, 1, "new")).await.unwrap();
    drop(old);
    assert!(wal.exists(), "the new log's WAL is its own");
    anew.append(full("b", 1, 2, "newer")).await.unwrap();
    let third = SqliteLog::open(&path).await.unwrap();
    let heads = third
        .heads(&[grain("a"), grain("b"), grain("c")])
        .await
        .unwrap();
    assert!(heads[0].is_none());
    assert_eq!(heads[1].unwrap().cursor, Cursor::new(1, 2));
    assert!(heads[2].is_some());
}

#[tokio::test]
async fn a_copy_renamed_into_place_is_another_history_of_the_same_log() {
    let folder = tempfile::tempdir().unwrap();
    let (path, copy) = (folder.path().join("log.db"), folder.path().join("copy.db"));
    let log = SqliteLog::open(&path).await.unwrap();
    log.append(full("a", 1, 1, "kept")).await.unwrap();
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    log.append(full("a", 1, 2, "lost")).await.unwrap();
    let before = log.identity().await.unwrap();
    let since = log.start(&Filter::all()).await.unwrap();
    delete(&path);
    std::fs::rename(&copy, &path).unwrap();
    let after = log.identity().await.unwrap();
    assert_eq!(after.log, before.log);
    assert_ne!(after.history, before.history);
    let expired = log.changes(&since, &Filter::all(), 10).await.unwrap_err();
    assert_eq!(expired.kind(), ErrorKind::Expired);
    // What was lost may be written again.
    let head = log.append(full("a", 1, 2, "again")).await.unwrap();
    assert_eq!(head.cursor, Cursor::new(1, 2));
}
