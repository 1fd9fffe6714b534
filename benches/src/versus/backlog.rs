//! `backlog` and `wide`: from the first follow until every grain can be read at its newest state.

use std::sync::Arc;

use gleaner::Filter;
use gleaner::memory::MemoryReplicaStore;
use gleaner_measure::{Work, begin, line, nanos};

use super::counted::Counted;
use super::following::{all_readable, follower};
use super::{Outcome, TYPE, logs};

pub(crate) async fn run(work: &Work) -> Outcome<()> {
    let ids = logs::ids(work.grains)?;
    let log = logs::open(work).await?;
    logs::fill(work, &ids, &*log).await?;
    let counted = Counted::new(log);
    let store = Arc::new(MemoryReplicaStore::new());
    begin();
    let began = nanos();
    let follower = follower(work, counted.clone(), store);
    follower.follow_all(Filter::grain_type(TYPE)).await?;
    all_readable(work.states, &ids, &follower.raw_reader()).await;
    line("seconds", (nanos() - began) as f64 / 1e9);
    line("payload_bytes_read", counted.payload_bytes() as f64);
    follower.shutdown().await;
    Ok(())
}
