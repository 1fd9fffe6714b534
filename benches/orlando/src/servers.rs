//! The cases of `servers`: Orlando's log in PostgreSQL, at the address that the environment names.
//!
//! The log is opened as a user would, with the pool that it makes for itself.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use gleaner_measure::{Work, begin, key, line, nanos, payload, quantile};
use orlando_cluster::ReplicaStore;
use orlando_persistence::{PostgresReplicationLog, ReplicationLog};
use sqlx::postgres::PgPool;

use crate::counted::Counted;
use crate::following::{follow, ids};
use crate::{Outcome, TYPE, logs};

/// What the name of a case begins with.
pub const PREFIX: &str = "servers.";
/// Where the database is.
const URL: &str = "GLEANER_SERVERS_URL";
/// How many a consumer reads at once.
const LIMIT: usize = 100;
/// How many grains one catch-up is of.
const BEHIND: u32 = 1_000;
/// Tasks that append where nothing says how many: its best.
const TASKS: u32 = 16;
/// Reads under way at once, one of which is its way of catching up; sqlx's pool has ten connections.
const AT_ONCE: [usize; 2] = [1, 10];

pub async fn run(work: &Work) -> Outcome<()> {
    let url = std::env::var(URL)?;
    let log = Arc::new(PostgresReplicationLog::new(&url).await?);
    match work.case.strip_prefix(PREFIX).unwrap_or_default() {
        "append_1" => appends(work, &url, log, 1, "append_1_per_second").await,
        "append_16" => appends(work, &url, log, work.grains, "append_16_per_second").await,
        "append_batch" => appends(work, &url, log, TASKS, "append_batch_per_second").await,
        "reads" => {
            fill(work, &url).await?;
            catch_up(work, log).await
        }
        "idle_10k" => {
            fill(work, &url).await?;
            idle(work, log).await
        }
        other => Err(format!("there is no case {other} on this side").into()),
    }
}

/// Entries a second, each awaited by one of some tasks that have so many grains between them.
async fn appends(
    work: &Work,
    url: &str,
    log: Arc<PostgresReplicationLog>,
    tasks: u32,
    metric: &str,
) -> Outcome<()> {
    let bytes = work.payload;
    // A first state of each grain, as on the other sides.
    for grain in 0..work.grains {
        log.append(logs::entry(grain, 1, bytes)).await?;
    }
    let pool = PgPool::connect(url).await?;
    tidy(&pool).await?;
    pool.close().await;
    begin();
    let began = nanos();
    let until = began + Duration::from_secs_f64(work.seconds).as_nanos() as u64;
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let log = log.clone();
            let of_task: Vec<u32> = (task..work.grains).step_by(tasks as usize).collect();
            tokio::spawn(async move {
                let mut appended = 0_u64;
                for sequence in 2.. {
                    for grain in &of_task {
                        if nanos() >= until {
                            return Outcome::Ok(appended);
                        }
                        log.append(logs::entry(*grain, sequence, bytes)).await?;
                        appended += 1;
                    }
                }
                Ok(appended)
            })
        })
        .collect();
    let mut appended = 0;
    for task in tasks {
        appended += task.await??;
    }
    line(metric, appended as f64 * 1e9 / (nanos() - began) as f64);
    Ok(())
}

/// One state of each grain, and a second one of every tenth, past the log and by one statement each: how
/// long that takes is not what is measured.
async fn fill(work: &Work, url: &str) -> Outcome<()> {
    let pool = PgPool::connect(url).await?;
    for (sequence, step) in [(1_u64, 1), (2, 10)].into_iter().take(work.states as usize) {
        sqlx::query(
            "INSERT INTO replication_log (grain_type, grain_key, sequence, timestamp_millis, \
             source_cluster, entry_type, payload) \
             SELECT $1, lpad(grain::text, 7, '0'), $2, 0, 'primary', 0, $3 \
             FROM generate_series(0, $4 - 1, $5) AS grain",
        )
        .bind(TYPE)
        .bind(i64::try_from(sequence)?)
        .bind(payload(work.payload, sequence))
        .bind(i64::from(work.grains))
        .bind(i64::from(step))
        .execute(&pool)
        .await?;
    }
    tidy(&pool).await?;
    pool.close().await;
    Ok(())
}

/// As on the other sides, has the server do now what it would do within the next minutes.
async fn tidy(pool: &PgPool) -> Outcome<()> {
    sqlx::query("VACUUM ANALYZE").execute(pool).await?;
    Ok(())
}

/// What its consumers would read for grains that are one state behind: a query each, one after the other
/// or several at once; the faster way is its figure.
async fn catch_up(work: &Work, log: Arc<PostgresReplicationLog>) -> Outcome<()> {
    begin();
    let moved: Vec<String> = (0..work.grains).step_by(10).map(key).collect();
    let mut best = f64::INFINITY;
    for at_once in AT_ONCE {
        let mut samples = Vec::new();
        for behind in moved.chunks(BEHIND as usize) {
            let began = nanos();
            let mut reads = futures::stream::iter(behind)
                .map(|key| log.read_from(TYPE, key, 1, LIMIT))
                .buffer_unordered(at_once);
            while let Some(read) = reads.next().await {
                let read = read?;
                if read.len() != 1 || read.iter().any(|entry| entry.payload.len() != work.payload) {
                    return Err("a grain was not one state behind".into());
                }
            }
            samples.push((nanos() - began) as f64 / 1e6);
        }
        best = best.min(quantile(&mut samples, 0.5).ok_or("nothing was read")?);
    }
    line("catch_up_1000_ms", best);
    Ok(())
}

/// Follows grains that stand still, says so, and goes on until it is told that it was measured: what that
/// costs is seen from outside.
async fn idle(work: &Work, log: Arc<PostgresReplicationLog>) -> Outcome<()> {
    let store = Arc::new(ReplicaStore::new());
    let counted = Counted::new(log, false);
    let log: Arc<dyn ReplicationLog> = counted.clone();
    let _shutdown = follow(work, ids(work.grains), &log, &store);
    // A consumer knows nothing at its start: each reads its grain once before it is at rest.
    while counted.calls() < 2 * u64::from(work.grains) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    say("ready")?;
    let told = || std::io::stdin().read_line(&mut String::new());
    tokio::task::spawn_blocking(told).await??;
    say("done")
}

fn say(what: &str) -> Outcome<()> {
    println!("{what}");
    Ok(std::io::stdout().flush()?)
}
