//! The shared tests of the contracts, through a leader: plain, guarded, and with a stream that is
//! listened to.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gleaner_conformance::{LogFactory, NotApplicable};
use gleaner_core::{
    Appended, Budget, CatchUp, ChangeFeed, Changes, Claim, Cursor, Entry, Filter, GrainId, Head,
    HeadPage, Identity, Limits, Page, Position, Pushed, ReplicationLog, Result, Truncation,
};
use gleaner_grpc::{GrpcLog, Leader};
use gleaner_memory::MemoryLog;
use gleaner_sqlite::SqliteLog;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::leaders::{guarded, guarded_log, plain, plain_log, write_credentials};

const HANDED: &str = "what moves is handed to who listens, and then wakes nobody else";
const ENDS: &str = "the log behind this leader is in memory and ends with its process";

/// Small enough that the kit reaches every limit quickly.
fn memory() -> Arc<dyn ReplicationLog> {
    let limits = Limits::default()
        .with_max_payload(1 << 20)
        .with_max_batch_bytes(4 << 20);
    Arc::new(MemoryLog::with_limits(limits))
}

/// Over a log in memory, without tokens or TLS.
struct Plain;

impl LogFactory for Plain {
    type Guard = Leader;
    type Log = GrpcLog;

    async fn open(&self) -> (Leader, GrpcLog) {
        let leader = plain(memory()).await;
        let log = plain_log(&leader).open().unwrap();
        log.connect().await.unwrap();
        (leader, log)
    }

    fn not_applicable(&self) -> NotApplicable {
        &[("L10", ENDS), ("l11_reopened_log_is_the_same_log", ENDS)]
    }
}

/// Over an SQLite file, with tokens, TLS and a client's certificate. Reopened, the leader is another
/// one on the same file.
struct Guarded;

struct Place {
    folder: TempDir,
    leader: Mutex<Option<Leader>>,
}

impl Place {
    async fn log(&self) -> GrpcLog {
        let path = self.folder.path().join("log.db");
        let limits = Limits::default()
            .with_max_payload(1 << 20)
            .with_max_batch_bytes(4 << 20);
        let mut place = self.leader.lock().await;
        if let Some(former) = place.take() {
            former.shutdown().await;
        }
        let log = SqliteLog::builder(path)
            .limits(limits)
            .open()
            .await
            .unwrap();
        let leader = guarded(self.folder.path(), Arc::new(log)).await;
        let log = guarded_log(self.folder.path(), &leader).open().unwrap();
        log.connect().await.unwrap();
        *place = Some(leader);
        log
    }
}

impl LogFactory for Guarded {
    type Guard = Place;
    type Log = GrpcLog;

    async fn open(&self) -> (Place, GrpcLog) {
        let folder = tempfile::tempdir().unwrap();
        write_credentials(folder.path());
        let leader = Mutex::new(None);
        let place = Place { folder, leader };
        let log = place.log().await;
        (place, log)
    }

    async fn reopen(&self, place: &Place) -> Option<GrpcLog> {
        Some(place.log().await)
    }
}

/// As plain, with a stream from every `start` on, and somebody who takes what it pushes: what `changes`
/// answers is then put together from the stream and the leader.
struct Heard;

struct HeardLog {
    log: GrpcLog,
}

impl LogFactory for Heard {
    type Guard = Leader;
    type Log = HeardLog;

    async fn open(&self) -> (Leader, HeardLog) {
        let (leader, log) = Plain.open().await;
        (leader, HeardLog { log })
    }

    fn not_applicable(&self) -> NotApplicable {
        &[
            (
                "f4_any_limit_gets_to_the_end",
                "names that the stream has brought are told at once, whatever the limit of the page",
            ),
            ("f5_a_wait_ends_at_once_if_something_is_there", HANDED),
            ("f5_an_append_wakes_a_waiter", HANDED),
            ("f5_a_dropped_wait_loses_nothing", HANDED),
        ]
    }
}

#[async_trait]
impl ReplicationLog for HeardLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        self.log.append_batch(entries).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        self.log.claim(claims).await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        self.log.heads(grains).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        self.log.list_heads(filter, after, limit).await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        self.log.read_from(grain, after, budget).await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        self.log.truncate(grain, before).await
    }

    fn limits(&self) -> Limits {
        self.log.limits()
    }

    async fn identity(&self) -> Result<Identity> {
        self.log.identity().await
    }

    fn confirms(&self) -> bool {
        self.log.confirms()
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        self.log.catch_up(wants, budget).await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        Some(self)
    }
}

impl HeardLog {
    fn feed(&self) -> &dyn ChangeFeed {
        self.log.feed().unwrap()
    }
}

#[async_trait]
impl ChangeFeed for HeardLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        let position = self.feed().start(filter).await?;
        // Begins the stream.
        self.feed().wait(&position, Duration::from_millis(1)).await;
        let (log, filter) = (self.log.clone(), filter.clone());
        tokio::spawn(async move {
            loop {
                let pushed = log.feed().unwrap().pushed(&filter).await;
                let mut grains = pushed.runs.iter().map(|run| &run.grain);
                assert!(grains.all(|grain| filter.includes(grain)));
            }
        });
        Ok(position)
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        self.feed().changes(since, filter, limit).await
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        self.feed().wait(since, at_most).await;
    }

    async fn pushed(&self, filter: &Filter) -> Pushed {
        self.feed().pushed(filter).await
    }
}

mod plain {
    mod log {
        gleaner_conformance::log_conformance!(super::super::Plain);
    }
    mod feed {
        gleaner_conformance::feed_conformance!(super::super::Plain);
    }
}

mod guarded {
    mod log {
        gleaner_conformance::log_conformance!(super::super::Guarded);
    }
    mod feed {
        gleaner_conformance::feed_conformance!(super::super::Guarded);
    }
}

mod heard {
    gleaner_conformance::feed_conformance!(super::Heard);
}
