//! `append` and `append_closed`: durable states a second through the publisher.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesOrdered;
use gleaner::sqlite::SqliteLog;
use gleaner::{Budget, Compaction, Cursor, GrainId, PublishError, Publisher, ReplicationLog};
use gleaner_measure::{Work, begin, fsync_p50_ms, line, nanos, payload};

use super::{Outcome, logs};

pub(crate) async fn run(work: &Work) -> Outcome<()> {
    // `states` is how many of a task may be unacknowledged.
    let window = work.states as usize;
    line("fsync_p50_ms", fsync_p50_ms(&work.folder)?);
    let ids = logs::ids(work.grains)?;
    let file = logs::file(&work.folder);
    let log = Arc::new(SqliteLog::open(&file).await?);
    line("sqlite_synchronous", f64::from(log.synchronous().await?));
    // Every state that is published stands in the log, and stays there to be counted.
    let publisher = Publisher::builder(log)
        .coalesce(false)
        .compaction(Compaction::never())
        .spawn();
    let mut grains = Vec::new();
    for opened in publisher.grains(ids.clone()).await {
        grains.push(opened?);
    }

    begin();
    let began = nanos();
    let until = began + Duration::from_secs_f64(work.seconds).as_nanos() as u64;
    let bytes = work.payload;
    let tasks: Vec<_> = grains
        .into_iter()
        .map(|grain| {
            tokio::spawn(async move {
                let (mut sent, mut acknowledged) = (0_u64, 0_u64);
                let mut open = FuturesOrdered::new();
                loop {
                    while open.len() < window && nanos() < until {
                        sent += 1;
                        open.push_back(grain.publish_bytes(payload(bytes, sent)));
                    }
                    match open.next().await {
                        Some(cursor) => {
                            let _: Cursor = cursor?;
                            acknowledged += 1;
                        }
                        None => return Ok::<_, PublishError>(acknowledged),
                    }
                }
            })
        })
        .collect();
    let mut acknowledged = 0;
    for task in tasks {
        acknowledged += task.await??;
    }
    let seconds = (nanos() - began) as f64 / 1e9;
    publisher.shutdown().await?;
    drop(publisher);

    let kept = count(&SqliteLog::open(&file).await?, &ids).await?;
    line("states_per_second", kept as f64 / seconds);
    line("lost", acknowledged as f64 - kept as f64);
    Ok(())
}

/// How many entries the log holds, read back one by one.
async fn count(log: &SqliteLog, ids: &[GrainId]) -> Outcome<u64> {
    let mut kept = 0;
    for grain in ids {
        let mut after = Cursor::ZERO;
        loop {
            let page = log
                .read_from(grain, after, Budget::new(1000, 16 << 20))
                .await?;
            kept += page.entries.len() as u64;
            match page.entries.last() {
                Some(last) if page.more => after = last.cursor(),
                _ => break,
            }
        }
    }
    Ok(kept)
}
