//! `append_1`, `append_16`, `append_batch`: durable entries a second, each or each batch awaited.

use std::sync::Arc;
use std::time::Duration;

use gleaner_measure::{Work, begin, fsync_p50_ms, line, nanos};

use super::contender::{Contender, begin_grains};
use super::{URL, raw};
use crate::Outcome;
use crate::versus::logs::{entry, ids};

/// How many entries one batch has.
const BATCH: usize = 500;

/// A task for each grain, which appends one entry after the other.
pub(crate) async fn one_by_one<C: Contender>(work: &Work, contender: C) -> Outcome<()> {
    let metric = |of| format!("append_{}_{of}", work.grains);
    line(&metric("fsync_p50_ms"), fsync_p50_ms(&work.folder)?);
    let contender = Arc::new(contender);
    let ids = ids(work.grains)?;
    // What is measured is not how a grain begins, nor how a statement is prepared.
    begin_grains(&*contender, &ids, work.payload).await?;
    for (task, grain) in ids.iter().enumerate() {
        contender
            .append(task, entry(grain, 2, work.payload))
            .await?;
    }
    raw::tidy(&std::env::var(URL)?).await?;
    begin();
    let began = nanos();
    let until = began + Duration::from_secs_f64(work.seconds).as_nanos() as u64;
    let bytes = work.payload;
    let tasks: Vec<_> = ids
        .into_iter()
        .enumerate()
        .map(|(task, grain)| {
            let contender = contender.clone();
            tokio::spawn(async move {
                let mut sequence = 2;
                while nanos() < until {
                    sequence += 1;
                    contender
                        .append(task, entry(&grain, sequence, bytes))
                        .await?;
                }
                Outcome::Ok(sequence - 2)
            })
        })
        .collect();
    let mut appended = 0;
    for task in tasks {
        appended += task.await??;
    }
    let rate = appended as f64 * 1e9 / (nanos() - began) as f64;
    line(&metric("per_second"), rate);
    Ok(())
}

/// Batches, one after the other, each of other grains than the one before.
pub(crate) async fn batches<C: Contender>(work: &Work, contender: C) -> Outcome<()> {
    line("append_batch_fsync_p50_ms", fsync_p50_ms(&work.folder)?);
    let ids = ids(work.grains)?;
    let batch = |grains: &[_], sequence| -> Vec<_> {
        let entries = grains
            .iter()
            .map(|grain| entry(grain, sequence, work.payload));
        entries.collect()
    };
    begin_grains(&contender, &ids, work.payload).await?;
    raw::tidy(&std::env::var(URL)?).await?;
    begin();
    let began = nanos();
    let until = began + Duration::from_secs_f64(work.seconds).as_nanos() as u64;
    let (mut sequence, mut appended) = (1, 0);
    while nanos() < until {
        sequence += 1;
        for grains in ids.chunks(BATCH) {
            contender.append_batch(&batch(grains, sequence)).await?;
            appended += grains.len();
        }
    }
    let rate = appended as f64 * 1e9 / (nanos() - began) as f64;
    line("append_batch_per_second", rate);
    Ok(())
}
