//! Consumers, one a grain, as Orlando has them.

use std::sync::Arc;
use std::time::Duration;

use gleaner_measure::{Work, key};
use orlando_cluster::{ReplicaStore, ReplicationConsumer};
use orlando_core::ClusterId;
use orlando_persistence::ReplicationLog;
use tokio::sync::watch;

use crate::TYPE;

/// The ids that consumers own, made before anything is measured.
pub fn ids(grains: u32) -> Vec<(String, String)> {
    (0..grains)
        .map(|grain| (TYPE.to_owned(), key(grain)))
        .collect()
}

/// Follows each grain; dropping the sender ends nothing, `true` ends all.
pub fn follow(
    work: &Work,
    ids: Vec<(String, String)>,
    log: &Arc<dyn ReplicationLog>,
    store: &Arc<ReplicaStore>,
) -> watch::Sender<bool> {
    let (shutdown, told) = watch::channel(false);
    let local = ClusterId::new("secondary");
    for (grain_type, grain_key) in ids {
        let consumer = ReplicationConsumer::new(
            grain_type,
            grain_key,
            local.clone(),
            log.clone(),
            store.clone(),
            Duration::from_millis(work.interval_ms),
            told.clone(),
        );
        tokio::spawn(consumer.run());
    }
    shutdown
}

/// The newest sequence that can be read of a grain.
pub fn readable(store: &ReplicaStore, key: &str) -> Option<u64> {
    store.get(TYPE, key).map(|replica| replica.sequence)
}

/// Returns when every grain can be read at its newest state.
pub async fn all_readable(work: &Work, store: &ReplicaStore) {
    for grain in 0..work.grains {
        let key = key(grain);
        while readable(store, &key).is_none_or(|sequence| sequence < u64::from(work.states)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
