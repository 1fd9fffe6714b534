//! A follower, as the README's reader would have one.

use std::sync::Arc;
use std::time::Duration;

use gleaner::{Follower, GrainId, RawReader, ReadOptions, ReplicaStore, ReplicationLog};
use gleaner_measure::Work;

use super::Outcome;

/// Starts one; nothing is followed yet.
pub(crate) fn follower(
    work: &Work,
    log: Arc<dyn ReplicationLog>,
    store: Arc<dyn ReplicaStore>,
) -> Follower {
    let interval = Duration::from_millis(work.interval_ms);
    Follower::builder(log, store)
        .poll_interval(interval)
        .spawn()
}

/// The newest sequence that can be read of a grain.
pub(crate) fn readable(reader: &RawReader, grain: &GrainId) -> Option<u64> {
    let answer = reader.get(grain, ReadOptions::default()).ok()?;
    Some(answer.cursor.sequence.get())
}

/// Returns when every grain can be read at its newest state, of which it has so many.
pub(crate) async fn all_readable(states: u32, ids: &[GrainId], reader: &RawReader) {
    for grain in ids {
        while readable(reader, grain).is_none_or(|sequence| sequence < u64::from(states)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// That as many are in step as were to be.
pub(crate) fn in_step(follower: &Follower, grains: u32) -> Outcome<()> {
    let found = follower.progress().in_step;
    if found == grains as usize {
        return Ok(());
    }
    Err(format!("{found} of {grains} grains are in step").into())
}
