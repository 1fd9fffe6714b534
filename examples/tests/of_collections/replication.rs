//! Owner and follower over one log, in one process.

use std::sync::Arc;
use std::time::Duration;

use gleaner::memory::MemoryLog;
use gleaner::{Cursor, Health, ReplicaStore, ReplicationLog};
use tempfile::TempDir;

use crate::command::made_up;
use crate::database::{Database, grain};
use crate::engine::{Engine, SearchError};
use crate::following::Following;
use crate::nearest::{Metric, Query};
use crate::operation::{Operation, WriteError};
use crate::payload::{Bincoded, Payloads};

/// Far beyond what anything here takes.
const GUARD: Duration = Duration::from_secs(60);

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, what).await.unwrap()
}

struct Pair {
    log: Arc<MemoryLog>,
    owner: Database,
    folder: TempDir,
}

impl Pair {
    async fn new() -> Self {
        let log = Arc::new(MemoryLog::new());
        let owner = Database::open(Arc::clone(&log) as _, &grain("main").unwrap()).await;
        Self {
            log,
            owner: owner.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    async fn follow(&self) -> Following {
        let engine = self.engine().await;
        let log: Arc<dyn ReplicationLog> = Arc::clone(&self.log) as _;
        Following::start(log, engine, grain("main").unwrap(), "the leader")
            .await
            .unwrap()
    }

    async fn engine(&self) -> Engine {
        let path = self.folder.path().join("engine.db");
        Engine::open(path).await.unwrap()
    }

    /// The follower's database, byte for byte what the owner has.
    async fn same(&self, following: &Following) {
        let (state, cursor) = self.owner.now();
        within(following.reached(cursor)).await.unwrap();
        let replica = self.engine().await.get(&grain("main").unwrap()).await;
        let replica = replica.unwrap().unwrap();
        assert_eq!(replica.cursor(), cursor);
        assert_eq!(replica.state().unwrap(), Bincoded.write(&state).unwrap());
        for metric in [Metric::L2, Metric::Cosine] {
            for name in state.0.keys() {
                let query = query(name, metric);
                let there = self.owner.search(&query).unwrap();
                let (here, _) = following.search(query).await.unwrap();
                assert_eq!(here, there);
                let count = following.count(name).await.unwrap();
                assert_eq!(count, self.owner.count(name).unwrap());
            }
        }
    }
}

fn query(collection: &str, metric: Metric) -> Query {
    Query {
        collection: collection.to_owned(),
        vector: vec![0.3, -0.2, 0.5],
        count: 20,
        metric,
    }
}

fn create(name: &str) -> Operation {
    Operation::CreateCollection {
        name: name.to_owned(),
        dimensions: 3,
    }
}

fn delete(id: usize) -> Operation {
    Operation::Delete {
        collection: "c".to_owned(),
        id: format!("p{id}"),
    }
}

#[tokio::test]
async fn a_follower_is_searched_while_it_follows() {
    let pair = Pair::new().await;
    let following = pair.follow().await;
    pair.owner.write(vec![create("c")]).await.unwrap();
    pair.same(&following).await;
    pair.owner.write(made_up("c", 3, 5_000)).await.unwrap();
    pair.same(&following).await;
    for at in 0..100 {
        pair.owner.write(vec![delete(at)]).await.unwrap();
    }
    pair.same(&following).await;
    pair.owner.write(made_up("c", 3, 20_000)).await.unwrap();
    pair.same(&following).await;
    let dropped = Operation::DropCollection {
        name: "c".to_owned(),
    };
    pair.owner.write(vec![create("d"), dropped]).await.unwrap();
    pair.same(&following).await;
    let standing = following.standing();
    assert_eq!(standing.health, Health::Live);
    assert!(standing.age.is_some_and(|age| age < GUARD), "{standing:?}");
    following.close().await;
}

#[tokio::test]
async fn a_follower_takes_no_writes() {
    let pair = Pair::new().await;
    let following = pair.follow().await;
    let cursor = pair.owner.now().1;
    within(following.reached(cursor)).await.unwrap();
    let refused = following.write(vec![create("mine")]);
    assert!(
        matches!(&refused, Err(WriteError::ReadOnly { leader }) if leader == "the leader"),
        "{refused:?}"
    );
    let missing = following.search(query("mine", Metric::L2)).await;
    assert!(
        matches!(missing, Err(SearchError::Refused(_))),
        "{missing:?}"
    );
    assert_eq!(pair.owner.now().1, cursor);
}

/// Deltas follow where it stands; and a whole state replaces what it has, once history is gone.
#[tokio::test]
async fn what_was_done_while_it_was_away_is_done() {
    for truncated in [false, true] {
        let pair = Pair::new().await;
        let following = pair.follow().await;
        pair.owner
            .write(vec![create("c"), create("gone")])
            .await
            .unwrap();
        pair.owner.write(made_up("c", 3, 300)).await.unwrap();
        pair.same(&following).await;
        following.close().await;
        let dropped = Operation::DropCollection {
            name: "gone".to_owned(),
        };
        pair.owner.write(vec![dropped]).await.unwrap();
        for at in 0..200 {
            pair.owner.write(vec![delete(at)]).await.unwrap();
        }
        if truncated {
            let id = grain("main").unwrap();
            let cut = pair.log.truncate(&id, pair.owner.now().1).await.unwrap();
            assert!(cut.floor > Cursor::new(1, 4), "{cut:?}");
        }
        let following = pair.follow().await;
        pair.same(&following).await;
        assert_eq!(following.count("c").await.unwrap().what, 100);
        let gone = following.count("gone").await;
        assert!(matches!(gone, Err(SearchError::Refused(_))), "{gone:?}");
        following.close().await;
    }
}

/// A follower that begins late begins at a whole state, whatever the number of operations.
#[tokio::test]
async fn a_late_follower_bootstraps() {
    let pair = Pair::new().await;
    pair.owner.write(vec![create("c")]).await.unwrap();
    for at in 0..200 {
        let one = made_up("c", 3, at + 1).split_off(at);
        pair.owner.write(one).await.unwrap();
    }
    let id = grain("main").unwrap();
    pair.log.truncate(&id, pair.owner.now().1).await.unwrap();
    let following = pair.follow().await;
    pair.same(&following).await;
}

/// Before anything has come, there is nothing to search, and no age.
#[tokio::test]
async fn a_follower_of_nothing_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(folder.path().join("engine.db")).await.unwrap();
    let log = Arc::new(MemoryLog::new());
    let id = grain("main").unwrap();
    let following = Following::start(log, engine, id, "nobody").await.unwrap();
    let nothing = following.search(query("c", Metric::L2)).await;
    assert!(
        matches!(nothing, Err(SearchError::NoDatabase)),
        "{nothing:?}"
    );
}
