//! `tail_batch` and `tail_single`: appends, until the follower holds the last of every grain.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gleaner::ReplicationLog;
use gleaner_measure::{cpu_nanos, line, nanos};
use tokio::runtime::Runtime;

use super::case::Case;
use super::child::{self, Child};
use super::order::Order;
use super::said::Said;
use super::served::Served;
use super::{follow_all, open};
use crate::Outcome;
use crate::versus::logs;

/// How many entries a batch has.
const BATCH: u64 = 100;
/// How many append over the network at once, each one after the other.
const WRITERS: u64 = 8;
/// Between two looks at how far the follower is.
const BETWEEN: Duration = Duration::from_millis(1);

/// Appends batches here. The writer is never more than one round of the grains ahead of the follower: no
/// grain is appended to again before its last state can be read, so that no entry may be skipped.
pub(crate) fn lead_batches(folder: &Path, runtime: &Runtime) -> Outcome<()> {
    let case = Case::TailBatch;
    let served = runtime.block_on(Served::open(case, folder))?;
    let follower = served.follower_in_step()?;
    let (entries, ahead) = (case.entries(), u64::from(case.grains()));
    let sent = served.bytes_sent();
    let (began, cpu) = (nanos(), cpu_nanos());
    let (mut appended, mut reached) = (0, 0);
    while appended < entries {
        while appended + BATCH > reached + ahead {
            reached = follower.newest_place()?;
        }
        let batch = appended..appended + BATCH;
        let batch: Vec<_> = batch
            .map(|place| served.order.entry(place))
            .collect::<Outcome<_>>()?;
        runtime.block_on(logs::append_all(&*served.log, &batch))?;
        appended += BATCH;
    }
    while reached < entries {
        reached = follower.newest_place()?;
    }
    let (seconds, cpu) = ((nanos() - began) as f64 / 1e9, cpu_nanos() - cpu);
    let sent = served.bytes_sent() - sent;
    line("tail_batch_entries_per_second", entries as f64 / seconds);
    line("bytes_per_entry", sent as f64 / entries as f64);
    tell_rest(case, cpu, &follower)?;
    served.end(follower, runtime);
    Ok(())
}

/// Has a process of writers append one by one.
pub(crate) fn lead_singles(folder: &Path, runtime: &Runtime) -> Outcome<()> {
    let case = Case::TailSingle;
    let served = runtime.block_on(Served::open(case, folder))?;
    let follower = served.follower_in_step()?;
    let mut writers = Child::writers(served.leader.local_addr())?;
    writers.expect(Said::Ready)?;
    let entries = case.entries();
    let (began, cpu) = (nanos(), cpu_nanos());
    writers.go()?;
    writers.expect(Said::Done)?;
    while follower.newest_place()? < entries {}
    let (seconds, cpu) = ((nanos() - began) as f64 / 1e9, cpu_nanos() - cpu);
    line("tail_single_entries_per_second", entries as f64 / seconds);
    tell_rest(case, cpu, &follower)?;
    served.end(follower, runtime);
    Ok(())
}

/// Prints how many entries the follower leapt over, and the processor time of both ends.
fn tell_rest(case: Case, leader_cpu: u64, follower: &Child) -> Outcome<()> {
    let Said::Applied {
        entries: applied,
        cpu: follower_cpu,
    } = follower.hear()?
    else {
        return Err("the follower did not say what it applied".into());
    };
    let all = case.entries() + u64::from(case.grains());
    let skipped = all.saturating_sub(applied);
    line(&format!("{}_entries_skipped", case.name()), skipped as f64);
    for (end, cpu) in [("leader", leader_cpu), ("follower", follower_cpu)] {
        let name = format!("{}_{end}_cpu_us_per_entry", case.name());
        line(&name, cpu as f64 / 1e3 / case.entries() as f64);
    }
    Ok(())
}

/// Says, as often as it has moved, below which place everything can be read.
pub(crate) fn follow(case: Case, leader: SocketAddr, runtime: &Runtime) -> Outcome<()> {
    let order = Order::new(case.grains())?;
    let follower = follow_all(leader, &order, runtime)?;
    runtime.block_on(follower.ready())?;
    Said::Ready.say()?;
    let reader = follower.raw_reader();
    let cpu = cpu_nanos();
    let mut at = 0;
    while at < case.entries() {
        let before = at;
        while at < case.entries() && order.is_readable(at, &reader)? {
            at += 1;
        }
        if at == before {
            std::thread::sleep(BETWEEN);
        } else {
            Said::At(at).say()?;
        }
    }
    let cpu = cpu_nanos() - cpu;
    // After it, nothing is being applied any more.
    runtime.block_on(follower.shutdown());
    let entries = follower.progress().entries_applied;
    Said::Applied { entries, cpu }.say()
}

/// Appends over the network, each writer one entry after the other, to grains that are its own.
pub(crate) fn write(leader: SocketAddr, runtime: &Runtime) -> Outcome<()> {
    let case = Case::TailSingle;
    let order = Order::new(case.grains())?;
    let log = open(leader)?;
    runtime.block_on(log.connect())?;
    Said::Ready.say()?;
    child::wait_for_go()?;
    child::end_with_the_parent();
    runtime.block_on(async {
        let writers =
            (0..WRITERS).map(|writer| tokio::spawn(write_one(writer, order.clone(), log.clone())));
        for writer in writers.collect::<Vec<_>>() {
            writer.await??;
        }
        Outcome::Ok(())
    })?;
    Said::Done.say()
}

async fn write_one(writer: u64, order: Order, log: Arc<dyn ReplicationLog>) -> Outcome<()> {
    // Every eighth grain of the round, since the writers divide the grains evenly.
    for place in (writer..Case::TailSingle.entries()).step_by(WRITERS as usize) {
        log.append(order.entry(place)?).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_and_writers_divide_the_work_evenly() {
        assert_eq!(Case::TailBatch.entries() % BATCH, 0);
        assert_eq!(u64::from(Case::TailBatch.grains()) % BATCH, 0);
        // Else two writers would have one grain.
        assert_eq!(u64::from(Case::TailSingle.grains()) % WRITERS, 0);
    }
}
