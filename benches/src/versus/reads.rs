//! `reads`: random reads of replicas, alone and beside a paced writer.

use std::sync::Arc;

use gleaner::memory::MemoryReplicaStore;
use gleaner::{
    Advance, Filter, Generation, GrainId, GrainReader, LogId, RawReader, ReadOptions, ReplicaStore,
};
use gleaner_measure::{Draw, Race, Work, begin, line, read_race};
use tokio::runtime::Runtime;

use super::following::{follower, in_step};
use super::{Outcome, TYPE, logs};

pub(crate) fn run(work: &Work, runtime: &Runtime) -> Outcome<()> {
    let ids = logs::ids(work.grains)?;
    let store = Arc::new(MemoryReplicaStore::new());
    let (follower, log) = runtime.block_on(async {
        let log = logs::open(work).await?;
        logs::fill(work, &ids, &*log).await?;
        let name = log.identity().await?.log;
        let follower = follower(work, log, store.clone());
        follower.follow_all(Filter::grain_type(TYPE)).await?;
        follower.ready().await?;
        in_step(&follower, work.grains)?;
        Outcome::Ok((follower, name))
    })?;
    let reader: RawReader = follower.raw_reader();
    let handles = ids
        .iter()
        .map(|id| reader.handle(id))
        .collect::<Result<Vec<_>, _>>()?;
    let mut writer = Writer {
        work,
        ids: &ids,
        store: &store,
        log,
        runtime,
        newest: 1,
    };
    begin();
    for threads in [1, 2] {
        for rate in [None, Some(work.rate)] {
            let by_id = |grain: u32| {
                let answer = reader
                    .get(ids.get(grain as usize)?, ReadOptions::default())
                    .ok()?;
                // An answer without an age would be less than what is promised.
                answer.age?;
                answer.state.first().copied()
            };
            race(work, "by_id", threads, rate, by_id, &mut writer)?;
            let by_handle = |grain: u32| {
                let handle: &GrainReader<_, _> = handles.get(grain as usize)?;
                let answer = handle.get(ReadOptions::default()).ok()?;
                answer.age?;
                answer.state.first().copied()
            };
            race(work, "handle", threads, rate, by_handle, &mut writer)?;
        }
    }
    runtime.block_on(follower.shutdown());
    Ok(())
}

fn race(
    work: &Work,
    way: &str,
    threads: u32,
    updates_per_second: Option<u32>,
    read: impl Fn(u32) -> Option<u8> + Sync,
    writer: &mut Writer<'_>,
) -> Outcome<()> {
    let race = Race {
        threads,
        grains: work.grains,
        seconds: work.seconds,
        updates_per_second,
    };
    let mut draw = Draw::new(99);
    let mut failed = None;
    let (reads_per_second, reached) = read_race(race, read, |updates| {
        if let Err(error) = writer.update(updates, &mut draw) {
            failed.get_or_insert(error);
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    let beside = if reached.is_some() { "writer" } else { "quiet" };
    let name = format!("{way}.{threads}_threads.{beside}");
    line(&format!("{name}.reads_per_second"), reads_per_second);
    if let Some(reached) = reached {
        line(&format!("{name}.updates_per_second"), reached.per_second);
    }
    Ok(())
}

/// Applies to the store what a follower would apply, as the other side's writer updates its store: a new
/// state, made anew, for each drawn grain.
struct Writer<'a> {
    work: &'a Work,
    ids: &'a [GrainId],
    store: &'a MemoryReplicaStore,
    log: LogId,
    runtime: &'a Runtime,
    newest: u64,
}

impl Writer<'_> {
    fn update(&mut self, updates: u64, draw: &mut Draw) -> Outcome<()> {
        let mut runs = Vec::with_capacity(updates as usize);
        for _ in 0..updates {
            let Some(id) = self.ids.get(draw.below(self.work.grains) as usize) else {
                continue;
            };
            // Rising over all grains, so that it rises in each.
            self.newest += 1;
            let entries = vec![logs::entry(id, self.newest, self.work.payload)];
            runs.push(Advance {
                grain: id.clone(),
                generation: Generation::default(),
                entries,
            });
        }
        for outcome in self.runtime.block_on(self.store.apply(&self.log, runs))? {
            if outcome.applied != 1 {
                return Err(format!("an update was not applied: {:?}", outcome.stop).into());
            }
        }
        Ok(())
    }
}
