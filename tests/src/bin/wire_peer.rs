//! A process at one end of a wire, for the tests of the network.
//!
//! - `wire_peer leader PATH LISTEN MAX_BATCH` serves the SQLite log at a path, which takes batches of so
//!   many entries, until its input ends.
//! - `wire_peer follower URL STORE SAMPLED PATIENCE` follows all grains of the tests' type from the log at a
//!   URL. Every 2 ms it reads one of `load-0` to `load-(SAMPLED-1)` and says its age. An order `caught-up` is
//!   answered when it was proved in step, an order `read KEY` at once; at the end of its input it ends.
//! - `wire_peer writer URL PREFIX GRAINS PATIENCE` publishes states of `PREFIX-0` to `PREFIX-(GRAINS-1)`,
//!   each as fast as it is acknowledged, until its input ends. It says every acknowledgement.
//!
//! PATIENCE is how many milliseconds an answer of the log is waited for.

use std::sync::Arc;
use std::time::Duration;

use gleaner::grpc::Leader;
use gleaner::sqlite::SqliteLog;
use gleaner::{
    Compaction, Filter, Follower, GrainId, GrainPublisher, Limits, Publisher, RawReader,
    ReadOptions, ReplicaStore, ReplicationLog,
};
use gleaner_tests::{GRAIN_TYPE, News, Orders, Outcome, Payload, monotonic};
use tokio::sync::watch;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Outcome {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["leader", path, listen, max_batch] => lead(path, listen, max_batch.parse()?).await?,
        ["follower", url, store, sampled, patience] => {
            let log = open(url, patience).await?;
            let store = gleaner_tests::open_store(store, milliseconds(patience)?).await?;
            follow(log, store, sampled.parse()?).await?;
        }
        ["writer", url, prefix, grains, patience] => {
            write(open(url, patience).await?, prefix, grains.parse()?).await?;
        }
        _ => return Err("wire_peer leader|follower|writer ...".into()),
    }
    News::Ended.say();
    Ok(())
}

async fn lead(path: &str, listen: &str, max_batch: usize) -> Outcome {
    let limits = Limits::default()
        .with_max_batch_entries(max_batch)
        .with_max_batch_bytes(1 << 30);
    let log = SqliteLog::builder(path).limits(limits).open().await?;
    let leader = Leader::builder(Arc::new(log))
        .insecure(true)
        .bind(listen.parse()?)
        .await?;
    News::Listening {
        at: leader.local_addr(),
    }
    .say();
    let mut orders = Orders::listen();
    while orders.next().await.is_some() {}
    leader.shutdown().await;
    Ok(())
}

async fn open(
    url: &str,
    patience: &str,
) -> Result<Arc<dyn ReplicationLog>, Box<dyn std::error::Error + Send + Sync>> {
    gleaner_tests::open(url, milliseconds(patience)?).await
}

fn milliseconds(word: &str) -> Result<Duration, std::num::ParseIntError> {
    word.parse().map(Duration::from_millis)
}

async fn follow(
    log: Arc<dyn ReplicationLog>,
    store: Arc<dyn ReplicaStore>,
    sampled: u64,
) -> Outcome {
    let follower = Follower::builder(log, store)
        .poll_interval(Duration::from_millis(50))
        .backoff(Duration::from_millis(10), Duration::from_millis(200))
        .spawn();
    // It waits for a leader that is not up yet.
    let following = follower.clone();
    let mut listed = Some(tokio::spawn(async move {
        following.follow_all(Filter::grain_type(GRAIN_TYPE)).await
    }));
    News::Ready.say();
    let sampling = tokio::spawn(sample(follower.clone(), sampled));
    let mut orders = Orders::listen();
    while let Some(order) = orders.next().await {
        if let Some(key) = order.strip_prefix("read ") {
            let key = key.to_owned();
            let read = read(&follower.raw_reader(), &key).await;
            read.unwrap_or(News::Ageless { key }).say();
            continue;
        }
        if order != "caught-up" {
            return Err(format!("an order {order:?}?").into());
        }
        if let Some(listed) = listed.take() {
            listed.await??;
        }
        let found = follower.caught_up().await?;
        News::CaughtUp {
            in_step: found.in_step,
            held: found.held,
            entries_read: follower.progress().entries_read,
        }
        .say();
    }
    sampling.abort();
    follower.shutdown().await;
    Ok(())
}

async fn sample(follower: Follower, sampled: u64) {
    let reader = follower.raw_reader();
    let keys: Vec<String> = (0..sampled).map(|at| format!("load-{at}")).collect();
    for key in keys.iter().cycle() {
        tokio::time::sleep(Duration::from_millis(2)).await;
        if let Some(news) = read(&reader, key).await {
            news.say();
        }
    }
}

/// Reads a replica as it is now; none if it has no age.
async fn read(reader: &RawReader, key: &str) -> Option<News> {
    let grain = GrainId::new(GRAIN_TYPE, key).ok()?;
    let at = monotonic();
    let options = ReadOptions::default().wait(Duration::from_millis(1));
    let answer = reader.get_when(&grain, options).await.ok()?;
    Some(News::Aged {
        key: key.to_owned(),
        cursor: answer.cursor,
        age: answer.age?,
        health: answer.health.name().to_owned(),
        at,
    })
}

async fn write(log: Arc<dyn ReplicationLog>, prefix: &str, grains: u64) -> Outcome {
    let publisher = Publisher::builder(log)
        .source("tests")
        .compaction(Compaction::never())
        .coalesce(false)
        .backoff(Duration::from_millis(5), Duration::from_millis(100))
        .spawn();
    let (stop, told) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for at in 0..grains {
        let grain = GrainId::new(GRAIN_TYPE, format!("{prefix}-{at}"))?;
        let publisher = publisher.clone();
        let told = told.clone();
        tasks.spawn(async move {
            let grain = publisher.open(grain).await?;
            publish(grain, told).await
        });
    }
    News::Ready.say();
    let mut orders = Orders::listen();
    while orders.next().await.is_some() {}
    stop.send_replace(true);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    publisher.shutdown().await?;
    Ok(())
}

async fn publish(grain: GrainPublisher, told: watch::Receiver<bool>) -> Outcome {
    let key = grain.id().grain_key().to_owned();
    let mut turn = u64::from(std::process::id()) << 32;
    while !*told.borrow() {
        turn += 1;
        let state = Payload::new(turn).bytes(&key);
        let cursor = grain.publish_bytes(state).await?;
        News::Acked {
            key: key.clone(),
            cursor,
            turn: Some(turn),
            at: monotonic(),
        }
        .say();
    }
    Ok(())
}
