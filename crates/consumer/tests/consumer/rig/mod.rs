//! The bench: a log, a store and a clock that do as they are told, and a follower between them.

mod clock;
mod gate;
mod log;
mod store;
mod traces;

use std::sync::Arc;
use std::time::Duration;

use gleaner_consumer::{Follower, FollowerBuilder, Health, RawReader, ReadOptions};
use gleaner_core::{
    Cursor, Digest, Draft, Entry, Filter, Fold, FoldError, GrainId, PushedRun, ReplicationLog,
    Writer,
};
use gleaner_memory::MemoryReplicaStore;

pub(crate) use self::clock::RigClock;
pub(crate) use self::gate::Gate;
pub(crate) use self::log::{Hints, RigLog};
pub(crate) use self::store::RigStore;
pub(crate) use self::traces::{Traces, install};

/// The poll interval of every follower here, unless a test says otherwise. No jitter: counts are exact.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// A read that asks nothing of the answer.
pub(crate) const ANY: ReadOptions = ReadOptions::max_age(Duration::MAX);

pub(crate) struct Rig {
    pub(crate) log: Arc<RigLog>,
    pub(crate) store: Arc<RigStore>,
    pub(crate) clock: Arc<RigClock>,
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::over(MemoryReplicaStore::new())
    }

    /// With a fold that joins a delta to the state by a plus; `!` fails it, `?` makes it panic.
    pub(crate) fn folding() -> Self {
        Self::over(MemoryReplicaStore::new().with_fold(Arc::new(Joining)))
    }

    pub(crate) fn over(store: MemoryReplicaStore) -> Self {
        install();
        Self {
            log: Arc::new(RigLog::new()),
            store: Arc::new(RigStore::new(Arc::new(store))),
            clock: Arc::new(RigClock::new()),
        }
    }

    pub(crate) fn builder(&self) -> FollowerBuilder {
        Follower::builder(self.log.clone(), self.store.clone())
            .clock(self.clock.clone())
            .poll_interval(INTERVAL)
            .jitter(0.0)
            .shards(2)
            .seed(1)
    }

    pub(crate) fn follower(&self) -> Follower {
        self.builder().spawn()
    }

    /// A follower of one grain by name, ready.
    pub(crate) async fn following(&self, id: &GrainId) -> Follower {
        let follower = self.follower();
        follower.follow(id.clone()).await.unwrap();
        follower.ready().await.unwrap();
        follower
    }

    /// A follower of all grains, ready.
    pub(crate) async fn following_all(&self) -> Follower {
        let follower = self.follower();
        follower.follow_all(Filter::all()).await.unwrap();
        follower.ready().await.unwrap();
        follower
    }

    pub(crate) async fn append(&self, entry: Entry) -> Digest {
        self.log.current().append(entry).await.unwrap().digest
    }

    /// Sends an entry unasked, as it is in the log of this moment or would be.
    pub(crate) async fn send(&self, entry: Entry) {
        let identity = self.log.current().identity().await.unwrap();
        self.log.send_as(identity, vec![run_of([entry])]);
        settle().await;
    }

    /// Appends, and sends what was appended; no hint comes.
    pub(crate) async fn append_and_send(&self, entry: Entry) {
        self.append(entry.clone()).await;
        self.send(entry).await;
    }

    /// Appends a whole state in epoch 1.
    pub(crate) async fn full(&self, id: &GrainId, sequence: u64, state: &str) -> Cursor {
        let cursor = Cursor::new(1, sequence);
        self.append(full(id, cursor, state)).await;
        cursor
    }

    /// Appends a delta in epoch 1 behind the head.
    pub(crate) async fn delta(&self, id: &GrainId, sequence: u64, change: &str) -> Cursor {
        let heads = self.log.current().heads(std::slice::from_ref(id)).await;
        let prev = heads.unwrap()[0].unwrap().digest;
        let cursor = Cursor::new(1, sequence);
        self.append(delta(id, cursor, prev, change)).await;
        cursor
    }
}

/// A run of one grain's entries, to be sent unasked.
pub(crate) fn run_of<const N: usize>(entries: [Entry; N]) -> PushedRun {
    PushedRun {
        grain: entries[0].grain().clone(),
        entries: entries.into(),
    }
}

pub(crate) fn full(id: &GrainId, cursor: Cursor, state: &str) -> Entry {
    let writer = Writer::new(cursor.epoch.get());
    Draft::full(id.clone(), cursor, writer, state.to_owned()).seal()
}

pub(crate) fn delta(id: &GrainId, cursor: Cursor, prev: Digest, change: &str) -> Entry {
    let writer = Writer::new(cursor.epoch.get());
    Draft::delta(id.clone(), cursor, writer, prev, change.to_owned()).seal()
}

pub(crate) fn tombstone(id: &GrainId, cursor: Cursor) -> Entry {
    Draft::tombstone(id.clone(), cursor, Writer::new(cursor.epoch.get())).seal()
}

pub(crate) fn grain(key: &str) -> GrainId {
    GrainId::new("t", key).unwrap()
}

/// The state as text.
pub(crate) fn text(reader: &RawReader, id: &GrainId) -> String {
    let answer = reader.get(id, ReadOptions::default()).unwrap();
    String::from_utf8(answer.state.to_vec()).unwrap()
}

pub(crate) fn health(follower: &Follower, id: &GrainId) -> Health {
    follower.control(id.clone()).health().unwrap()
}

pub(crate) fn age(follower: &Follower, id: &GrainId) -> Option<Duration> {
    follower
        .raw_reader()
        .get(id, ReadOptions::default())
        .unwrap()
        .age
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Lets every task go on until none can, without time moving.
pub(crate) async fn settle() {
    for _ in 0..300 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass, with everything that falls due in it done in order.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}

/// Waits for a condition, in virtual time; an hour of it is a failure.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..36_000 {
        settle().await;
        if condition() {
            return;
        }
        tokio::time::sleep(millis(100)).await;
    }
    panic!("never came true: {what}");
}

/// The fold of these tests.
struct Joining;

impl Fold for Joining {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<bytes::Bytes, FoldError> {
        match &delta.payload()[..] {
            b"!" => Err(FoldError::new("told to fail")),
            b"?" => panic!("told to panic"),
            change => Ok([state, &b"+"[..], change].concat().into()),
        }
    }
}
