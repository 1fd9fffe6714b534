//! Logs, opened as a user would and filled directly.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gleaner_measure::{LogKind, Work, key, payload};
use orlando_core::ClusterId;
use orlando_core::replication::{ReplicationEntry, ReplicationEntryType};
use orlando_persistence::{InMemoryReplicationLog, ReplicationLog, SqliteReplicationLog};
use sqlx::sqlite::SqlitePool;

use crate::{Outcome, TYPE};

pub fn file(folder: &Path) -> PathBuf {
    folder.join("orlando.db")
}

/// The pool that `SqliteReplicationLog::new` makes, kept so that it can be asked for its settings.
pub async fn pool(file: &Path) -> Outcome<SqlitePool> {
    Ok(SqlitePool::connect(&format!("sqlite:{}?mode=rwc", file.display())).await?)
}

pub async fn open(work: &Work) -> Outcome<Arc<dyn ReplicationLog>> {
    Ok(match work.log {
        LogKind::Memory => Arc::new(InMemoryReplicationLog::new()),
        LogKind::Sqlite => {
            Arc::new(SqliteReplicationLog::with_pool(pool(&file(&work.folder)).await?).await?)
        }
    })
}

pub fn entry(grain: u32, sequence: u64, bytes: usize) -> ReplicationEntry {
    ReplicationEntry {
        grain_type: TYPE.to_owned(),
        grain_key: key(grain),
        sequence,
        timestamp_millis: 0,
        source_cluster: ClusterId::new("primary"),
        entry_type: ReplicationEntryType::FullState,
        payload: payload(bytes, sequence),
    }
}

/// `work.states` states of each grain. The file is filled past the log, in large transactions: one
/// append at a time would take minutes, and how long it takes is not what is measured.
pub async fn fill(work: &Work, log: &dyn ReplicationLog) -> Outcome<()> {
    if work.log == LogKind::Memory {
        for grain in 0..work.grains {
            for sequence in 1..=u64::from(work.states) {
                log.append(entry(grain, sequence, work.payload)).await?;
            }
        }
        return Ok(());
    }
    let pool = pool(&file(&work.folder)).await?;
    let mut connection = pool.acquire().await?;
    sqlx::query("PRAGMA synchronous = OFF")
        .execute(&mut *connection)
        .await?;
    sqlx::query("BEGIN").execute(&mut *connection).await?;
    for grain in 0..work.grains {
        for sequence in 1..=u64::from(work.states) {
            let entry = entry(grain, sequence, work.payload);
            sqlx::query(
                "INSERT INTO replication_log (grain_type, grain_key, sequence, timestamp_millis, \
                 source_cluster, entry_type, payload) VALUES (?, ?, ?, ?, ?, 0, ?)",
            )
            .bind(&entry.grain_type)
            .bind(&entry.grain_key)
            .bind(i64::try_from(sequence)?)
            .bind(entry.timestamp_millis)
            .bind(entry.source_cluster.as_str())
            .bind(&entry.payload)
            .execute(&mut *connection)
            .await?;
        }
    }
    sqlx::query("COMMIT").execute(&mut *connection).await?;
    drop(connection);
    pool.close().await;
    Ok(())
}
