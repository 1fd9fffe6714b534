//! Group commit, and what one request's misfortune does to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use gleaner_core::ErrorKind;
use tempfile::TempDir;

use super::*;
use crate::schema::LOG;

/// Counts what becomes of transactions.
#[derive(Clone, Default)]
struct Count {
    commits: Arc<AtomicUsize>,
}

impl Session for Count {
    fn replaced(&mut self) {}

    fn begin(&mut self, _: &Connection, _: FileId) -> Result<(), Fault> {
        Ok(())
    }

    fn finish(&mut self, _: &Connection) -> Result<(), Fault> {
        Ok(())
    }

    fn committed(&mut self) {
        self.commits.fetch_add(1, Ordering::SeqCst);
    }
}

struct Bench {
    folder: TempDir,
    place: Arc<Place>,
    writer: Arc<Writer<Count>>,
    count: Count,
}

fn bench(busy: Duration) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let place = Arc::new(Place::new(&folder.path().join("a.db"), &LOG, busy).unwrap());
    let link = place.connect(Role::Create).unwrap();
    link.conn
        .execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        .unwrap();
    let count = Count::default();
    let writer = Arc::new(Writer::spawn(Arc::clone(&place), link, count.clone()).unwrap());
    Bench {
        folder,
        place,
        writer,
        count,
    }
}

impl Bench {
    async fn insert(&self, key: i64, size: usize) -> Result<()> {
        self.writer
            .call(0, move |_, conn| insert(conn, key, size))
            .await
    }

    fn keys(&self) -> Vec<i64> {
        let link = self.place.connect(Role::Read).unwrap();
        let mut select = link.conn.prepare("SELECT a FROM t ORDER BY a").unwrap();
        let keys = select.query_map((), |row| row.get(0)).unwrap();
        keys.map(|key| key.unwrap()).collect()
    }

    /// Keeps the thread busy until the gate is dropped, so that requests meet in one group.
    async fn hold(&self) -> (std_mpsc::Sender<()>, tokio::task::JoinHandle<Result<()>>) {
        let (gate, held) = std_mpsc::channel::<()>();
        let (entered, inside) = tokio::sync::oneshot::channel();
        let mut entered = Some(entered);
        let writer = Arc::clone(&self.writer);
        let holding = tokio::spawn(async move {
            writer
                .call(0, move |_, _| {
                    if let Some(entered) = entered.take() {
                        entered.send(()).unwrap();
                    }
                    // An error is the gate's end, which is what is waited for.
                    let _ended = held.recv();
                    Ok(())
                })
                .await
        });
        inside.await.unwrap();
        (gate, holding)
    }

    /// Hands a request in and returns once it lies in the queue.
    async fn queue<F>(&self, work: F) -> tokio::task::JoinHandle<Result<()>>
    where
        F: FnMut(&mut Count, &Connection) -> Result<(), Fault> + Send + 'static,
    {
        let before = self.writer.queue.capacity();
        let writer = Arc::clone(&self.writer);
        let queued = tokio::spawn(async move { writer.call(0, work).await });
        while self.writer.queue.capacity() == before {
            tokio::task::yield_now().await;
        }
        queued
    }
}

fn insert(conn: &Connection, key: i64, size: usize) -> Result<(), Fault> {
    conn.execute(
        "INSERT INTO t VALUES (?1, zeroblob(?2))",
        (key, i64::try_from(size).unwrap()),
    )?;
    Ok(())
}

