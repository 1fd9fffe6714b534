//! `append` and `append_closed`: durable states a second through the producer: a sink for each grain,
//! whose channel a pump empties into the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use gleaner_measure::{Work, begin, fsync_p50_ms, key, line, nanos, payload};
use orlando_cluster::spawn_replication_pump;
use orlando_core::ClusterId;
use orlando_core::replication::ReplicationEntry;
use orlando_persistence::{
    ReplicationError, ReplicationLog, ReplicationSink, SqliteReplicationLog,
};
use tokio::sync::{Semaphore, mpsc};

use crate::{Outcome, TYPE, logs};

/// Gives a permit back for each append that was answered, well or not: the producer itself tells its
/// user of neither.
struct Answered {
    log: Arc<dyn ReplicationLog>,
    windows: Vec<Arc<Semaphore>>,
    failed: AtomicU64,
}

#[async_trait]
impl ReplicationLog for Answered {
    async fn append(&self, entry: ReplicationEntry) -> Result<u64, ReplicationError> {
        let window = entry
            .grain_key
            .parse::<usize>()
            .ok()
            .and_then(|task| self.windows.get(task));
        let answer = self.log.append(entry).await;
        if answer.is_err() {
            self.failed.fetch_add(1, Relaxed);
        }
        if let Some(window) = window {
            window.add_permits(1);
        }
        answer
    }

    async fn read_from(
        &self,
        grain_type: &str,
        grain_key: &str,
        after_sequence: u64,
        limit: usize,
    ) -> Result<Vec<ReplicationEntry>, ReplicationError> {
        self.log
            .read_from(grain_type, grain_key, after_sequence, limit)
            .await
    }

    async fn latest_sequence(
        &self,
        grain_type: &str,
        grain_key: &str,
    ) -> Result<u64, ReplicationError> {
        self.log.latest_sequence(grain_type, grain_key).await
    }

    async fn truncate(
        &self,
        grain_type: &str,
        grain_key: &str,
        before_sequence: u64,
    ) -> Result<u64, ReplicationError> {
        self.log
            .truncate(grain_type, grain_key, before_sequence)
            .await
    }
}

/// How pumps and sinks are put together: nothing in Orlando says, so both ways are tried and the faster
/// one is its figure.
#[derive(Clone, Copy, PartialEq)]
enum Pumps {
    /// All sinks into one channel: appends go one after the other.
    One,
    /// A channel for each grain: appends meet in the file.
    PerGrain,
}

struct Figures {
    states_per_second: f64,
    lost: f64,
    failures_per_second: f64,
    synchronous: f64,
}

pub async fn run(work: &Work) -> Outcome<()> {
    line("fsync_p50_ms", fsync_p50_ms(&work.folder)?);
    begin();
    let one = through(work, Pumps::One).await?;
    let per_grain = through(work, Pumps::PerGrain).await?;
    for (name, result) in [("one_pump", &one), ("pump_per_grain", &per_grain)] {
        line(
            &format!("{name}.states_per_second"),
            result.states_per_second,
        );
        line(&format!("{name}.lost"), result.lost);
        line(
            &format!("{name}.failures_per_second"),
            result.failures_per_second,
        );
    }
    let best = if one.states_per_second >= per_grain.states_per_second {
        one
    } else {
        per_grain
    };
    line("states_per_second", best.states_per_second);
    line("lost", best.lost);
    line("sqlite_synchronous", best.synchronous);
    Ok(())
}

async fn through(work: &Work, pumps: Pumps) -> Outcome<Figures> {
    // `states` is how many of a task may be unacknowledged.
    let window = work.states;
    let folder = work.folder.join(if pumps == Pumps::One {
        "one"
    } else {
        "per_grain"
    });
    std::fs::create_dir_all(&folder)?;
    let file = logs::file(&folder);
    let pool = logs::pool(&file).await?;
    let inner = Arc::new(SqliteReplicationLog::with_pool(pool.clone()).await?);
    let windows: Vec<_> = (0..work.grains)
        .map(|_| Arc::new(Semaphore::new(window as usize)))
        .collect();
    let log = Arc::new(Answered {
        log: inner,
        windows: windows.clone(),
        failed: AtomicU64::new(0),
    });

    let capacity = (work.grains * window) as usize;
    let (all, rx) = mpsc::channel(capacity);
    spawn_replication_pump(rx, log.clone());
    let sinks: Vec<_> = (0..work.grains)
        .map(|grain| {
            let tx = if pumps == Pumps::One {
                all.clone()
            } else {
                let (tx, rx) = mpsc::channel(capacity);
                spawn_replication_pump(rx, log.clone());
                tx
            };
            ReplicationSink::new(
                tx,
                TYPE.to_owned(),
                key(grain),
                ClusterId::new("primary"),
                1,
            )
        })
        .collect();

    let began = nanos();
    let until = began + Duration::from_secs_f64(work.seconds).as_nanos() as u64;
    let bytes = work.payload;
    let tasks: Vec<_> = sinks
        .into_iter()
        .zip(windows)
        .map(|(sink, room)| {
            tokio::spawn(async move {
                let mut sent = 0_u64;
                while nanos() < until {
                    room.acquire().await?.forget();
                    sent += 1;
                    sink.send(payload(bytes, sent));
                }
                // All that is under way is answered once every permit is back.
                let _ = room.acquire_many(window).await?;
                Outcome::Ok(sent)
            })
        })
        .collect();
    let mut sent = 0;
    for task in tasks {
        sent += task.await??;
    }
    let seconds = (nanos() - began) as f64 / 1e9;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&pool)
        .await?;
    pool.close().await;
    let reopened = logs::pool(&file).await?;
    let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM replication_log")
        .fetch_one(&reopened)
        .await?;
    Ok(Figures {
        states_per_second: kept as f64 / seconds,
        lost: sent as f64 - kept as f64,
        failures_per_second: log.failed.load(Relaxed) as f64 / seconds,
        synchronous: synchronous as f64,
    })
}
