//! `idle`: what following grains that are in step costs.

use std::sync::Arc;
use std::time::Duration;

use gleaner_measure::{Resident, Work, begin, cpu_nanos, key, line, nanos, payload};
use orlando_cluster::ReplicaStore;
use orlando_persistence::ReplicationLog;

use crate::counted::Counted;
use crate::following::{follow, ids};
use crate::{Outcome, TYPE, logs};

pub async fn run(work: &Work) -> Outcome<()> {
    let log = logs::open(work).await?;
    logs::fill(work, &*log).await?;
    let store = Arc::new(ReplicaStore::new());
    let newest = u64::from(work.states);
    for grain in 0..work.grains {
        store.update(TYPE, &key(grain), payload(work.payload, newest), newest, 0);
    }
    let counted = Counted::new(log, false);
    let log: Arc<dyn ReplicationLog> = counted.clone();
    let ids = ids(work.grains);
    begin();
    let before = Resident::trimmed()?;
    let _shutdown = follow(work, ids, &log, &store);
    // A consumer knows nothing at its start: each reads its grain once before it is at rest.
    while counted.calls() < 2 * u64::from(work.grains) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = Resident::trimmed()?;
    line("bytes_per_grain", after.growth_each(before, work.grains));

    let (wall, cpu, calls) = (nanos(), cpu_nanos(), counted.calls());
    tokio::time::sleep(Duration::from_secs_f64(work.seconds)).await;
    let seconds = (nanos() - wall) as f64 / 1e9;
    line(
        "cpu_seconds_per_second",
        (cpu_nanos() - cpu) as f64 / 1e9 / seconds,
    );
    line(
        "log_calls_per_second",
        (counted.calls() - calls) as f64 / seconds,
    );
    Ok(())
}
