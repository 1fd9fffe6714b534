//! Opening: what is refused, with which words, and what is left alone.

use std::path::Path;

use gleaner_core::{Budget, Cursor, ErrorKind, ReplicaStore, ReplicationLog};
use gleaner_sqlite::{SqliteLog, SqliteReplicaStore};
use rusqlite::Connection;

use crate::{full, grain};

async fn refusal(path: &Path) -> gleaner_core::Error {
    let error = SqliteLog::open(path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error} names the path"
    );
    error
}

/// L10: what an append survives is what the connection that writes is set to.
#[tokio::test]
async fn l10_the_writers_connection_says_that_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
    assert_eq!(log.synchronous().await.unwrap(), 2);
    log.append(full("a", 1, 1, "x")).await.unwrap();
    assert_eq!(log.synchronous().await.unwrap(), 2);
}

#[tokio::test]
async fn a_newer_schema_is_refused_naming_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    drop(SqliteLog::open(&path).await.unwrap());
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 7).unwrap();
    drop(conn);
    let error = refusal(&path).await.to_string();
    assert!(
        error.contains("version 7") && error.contains("up to 1"),
        "{error}"
    );
}

/// Another process has brought the file to a newer schema meanwhile.
#[tokio::test]
async fn a_schema_that_becomes_newer_under_open_files_is_refused_until_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (path, held) = (folder.path().join("log.db"), folder.path().join("store.db"));
    let log = SqliteLog::open(&path).await.unwrap();
    let store = SqliteReplicaStore::open(&held, None).await.unwrap();
    log.append(full("a", 1, 1, "x")).await.unwrap();
    log.heads(&[grain("a")]).await.unwrap();
    store.cursor(&[grain("a")]).await.unwrap();
    let set = |version: i32| {
        for file in [&path, &held] {
            let conn = Connection::open(file).unwrap();
            conn.pragma_update(None, "user_version", version).unwrap();
        }
    };
    set(7);
    for (file, error) in [
        (&path, log.append(full("a", 1, 2, "x")).await.unwrap_err()),
        (&path, log.heads(&[grain("a")]).await.unwrap_err()),
        (&held, store.cursor(&[grain("a")]).await.unwrap_err()),
    ] {
        assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
        let said = error.to_string();
        for part in ["version 7", "up to 1", file.to_str().unwrap()] {
            assert!(said.contains(part), "{said} says {part}");
        }
    }
    set(1);
    log.append(full("a", 1, 2, "x")).await.unwrap();
    log.heads(&[grain("a")]).await.unwrap();
    store.cursor(&[grain("a")]).await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("short", "abc".to_owned()),
        ("long", "no database. ".repeat(900)),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, &content).unwrap();
        refusal(&path).await;
        assert_eq!(std::fs::read(&path).unwrap(), content.as_bytes());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_database_of_others_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for wal in [false, true] {
        let path = folder.path().join(format!("theirs-{wal}.db"));
        let conn = Connection::open(&path).unwrap();
        if wal {
            conn.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))
                .unwrap();
        }
        conn.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
            .unwrap();
        // With WAL their connection stays open, and what it wrote lies in the WAL still.
        let open = wal.then_some(conn);
        let files = || {
            ["", "-wal"].map(|end| {
                let mut file = path.clone().into_os_string();
                file.push(end);
                std::fs::read(file).ok()
            })
        };
        let before = files();
        let error = refusal(&path).await.to_string();
        assert!(error.contains("another application"), "{error}");
        assert_eq!(files(), before);
        drop(open);
    }
}

#[tokio::test]
async fn where_there_can_be_no_file_the_error_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let error = refusal(&folder.path().join("missing").join("log.db")).await;
    assert!(error.to_string().contains("folder"), "{error}");
    refusal(folder.path()).await;
    refusal(Path::new("/proc/self/log.db")).await;
}

#[tokio::test]
async fn a_log_that_is_not_to_be_created_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let error = SqliteLog::builder(&path)
        .create(false)
        .open()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert!(!path.exists());
}

