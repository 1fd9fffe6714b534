//! Several readers of one stream.

use std::sync::Arc;
use std::time::Duration;

use gleaner_core::{Cursor, Draft, Filter, GrainId, ReplicationLog, Writer};
use gleaner_memory::MemoryLog;

use crate::leaders::{plain, plain_log};

/// What one reader has taken off the stream, another asks the leader for: in pages of its own limit, not a
/// few names at a time.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_behind_another_is_told_all_at_once() {
    const GRAINS: u64 = 500;
    let behind = MemoryLog::new();
    let leader = plain(Arc::new(behind.clone())).await;
    let log = plain_log(&leader).open().unwrap();
    let feed = log.feed().unwrap();
    let all = Filter::all();
    let start = feed.start(&all).await.unwrap();
    // Begins the stream.
    feed.wait(&start, Duration::from_millis(1)).await;
    for number in 0..GRAINS {
        let grain = GrainId::new("t", number.to_string()).unwrap();
        let entry = Draft::full(grain, Cursor::new(1, 1), Writer::new(1), "x").seal();
        behind.append(entry).await.unwrap();
    }
    for reader in ["the first", "the second", "the third"] {
        let (mut since, mut named, mut pages) = (start.clone(), 0, 0);
        loop {
            let page = feed.changes(&since, &all, 4_096).await.unwrap();
            (since, named, pages) = (page.next, named + page.moved.len(), pages + 1);
            if page.complete {
                break;
            }
        }
        // A name may come twice, of a page that was under way.
        assert!(named >= 500, "{reader} was told {named}");
        assert!(pages <= 2, "{reader} needed {pages} pages");
    }
}