#[tokio::test]
async fn what_is_waiting_shares_a_commit() {
    let bench = bench(Duration::from_secs(30));
    let (gate, holding) = bench.hold().await;
    let mut waiting = Vec::new();
    for key in 0..100 {
        waiting.push(bench.queue(move |_, conn| insert(conn, key, 1)).await);
    }
    drop(gate);
    holding.await.unwrap().unwrap();
    for request in waiting {
        request.await.unwrap().unwrap();
    }
    assert_eq!(bench.count.commits.load(Ordering::SeqCst), 2);
    assert_eq!(bench.keys(), (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failing_and_a_panicking_request_take_no_other_down() {
    let bench = bench(Duration::from_secs(30));
    let (gate, holding) = bench.hold().await;
    let one = bench.queue(|_, conn| insert(conn, 1, 1)).await;
    let twice = bench.queue(|_, conn| insert(conn, 1, 1)).await;
    let panics = bench
        .queue(|_, conn| {
            insert(conn, 2, 1)?;
            panic!("as planned")
        })
        .await;
    let three = bench.queue(|_, conn| insert(conn, 3, 1)).await;
    drop(gate);
    holding.await.unwrap().unwrap();
    one.await.unwrap().unwrap();
    three.await.unwrap().unwrap();
    for broken in [twice, panics] {
        let error = broken.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
    }
    assert_eq!(bench.keys(), [1, 3]);
    bench.insert(4, 1).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_told_of_and_over_once_there_is_room() {
    let bench = bench(Duration::from_secs(30));
    bench
        .writer
        .call(0, |_, conn| {
            conn.pragma_update(None, "max_page_count", 40)?;
            Ok(())
        })
        .await
        .unwrap();
    let error = bench.insert(1, 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(error.to_string().contains("a.db"), "{error}");
    bench.insert(2, 10).await.unwrap();
    assert_eq!(bench.keys(), [2]);
}

/// A connection that was made while the WAL could not be written never writes again, though the file
/// may be written for long.
#[tokio::test]
async fn a_connection_that_may_not_write_is_made_anew() {
    let bench = bench(Duration::from_secs(30));
    let error = bench
        .writer
        .call(0, |_, conn| {
            conn.pragma_update(None, "query_only", true)?;
            insert(conn, 1, 1)
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
    bench.insert(2, 1).await.unwrap();
    assert_eq!(bench.keys(), [2]);
}

#[tokio::test]
async fn a_lock_of_another_is_waited_for_and_told_of_if_it_lasts() {
    let bench = bench(Duration::from_millis(50));
    let other = bench.place.connect(Role::Write).unwrap();
    other.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = bench.insert(1, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    other.conn.execute_batch("ROLLBACK").unwrap();
    bench.insert(2, 1).await.unwrap();
    assert_eq!(bench.keys(), [2]);
}

#[tokio::test]
async fn a_group_waits_for_a_lock_once_and_not_once_a_request() {
    let bench = bench(Duration::from_millis(50));
    let (gate, holding) = bench.hold().await;
    let busy = || {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        Fault::Sqlite(rusqlite::Error::SqliteFailure(code, None))
    };
    let locked = bench.queue(move |_, _| Err(busy())).await;
    let behind = bench.queue(|_, conn| insert(conn, 1, 1)).await;
    drop(gate);
    holding.await.unwrap().unwrap();
    for request in [locked, behind] {
        let error = request.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    }
    assert_eq!(bench.keys(), []);
}

#[tokio::test]
async fn the_thread_ends_with_the_last_handle_and_does_what_was_handed_in() {
    let bench = bench(Duration::from_secs(30));
    let (gate, holding) = bench.hold().await;
    let queued = bench.queue(|_, conn| insert(conn, 1, 1)).await;
    queued.abort();
    holding.abort();
    drop((queued.await, holding.await));
    let ended = {
        let Bench {
            folder,
            place,
            writer,
            count,
        } = bench;
        let watch = Arc::downgrade(&place);
        let path = place.path.clone();
        drop((place, writer, gate));
        // The thread holds the only place left; it goes with the thread.
        while watch.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(count.commits.load(Ordering::SeqCst), 2);
        let place = Place::new(&path, &LOG, Duration::from_secs(30)).unwrap();
        let link = place.connect(Role::Read).unwrap();
        let rows: i64 = link
            .conn
            .query_row("SELECT count(*) FROM t", (), |row| row.get(0))
            .unwrap();
        drop(folder);
        rows
    };
    assert_eq!(ended, 1);
}

#[tokio::test]
async fn a_file_replaced_during_the_transaction_is_not_acknowledged() {
    let bench = bench(Duration::from_secs(30));
    let path = bench.place.path.clone();
    let error = bench
        .writer
        .call(0, move |_, conn| {
            insert(conn, 1, 1)?;
            std::fs::remove_file(&path)
                .map_err(|error| Fault::Refused(Error::permanent(BACKEND, error.to_string())))
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
    let gone = bench.insert(2, 1).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Transient, "{gone}");
}
