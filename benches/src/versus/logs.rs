//! Logs and stores, opened as a user would and filled directly.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gleaner::memory::MemoryLog;
use gleaner::sqlite::SqliteLog;
use gleaner::{
    Advance, Binding, Budget, Caught, Cursor, Draft, Entry, GrainId, ReplicaStore, ReplicationLog,
    Writer,
};
use gleaner_measure::{LogKind, Work, key, payload};

use super::{Outcome, TYPE};

/// How much is written or read at once while filling; within every log's limits.
const CHUNK: usize = 1000;

pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join("gleaner.db")
}

pub(crate) async fn open(work: &Work) -> Outcome<Arc<dyn ReplicationLog>> {
    Ok(match work.log {
        LogKind::Memory => Arc::new(MemoryLog::new()),
        LogKind::Sqlite => Arc::new(SqliteLog::open(file(&work.folder)).await?),
    })
}

/// The ids, made before anything is measured.
pub(crate) fn ids(grains: u32) -> Outcome<Vec<GrainId>> {
    let kind: Arc<str> = TYPE.into();
    let ids = (0..grains).map(|grain| GrainId::new(kind.clone(), key(grain)));
    Ok(ids.collect::<Result<_, _>>()?)
}

/// A whole state of a grain.
pub(crate) fn entry(grain: &GrainId, sequence: u64, bytes: usize) -> Entry {
    let state = payload(bytes, sequence);
    Draft::full(
        grain.clone(),
        Cursor::new(1, sequence),
        Writer::new(1),
        state,
    )
    .seal()
}

/// Appends entries, all of them or it is an error.
pub(crate) async fn append_all(log: &dyn ReplicationLog, entries: &[Entry]) -> Outcome<()> {
    for appended in log.append_batch(entries).await? {
        appended.result?;
    }
    Ok(())
}

/// `work.states` states of each grain.
pub(crate) async fn fill(work: &Work, ids: &[GrainId], log: &dyn ReplicationLog) -> Outcome<()> {
    let mut entries = Vec::with_capacity(CHUNK);
    for grain in ids {
        for sequence in 1..=u64::from(work.states) {
            entries.push(entry(grain, sequence, work.payload));
            if entries.len() == CHUNK {
                append_all(log, &entries).await?;
                entries.clear();
            }
        }
    }
    append_all(log, &entries).await
}

/// Brings a store in step with a log, as a follower would have left it.
pub(crate) async fn put_in_step(
    ids: &[GrainId],
    log: &dyn ReplicationLog,
    store: &dyn ReplicaStore,
) -> Outcome<()> {
    let identity = log.identity().await?;
    if store.bind(&identity.log, None).await? != Binding::Bound {
        return Err("the store belongs to another log".into());
    }
    for chunk in ids.chunks(CHUNK) {
        let marks = store.cursor(chunk).await?;
        let wants: Vec<_> = chunk
            .iter()
            .cloned()
            .zip(marks.iter().map(|mark| mark.cursor))
            .collect();
        let caught = log.catch_up(&wants, Budget::UNBOUNDED).await?;
        let mut runs = Vec::with_capacity(chunk.len());
        for ((grain, mark), caught) in chunk.iter().zip(&marks).zip(caught.grains) {
            let Caught::Run(run) = caught else {
                return Err(format!("{grain} was not read").into());
            };
            let generation = mark.generation;
            runs.push(Advance {
                grain: grain.clone(),
                generation,
                entries: run.entries,
            });
        }
        for outcome in store.apply(&identity.log, runs).await? {
            if let Some(stop) = outcome.stop {
                return Err(format!("a replica stopped: {stop:?}").into());
            }
        }
    }
    Ok(())
}
