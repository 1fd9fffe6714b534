//! Figures to see that nothing has gone badly wrong: an actor's step, an idle follower, the lag from
//! append to readable, and SQLite appends. Five runs each; medians and spread.
//!
//! `cargo run --release -p gleaner-benches --bin sanity`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gleaner::memory::{MemoryLog, MemoryReplicaStore};
use gleaner::sqlite::SqliteLog;
use gleaner::{
    Cursor, Draft, Filter, Follower, GrainId, Publisher, ReadOptions, ReplicationLog, Writer,
};
use gleaner_benches::{line, print_runs};
use gleaner_measure::quantile;

type Outcome<T> = Result<T, Box<dyn Error>>;

const RUNS: usize = 5;
const IDLE_GRAINS: u32 = 10_000;
const LAG_APPENDS: u64 = 2_000;
const APPEND_TASKS: u32 = 16;
const APPENDS_EACH: u32 = 500;

#[tokio::main]
async fn main() -> Outcome<()> {
    idle().await?;
    lag().await?;
    append().await?;
    Ok(())
}

/// How many calls of the log 10,000 grains at rest cost in three seconds, at an interval of one.
async fn idle() -> Outcome<()> {
    let log = Arc::new(MemoryLog::new());
    for key in 0..IDLE_GRAINS {
        let grain = GrainId::new("idle", key.to_string())?;
        log.append(full(grain, 1, vec![0; 100])).await?;
    }
    let follower = Follower::builder(log, Arc::new(MemoryReplicaStore::new())).spawn();
    let began = Instant::now();
    follower.follow_all(Filter::grain_type("idle")).await?;
    follower.ready().await?;
    line("idle.grains", IDLE_GRAINS);
    line(
        "idle.ready_seconds",
        format!("{:.3}", began.elapsed().as_secs_f64()),
    );
    let before = follower.progress();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = follower.progress();
    line("idle.pages_in_3_seconds", after.pages - before.pages);
    line("idle.reads_in_3_seconds", after.reads - before.reads);
    follower.shutdown().await;
    Ok(())
}

/// Milliseconds from an append's return until a reader is given its state, hints on.
async fn lag() -> Outcome<()> {
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let log = Arc::new(MemoryLog::new());
        let follower = Follower::builder(log.clone(), Arc::new(MemoryReplicaStore::new())).spawn();
        follower.follow_all(Filter::grain_type("lag")).await?;
        let reader = follower.raw_reader();
        let mut samples = Vec::new();
        for sequence in 1..=LAG_APPENDS {
            let grain = GrainId::new("lag", (sequence % 100).to_string())?;
            log.append(full(grain.clone(), sequence, vec![0; 256]))
                .await?;
            let appended = Instant::now();
            let wanted =
                ReadOptions::at_least(Cursor::new(1, sequence)).wait(Duration::from_secs(10));
            reader.get_when(&grain, wanted).await?;
            samples.push(appended.elapsed().as_secs_f64() * 1000.0);
        }
        p50.extend(quantile(&mut samples, 0.5));
        p99.extend(quantile(&mut samples, 0.99));
        follower.shutdown().await;
    }
    print_runs("lag_memory.p50_ms", p50);
    print_runs("lag_memory.p99_ms", p99);
    Ok(())
}

/// Durable states a second on SQLite: 16 tasks, each awaiting every publish of 1 KiB.
async fn append() -> Outcome<()> {
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let dir = tempfile::tempdir()?;
        let log = Arc::new(SqliteLog::open(dir.path().join("log.db")).await?);
        let publisher = Publisher::builder(log.clone()).coalesce(false).spawn();
        let mut grains = Vec::new();
        for task in 0..APPEND_TASKS {
            grains.push(publisher.grain("append", task.to_string()).await?);
        }
        let began = Instant::now();
        let tasks: Vec<_> = grains
            .into_iter()
            .map(|grain| {
                tokio::spawn(async move {
                    for _ in 0..APPENDS_EACH {
                        grain.publish_bytes(vec![7; 1024]).await?;
                    }
                    Ok::<_, gleaner::PublishError>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        rates.push(f64::from(APPEND_TASKS * APPENDS_EACH) / began.elapsed().as_secs_f64());
        publisher.shutdown().await?;
    }
    print_runs("append_sqlite_awaited.states_per_second", rates);
    Ok(())
}

fn full(grain: GrainId, sequence: u64, payload: Vec<u8>) -> gleaner::Entry {
    Draft::full(grain, Cursor::new(1, sequence), Writer::new(1), payload).seal()
}
