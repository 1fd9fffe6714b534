//! [`Served`]: a filled log and its leader.

use std::path::Path;
use std::sync::Arc;

use gleaner::ReplicationLog;
use gleaner::grpc::Leader;
use gleaner::memory::MemoryLog;
use gleaner::sqlite::SqliteLog;
use gleaner_measure::{LogKind, begin};
use tokio::runtime::Runtime;

use super::case::Case;
use super::child::Child;
use super::order::Order;
use super::said::Said;
use crate::Outcome;
use crate::versus::logs;

/// How many entries are appended at once while filling.
const CHUNK: usize = 1000;

/// What the leader's process holds before anything is measured.
pub(crate) struct Served {
    pub(crate) case: Case,
    pub(crate) order: Order,
    pub(crate) log: Arc<dyn ReplicationLog>,
    pub(crate) leader: Leader,
}

impl Served {
    /// Opens a log, puts the first state of each grain into it, and serves it on a free port.
    pub(crate) async fn open(case: Case, folder: &Path) -> Outcome<Self> {
        let order = Order::new(case.grains())?;
        let log: Arc<dyn ReplicationLog> = match case.log() {
            LogKind::Memory => Arc::new(MemoryLog::new()),
            LogKind::Sqlite => Arc::new(SqliteLog::open(logs::file(folder)).await?),
        };
        let mut entries = Vec::with_capacity(CHUNK);
        for entry in order.first() {
            entries.push(entry);
            if entries.len() == CHUNK {
                logs::append_all(&*log, &entries).await?;
                entries.clear();
            }
        }
        logs::append_all(&*log, &entries).await?;
        let leader = Leader::builder(log.clone()).insecure(true);
        Ok(Self {
            case,
            order,
            log,
            leader: leader.bind("127.0.0.1:0".parse()?).await?,
        })
    }

    /// Starts a follower and returns when it is in step with what the log holds.
    pub(crate) fn follower_in_step(&self) -> Outcome<Child> {
        begin();
        let follower = Child::follower(self.case, self.leader.local_addr())?;
        follower.expect(Said::Ready)?;
        Ok(follower)
    }

    /// Bytes sent by the leader until now, everything included.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.leader.counts().bytes_sent
    }

    /// Ends the follower, then the leader.
    pub(crate) fn end(self, follower: Child, runtime: &Runtime) {
        drop(follower);
        runtime.block_on(self.leader.shutdown());
    }
}