#[tokio::test]
async fn payloads_beyond_what_a_row_holds_are_no_limit_to_ask_for() {
    let folder = tempfile::tempdir().unwrap();
    let limits = gleaner_core::Limits::default().with_max_payload(1 << 40);
    let opened = SqliteLog::builder(folder.path().join("log.db"))
        .limits(limits)
        .open()
        .await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn the_file_is_in_wal_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.unwrap();
    log.append(full("a", 1, 1, "x")).await.unwrap();
    let conn = Connection::open(&path).unwrap();
    let mode: String = conn
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_damaged_entry_fails_its_grain_alone_and_what_precedes_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let log = SqliteLog::open(&path).await.unwrap();
    let first = full("a", 1, 1, "first");
    let delta = gleaner_core::Draft::delta(
        grain("a"),
        Cursor::new(1, 2),
        gleaner_core::Writer::new(1),
        first.digest(),
        "second",
    )
    .seal();
    log.append_batch(&[
        first,
        delta,
        full("b", 1, 1, "neighbour"),
        full("c", 1, 1, "x"),
    ])
    .await
    .unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "UPDATE entry SET payload = x'00' WHERE sequence = 2; \
         UPDATE entry SET kind = 9 WHERE grain = (SELECT id FROM grain WHERE grain_key = x'63')",
    )
    .unwrap();
    let wants = ["a", "b", "c"].map(|key| (grain(key), Cursor::ZERO));
    let caught = log
        .catch_up(&wants, Budget::UNBOUNDED)
        .await
        .unwrap()
        .grains;
    match &caught[..] {
        [
            gleaner_core::Caught::Run(cut),
            gleaner_core::Caught::Run(whole),
            gleaner_core::Caught::Failed(unknown),
        ] => {
            assert_eq!((cut.entries.len(), cut.complete), (1, false));
            assert_eq!((whole.entries.len(), whole.complete), (1, true));
            assert_eq!(unknown.kind(), ErrorKind::Permanent);
            assert!(unknown.to_string().contains("kind 9"), "{unknown}");
        }
        other => panic!("{other:?}"),
    }
    let again = [(grain("a"), Cursor::new(1, 1))];
    let caught = log
        .catch_up(&again, Budget::UNBOUNDED)
        .await
        .unwrap()
        .grains;
    let [gleaner_core::Caught::Failed(damaged)] = &caught[..] else {
        panic!("{caught:?}");
    };
    assert_eq!(damaged.kind(), ErrorKind::Permanent);
    assert_eq!(damaged.cursor(), Some(Cursor::new(1, 2)));
    let page = log
        .read_from(&grain("a"), Cursor::ZERO, Budget::UNBOUNDED)
        .await
        .unwrap();
    assert_eq!((page.entries.len(), page.more), (1, true));
    let behind = log
        .read_from(&grain("a"), Cursor::new(1, 1), Budget::UNBOUNDED)
        .await;
    assert_eq!(behind.unwrap_err().kind(), ErrorKind::Permanent);
}

#[tokio::test]
async fn a_replica_store_is_no_log_and_a_log_no_store() {
    let folder = tempfile::tempdir().unwrap();
    let (log, store) = (folder.path().join("log.db"), folder.path().join("store.db"));
    drop(SqliteReplicaStore::open(&store, None).await.unwrap());
    refusal(&store).await;
    drop(SqliteLog::open(&log).await.unwrap());
    let error = SqliteReplicaStore::open(&log, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    assert!(
        error.to_string().contains("no gleaner replica store"),
        "{error}"
    );
}

/// A file with the immutable flag, taken off again so that its folder can be deleted.
struct Immutable(std::path::PathBuf);

impl Immutable {
    fn make(path: &std::path::Path) -> Option<Self> {
        let set = std::process::Command::new("chattr")
            .arg("+i")
            .arg(path)
            .status();
        let set = set.is_ok_and(|status| status.success());
        set.then(|| Self(path.to_owned()))
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let cleared = std::process::Command::new("chattr")
            .arg("-i")
            .arg(&self.0)
            .status();
        assert!(cleared.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn a_read_only_file_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    // An empty database that nobody has open.
    Connection::open(&path)
        .unwrap()
        .execute_batch("VACUUM")
        .unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    // Root ignores modes; what not even root may write is an immutable file.
    let writable = std::fs::OpenOptions::new().append(true).open(&path).is_ok();
    let immutable = writable.then(|| Immutable::make(&path)).flatten();
    if writable && immutable.is_none() {
        println!(
            "skipped: no privilege: this user may write any file, and chattr +i does not work here"
        );
        return;
    }
    let error = refusal(&path).await.to_string();
    assert!(error.contains("read-only"), "{error}");
}
