//! C5 under threads: readers hammer while a writer writes, and no age is ever smaller than the truth.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use gleaner_consumer::{Clock, Reading};
use gleaner_consumer::{Follower, Health, ReadOptions, SystemClock};
use gleaner_core::{Cursor, Filter, ReplicationLog};
use gleaner_memory::{MemoryLog, MemoryReplicaStore};

use crate::rig::{full, grain, install};

const WRITES: u64 = 20_000;
const READERS: usize = 3;

/// When each write was acknowledged, in nanoseconds; zero for not yet.
struct Acknowledged(Vec<AtomicU64>);

impl Acknowledged {
    /// The newest write that was acknowledged before a moment, looked for from a known one on.
    fn before(&self, moment: u64, mut from: usize) -> usize {
        while let Some(at) = self.0.get(from + 1).map(|at| at.load(Ordering::SeqCst))
            && at != 0
            && at < moment
        {
            from += 1;
        }
        from
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c5_no_reader_ever_sees_an_age_smaller_than_the_truth() {
    install();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let log = Arc::new(MemoryLog::new());
    let store = Arc::new(MemoryReplicaStore::new());
    let id = grain("hammered");
    let follower = Follower::builder(log.clone(), store)
        .clock(clock.clone())
        .poll_interval(Duration::from_millis(1))
        .spawn();
    follower.follow_all(Filter::all()).await.unwrap();
    let size = usize::try_from(WRITES).unwrap() + 1;
    let acknowledged = Arc::new(Acknowledged((0..size).map(|_| AtomicU64::new(0)).collect()));
    let ended = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (reader, id) = (follower.raw_reader(), id.clone());
            let (clock, ended) = (clock.clone(), ended.clone());
            let acknowledged = acknowledged.clone();
            std::thread::spawn(move || {
                let (mut looked, mut known) = (0_u64, 0);
                let mut handle = None;
                while !ended.load(Ordering::SeqCst) {
                    let before = now(&*clock);
                    let answer = if number == 0 {
                        reader.get(&id, ReadOptions::default())
                    } else {
                        if handle.is_none() {
                            handle = reader.handle(&id).ok();
                        }
                        let Some(handle) = &handle else { continue };
                        handle.get(ReadOptions::default())
                    };
                    let Ok(answer) = answer else { continue };
                    let Some(age) = answer.age else { continue };
                    assert!(matches!(
                        answer.health,
                        Health::Live | Health::Bootstrapping
                    ));
                    // The age was taken after `before`: what was acknowledged earlier than that less
                    // the age must be in the answer.
                    let age = u64::try_from(age.as_nanos()).unwrap();
                    let since = before.saturating_sub(age);
                    known = acknowledged.before(since, known);
                    let holds = answer.cursor.sequence.get();
                    assert!(
                        holds >= u64::try_from(known).unwrap(),
                        "holds {holds}, and {known} was acknowledged {age} ns and more before"
                    );
                    looked += 1;
                }
                looked
            })
        })
        .collect();
    for sequence in 1..=WRITES {
        let entry = full(&id, Cursor::new(1, sequence), "state");
        log.append(entry).await.unwrap();
        let place = usize::try_from(sequence).unwrap();
        acknowledged.0[place].store(now(&*clock), Ordering::SeqCst);
        if sequence % 64 == 0 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
    follower.caught_up().await.unwrap();
    let last = follower
        .raw_reader()
        .get(&id, ReadOptions::default())
        .unwrap();
    assert_eq!(last.cursor, Cursor::new(1, WRITES));
    ended.store(true, Ordering::SeqCst);
    let looks: u64 = readers
        .into_iter()
        .map(|reader| reader.join().unwrap())
        .sum();
    assert!(looks > 1_000, "{looks} answers looked at");
    follower.shutdown().await;
}

fn now(clock: &dyn Clock) -> u64 {
    let Reading { monotonic, .. } = clock.read();
    monotonic.as_nanos()
}
