//! The owner's side: what is written, refused, and found again after a restart.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use gleaner::memory::MemoryLog;
use gleaner::{Cursor, Fold, Limits, PublishError, Publisher, ReplicationLog};

use crate::command::made_up;
use crate::database::{Database, OpenError, grain};
use crate::meddled::Meddled;
use crate::nearest::{Metric, Query};
use crate::operation::{Operation, Refused, WriteError};
use crate::payload::Bincoded;

fn create(name: &str) -> Operation {
    Operation::CreateCollection {
        name: name.to_owned(),
        dimensions: 3,
    }
}

async fn open(log: &Arc<MemoryLog>) -> Database {
    let log: Arc<dyn ReplicationLog> = Arc::clone(log) as _;
    Database::open(log, &grain("main").unwrap()).await.unwrap()
}

async fn head(log: &MemoryLog) -> Cursor {
    let heads = log.heads(&[grain("main").unwrap()]).await.unwrap();
    heads[0].as_ref().map_or(Cursor::ZERO, |head| head.cursor)
}

#[tokio::test]
async fn a_restart_goes_on() {
    let log = Arc::new(MemoryLog::new());
    let database = open(&log).await;
    database.write(vec![create("c")]).await.unwrap();
    for at in 0..150 {
        let one = made_up("c", 3, at + 1).split_off(at);
        database.write(one).await.unwrap();
    }
    let (state, cursor) = database.now();
    assert_eq!(head(&log).await, cursor);
    database.close().await.unwrap();
    let again = open(&log).await;
    assert_eq!(again.now(), (state, cursor));
    let next = again.write(vec![create("d")]).await.unwrap();
    assert!(next.epoch > cursor.epoch && next.sequence > cursor.sequence);
    assert_eq!(again.count("c").unwrap().what, 150);
    let found = again
        .search(&Query {
            collection: "c".to_owned(),
            vector: vec![0.0; 3],
            count: 7,
            metric: Metric::Cosine,
        })
        .unwrap_err();
    assert_eq!(found, Refused::NoDirection);
}

/// An empty database is something to follow.
#[tokio::test]
async fn a_new_database_is_in_the_log() {
    let log = Arc::new(MemoryLog::new());
    let database = open(&log).await;
    assert_ne!(head(&log).await, Cursor::ZERO);
    assert_eq!(head(&log).await, database.now().1);
    // And a second opening adds nothing to it.
    let head_before = head(&log).await;
    open(&log).await;
    assert_eq!(head(&log).await, head_before);
}

#[tokio::test]
async fn a_refused_write_changes_and_publishes_nothing() {
    let log = Arc::new(MemoryLog::new());
    let database = open(&log).await;
    database.write(vec![create("c")]).await.unwrap();
    let before = (database.now(), head(&log).await);
    let mut operations = made_up("c", 3, 40_000);
    operations.push(create("c"));
    let refused = database.write(operations).await;
    let name = "c".to_owned();
    assert!(
        matches!(&refused, Err(WriteError::Refused(why)) if *why == Refused::Exists { name }),
        "{refused:?}"
    );
    assert_eq!((database.now(), head(&log).await), before);
    // Nothing at all is nothing at all.
    assert_eq!(database.write(Vec::new()).await.unwrap(), before.1);
}

#[tokio::test]
async fn a_bulk_of_any_size_is_published() {
    let log = Arc::new(MemoryLog::new());
    let database = open(&log).await;
    database.write(vec![create("c")]).await.unwrap();
    let mut last = database.now().1;
    for points in [5_000, 20_000, 60_000] {
        let cursor = database.write(made_up("c", 3, points)).await.unwrap();
        assert!(cursor > last);
        last = cursor;
        assert_eq!(database.count("c").unwrap().what, points as u64);
        assert_eq!(head(&log).await, cursor);
    }
    // The largest of them in more than one Delta.
    let cursor = database.write(made_up("c", 3, 60_000)).await.unwrap();
    assert!(cursor.sequence.get() > last.sequence.get() + 1);
}

/// A database that its log cannot hold whole takes no more; what was in before is in.
#[tokio::test]
async fn a_database_is_bounded_by_its_log() {
    let limits = Limits::default().with_max_payload(64 << 10);
    let log = Arc::new(MemoryLog::with_limits(limits));
    let database = open(&log).await;
    database.write(vec![create("c")]).await.unwrap();
    database.write(made_up("c", 3, 500)).await.unwrap();
    let before = (database.now(), head(&log).await);
    let refused = database.write(made_up("c", 3, 2_000)).await;
    assert!(
        matches!(
            refused,
            Err(WriteError::Publish(PublishError::TooLarge { .. }))
        ),
        "{refused:?}"
    );
    assert_eq!((database.now(), head(&log).await), before);
    let gone = Operation::Delete {
        collection: "c".to_owned(),
        id: "p0".to_owned(),
    };
    database.write(vec![gone]).await.unwrap();
    assert_eq!(database.count("c").unwrap().what, 499);
}

#[tokio::test]
async fn a_second_owner_stops_the_first() {
    let log = Arc::new(MemoryLog::new());
    let first = open(&log).await;
    first.write(vec![create("c")]).await.unwrap();
    let second = open(&log).await;
    let refused = first.write(vec![create("mine")]).await;
    assert!(
        matches!(
            refused,
            Err(WriteError::Publish(PublishError::Fenced { .. }))
        ),
        "{refused:?}"
    );
    second.write(vec![create("d")]).await.unwrap();
    let names: Vec<String> = second.now().0.0.keys().cloned().collect();
    assert_eq!(names, ["c", "d"]);
}

/// What another owner writes between the look and the claim is not overwritten.
#[tokio::test]
async fn nothing_falls_between_the_look_and_the_claim() {
    let meddled = Arc::new(Meddled {
        inner: Arc::new(MemoryLog::new()),
        done: AtomicBool::new(false),
    });
    let database = Database::open(meddled, &grain("main").unwrap())
        .await
        .unwrap();
    database.write(vec![create("mine")]).await.unwrap();
    let names: Vec<String> = database.now().0.0.keys().cloned().collect();
    assert_eq!(names, ["mine", "theirs"]);
}

#[tokio::test]
async fn what_is_no_database_is_not_opened() {
    let log = Arc::new(MemoryLog::new());
    let publisher = Publisher::builder(Arc::clone(&log) as _).spawn();
    let id = grain("main").unwrap();
    let other = publisher.open(id.clone()).await.unwrap();
    other.publish_bytes(&b"something else"[..]).await.unwrap();
    let refused = Database::open(Arc::clone(&log) as _, &id).await;
    assert!(matches!(refused, Err(OpenError::NotADatabase(_))));
    // A database that was deleted begins anew.
    other.delete().await.unwrap();
    let database = Database::open(Arc::clone(&log) as _, &id).await.unwrap();
    assert!(database.now().0.0.is_empty());
}

/// The fold that the publisher keeps says no to what it cannot fold.
#[test]
fn the_fold_refuses_what_does_not_fit() {
    let delta = Bincoded::delta(&vec![create("c"), create("c")]).unwrap();
    let id = grain("main").unwrap();
    let writer = gleaner::Writer::new(7);
    let draft = gleaner::Draft::delta(
        id.clone(),
        Cursor::new(1, 2),
        writer,
        gleaner::Digest::ZERO,
        delta,
    );
    let entry = draft.seal();
    let empty = Bytes::from_static(&[0; 8]);
    let refused = Bincoded.fold(&id, &empty, &entry).unwrap_err();
    assert!(refused.to_string().contains("already"), "{refused}");
}
