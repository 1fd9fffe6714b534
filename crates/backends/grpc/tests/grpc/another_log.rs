//! A leader whose log is not what it was: the follower says so and keeps what it has.

use std::sync::Arc;
use std::time::Duration;

use gleaner_consumer::{Follower, Health, ReadOptions};
use gleaner_core::{Cursor, Draft, Entry, Filter, GrainId, ReplicationLog, Writer};
use gleaner_memory::{MemoryLog, MemoryReplicaStore};
use tokio::time::{Instant, sleep};

use crate::leaders::{plain, plain_log};

/// Long beyond anything that is waited for.
const LONG: Duration = Duration::from_secs(60);

fn plane() -> GrainId {
    GrainId::new("aircraft", "N2").unwrap()
}

fn full(sequence: u64, state: &'static str) -> Entry {
    Draft::full(plane(), Cursor::new(1, sequence), Writer::new(1), state).seal()
}

async fn until(follower: &Follower, state: &str, health: Health) {
    let (began, reader) = (Instant::now(), follower.raw_reader());
    loop {
        let found = reader.get(&plane(), ReadOptions::default());
        if let Ok(answer) = &found
            && (&answer.state[..], answer.health) == (state.as_bytes(), health)
        {
            return;
        }
        assert!(
            began.elapsed() < LONG,
            "{found:?}, not {state:?} {health:?}"
        );
        sleep(Duration::from_millis(5)).await;
    }
}

/// A follower that is in step with three states.
async fn followed(log: &MemoryLog) -> (gleaner_grpc::Leader, Follower) {
    for (sequence, state) in [(1, "one"), (2, "two"), (3, "three")] {
        log.append(full(sequence, state)).await.unwrap();
    }
    let leader = plain(Arc::new(log.clone())).await;
    let read = plain_log(&leader).open().unwrap();
    let follower = Follower::builder(Arc::new(read), Arc::new(MemoryReplicaStore::new()))
        .poll_interval(Duration::from_millis(20))
        .backoff(Duration::from_millis(5), Duration::from_millis(20))
        .spawn();
    let planes = Filter::grain_type("aircraft");
    follower.follow_all(planes).await.unwrap();
    until(&follower, "three", Health::Live).await;
    (leader, follower)
}

#[tokio::test]
async fn a_log_that_began_anew_is_foreign_until_that_is_accepted() {
    let log = MemoryLog::new();
    let (leader, follower) = followed(&log).await;
    log.begin_anew();
    // Higher than the replica, so that nothing but the identity tells.
    log.append(full(9, "of another")).await.unwrap();
    until(&follower, "three", Health::Foreign).await;
    log.append(full(10, "of another still")).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    until(&follower, "three", Health::Foreign).await;
    let began = Instant::now();
    while follower.rebase_foreign().await.unwrap() != (1, 0) {
        assert!(began.elapsed() < LONG);
        sleep(Duration::from_millis(5)).await;
    }
    until(&follower, "of another still", Health::Live).await;
    follower.shutdown().await;
    leader.shutdown().await;
}

#[tokio::test]
async fn a_log_that_lost_its_tail_leaves_the_replica_ahead_until_it_is_passed() {
    let log = MemoryLog::new();
    let (leader, follower) = followed(&log).await;
    assert!(log.lose_tail(&plane(), Cursor::new(1, 1)));
    until(&follower, "three", Health::Ahead).await;
    assert_eq!(follower.progress().in_step, 0);
    log.append(full(5, "five")).await.unwrap();
    until(&follower, "five", Health::Live).await;
    follower.shutdown().await;
    leader.shutdown().await;
}
