//! `idle`: what following grains that are in step costs.

use std::sync::Arc;
use std::time::Duration;

use gleaner::memory::MemoryReplicaStore;
use gleaner::{Filter, Follower, GrainId, ReplicaStore, ReplicationLog};
use gleaner_measure::{Resident, Work, begin, cpu_nanos, line, nanos};

use super::counted::Counted;
use super::following::{follower, in_step};
use super::{Outcome, TYPE, logs};

pub(crate) async fn run(work: &Work) -> Outcome<()> {
    let ids = logs::ids(work.grains)?;
    let resting = Resting::reach(work, &ids).await?;
    line("bytes_per_grain", resting.bytes_per_grain);
    let (cpu, calls) = resting.cost(work).await?;
    line("cpu_seconds_per_second", cpu);
    line("log_calls_per_second", calls);
    resting.follower.shutdown().await;
    Ok(())
}

/// A follower that has found every grain in step.
pub(crate) struct Resting {
    pub(crate) log: Arc<Counted>,
    pub(crate) follower: Follower,
    /// From before the follower was started.
    pub(crate) follow_seconds: f64,
    pub(crate) ready_seconds: f64,
    pub(crate) bytes_per_grain: f64,
}

impl Resting {
    pub(crate) async fn reach(work: &Work, ids: &[GrainId]) -> Outcome<Self> {
        let log = logs::open(work).await?;
        logs::fill(work, ids, &*log).await?;
        let store: Arc<dyn ReplicaStore> = Arc::new(MemoryReplicaStore::new());
        logs::put_in_step(ids, &*log, &*store).await?;
        let log = Counted::new(log);
        begin();
        let before = Resident::trimmed()?;
        let began = nanos();
        let seconds = || (nanos() - began) as f64 / 1e9;
        let follower = follower(work, log.clone() as Arc<dyn ReplicationLog>, store);
        follower.follow_all(Filter::grain_type(TYPE)).await?;
        let follow_seconds = seconds();
        follower.ready().await?;
        let ready_seconds = seconds();
        // Over two polls, as the other side is given.
        tokio::time::sleep(Duration::from_millis(2 * work.interval_ms)).await;
        let after = Resident::trimmed()?;
        in_step(&follower, work.grains)?;
        let bytes_per_grain = after.growth_each(before, work.grains);
        Ok(Self {
            log,
            follower,
            follow_seconds,
            ready_seconds,
            bytes_per_grain,
        })
    }

    /// Processor seconds and calls of the log, a second.
    pub(crate) async fn cost(&self, work: &Work) -> Outcome<(f64, f64)> {
        let (wall, cpu, calls) = (nanos(), cpu_nanos(), self.log.calls());
        tokio::time::sleep(Duration::from_secs_f64(work.seconds)).await;
        let seconds = (nanos() - wall) as f64 / 1e9;
        let cost = (
            (cpu_nanos() - cpu) as f64 / 1e9 / seconds,
            (self.log.calls() - calls) as f64 / seconds,
        );
        in_step(&self.follower, work.grains)?;
        Ok(cost)
    }
}
