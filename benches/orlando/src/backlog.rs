//! `backlog` and `wide`: from the first follow until every grain can be read at its newest state.

use std::sync::Arc;

use gleaner_measure::{Work, begin, line, nanos};
use orlando_cluster::ReplicaStore;
use orlando_persistence::ReplicationLog;

use crate::counted::Counted;
use crate::following::{all_readable, follow, ids};
use crate::{Outcome, logs};

pub async fn run(work: &Work) -> Outcome<()> {
    let log = logs::open(work).await?;
    logs::fill(work, &*log).await?;
    let counted = Counted::new(log, true);
    let store = Arc::new(ReplicaStore::new());
    let ids = ids(work.grains);
    let log: Arc<dyn ReplicationLog> = counted.clone();
    begin();
    let began = nanos();
    let _shutdown = follow(work, ids, &log, &store);
    all_readable(work, &store).await;
    line("seconds", (nanos() - began) as f64 / 1e9);
    line("payload_bytes_read", counted.payload_bytes() as f64);
    Ok(())
}
