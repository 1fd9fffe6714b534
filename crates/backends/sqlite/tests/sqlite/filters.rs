//! What filters cost: a range of the index, and a bounded scan a page.

use gleaner_core::{
    Advance, ChangeFeed, Cursor, Draft, Entry, Filter, Generation, GrainId, LogId, ReplicaStore,
    ReplicationLog, Writer,
};
use gleaner_sqlite::{SqliteLog, SqliteReplicaStore};

/// How many rows outside its filter a page passes over, by the README.
const SCAN: usize = 4096;

fn entry(grain_type: &str, key: &str) -> Entry {
    let grain = GrainId::new(grain_type, key).unwrap();
    Draft::full(grain, Cursor::new(1, 1), Writer::new(1), "s").seal()
}

/// More than a page looks at before `few`, and as many behind it.
fn crowd_and_few() -> Vec<Entry> {
    let crowd =
        (0..SCAN + 10).flat_map(|at| ["a", "z"].map(|name| entry("t", &format!("{name}{at:05}"))));
    crowd
        .chain([entry("t", "few"), entry("t", "few 2")])
        .collect()
}

async fn append(log: &SqliteLog, entries: &[Entry]) {
    for batch in entries.chunks(500) {
        for answer in log.append_batch(batch).await.unwrap() {
            answer.result.unwrap();
        }
    }
}

#[tokio::test]
async fn a_listing_walks_the_range_of_a_prefix_and_no_more_than_so_many_others() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
    append(&log, &crowd_and_few()).await;
    let ours = Filter::grain_type("t").key_prefix("few");
    let page = log.list_heads(&ours, None, 10).await.unwrap();
    assert_eq!((page.heads.len(), page.next), (2, None));
    let page = log.list_heads(&ours, None, 1).await.unwrap();
    assert_eq!(page.next.unwrap().grain_key(), "few");
    // Of every type: looked at one by one.
    let any = Filter::all().key_prefix("few");
    let first = log.list_heads(&any, None, 10).await.unwrap();
    assert!(first.heads.is_empty());
    let next = first.next.unwrap();
    assert_eq!(next.grain_key(), format!("a{:05}", SCAN - 1));
    let second = log.list_heads(&any, Some(&next), 10).await.unwrap();
    assert_eq!(second.heads.len(), 2);
    let third = log
        .list_heads(&any, second.next.as_ref(), 10)
        .await
        .unwrap();
    assert_eq!((third.heads.len(), third.next), (0, None));
}

#[tokio::test]
async fn a_limit_counts_what_is_in_the_filter() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
    let since = log.start(&Filter::all()).await.unwrap();
    let crowd: Vec<Entry> = (0..400).map(|at| entry("t", &at.to_string())).collect();
    append(&log, &crowd).await;
    let half = Filter::grain_type("t").share(0, 2).unwrap();
    let page = log.list_heads(&half, None, 20).await.unwrap();
    assert_eq!(page.heads.len(), 20);
    assert!(page.next.is_some());
    let page = log.changes(&since, &half, 20).await.unwrap();
    assert_eq!((page.moved.len(), page.complete), (20, false));
    assert!(page.moved.iter().all(|moved| half.includes(&moved.grain)));
}

#[tokio::test]
async fn a_feed_page_that_names_nobody_is_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.db")).await.unwrap();
    let since = log.start(&Filter::all()).await.unwrap();
    append(&log, &crowd_and_few()).await;
    let ours = Filter::grain_type("t").key_prefix("few");
    let (mut since, mut sizes) = (since, Vec::new());
    loop {
        let page = log.changes(&since, &ours, 100).await.unwrap();
        sizes.push(page.moved.len());
        since = page.next;
        if page.complete {
            break;
        }
    }
    assert_eq!(sizes, [0, 0, 2]);
}

#[tokio::test]
async fn a_stores_listing_is_bounded_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteReplicaStore::open(folder.path().join("store.db"), None)
        .await
        .unwrap();
    let log = LogId::new(&b"the log"[..]);
    store.bind(&log, None).await.unwrap();
    let runs = crowd_and_few().into_iter().map(|entry| Advance {
        grain: entry.grain().clone(),
        generation: Generation::default(),
        entries: vec![entry],
    });
    store.apply(&log, runs.collect()).await.unwrap();
    let ours = Filter::grain_type("t").key_prefix("few");
    let page = store.list(&ours, None, 10).await.unwrap();
    assert_eq!((page.replicas.len(), page.next), (2, None));
    let any = Filter::all().key_prefix("few");
    let first = store.list(&any, None, 10).await.unwrap();
    assert!(first.replicas.is_empty());
    let second = store.list(&any, first.next.as_ref(), 10).await.unwrap();
    assert_eq!(second.replicas.len(), 2);
    let states = second.replicas.iter().map(|(_, replica)| replica.state());
    assert!(states.flatten().eq([b"s", b"s"]));
}
