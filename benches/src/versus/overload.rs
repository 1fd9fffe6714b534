//! `overload`: ten times the appends a second with which a follower still keeps up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gleaner::memory::MemoryReplicaStore;
use gleaner::{Budget, Cursor, Filter, Follower, GrainId, ReplicationLog};
use gleaner_measure::{Draw, Pace, Resident, Work, begin, line, quantile};

use super::following::all_readable;
use super::slow::SlowStore;
use super::{Outcome, TYPE, lag, logs};

/// What the store takes for each run: 5,000 a second at most, so that it, and not this machine's
/// processors, is what cannot keep up.
const EACH: Duration = Duration::from_micros(200);
/// The configuration whose memory is bounded: so many reads at once, each of so many grains and bytes.
const READS_IN_FLIGHT: usize = 2;
const GRAINS_PER_READ: usize = 100;
const BYTES_PER_READ: usize = 1 << 20;
/// It keeps up while 99 of 100 appends can be read within this.
const KEEPS_UP_MS: f64 = 100.0;
/// The allocator's own, stacks, and what the driver and its channels take.
const ALLOWANCE: usize = 32 << 20;

pub(crate) async fn run(work: &Work) -> Outcome<()> {
    let ids = Arc::new(logs::ids(work.grains)?);
    let keeps_up = search(work, &ids).await?;
    let log = logs::open(work).await?;
    logs::fill(work, &ids, &*log).await?;
    let store = MemoryReplicaStore::new();
    logs::put_in_step(&ids, &*log, &store).await?;

    begin();
    let before = Resident::trimmed()?;
    let follower = follow(work, log.clone(), &store).await?;
    follower.ready().await?;
    let applied_before = follower.progress().entries_applied;
    let stop = Arc::new(AtomicBool::new(false));
    let peak = watch_peak(stop.clone());
    let written = flood(work, &ids, &*log, keeps_up * 10).await?;
    stop.store(true, Ordering::Relaxed);
    let peak = peak.join().map_err(|_| "the watch on memory panicked")??;

    // It comes to the newest state of each grain nevertheless.
    let reader = follower.raw_reader();
    for (id, sequence) in ids.iter().zip(&written.newest) {
        let states = u32::try_from(*sequence)?;
        let wanted = all_readable(states, std::slice::from_ref(id), &reader);
        tokio::time::timeout(Duration::from_secs(60), wanted).await?;
    }
    let applied = follower.progress().entries_applied - applied_before;
    line("keeps_up_appends_per_second", f64::from(keeps_up));
    line("appends_per_second", written.per_second);
    line("resident_peak_bytes", peak as f64);
    line(
        "resident_limit_bytes",
        (before.bytes() + allowed(work)) as f64,
    );
    line("states_appended", written.done as f64);
    line("states_skipped", written.done as f64 - applied as f64);
    follower.shutdown().await;
    Ok(())
}

/// What may be resident beyond log, store and ids as they were before: every read in flight and every
/// run being applied at its full budget; for each grain one replica that takes another's at, the
/// history that the log may gather between two truncations, and a kibibyte for the actor.
fn allowed(work: &Work) -> u64 {
    let calls = 2 * READS_IN_FLIGHT * BYTES_PER_READ;
    let history = 2 * work.states as usize;
    let grains = work.grains as usize * ((history + 2) * work.payload + 1024);
    (calls + grains + ALLOWANCE) as u64
}

async fn follow(
    work: &Work,
    log: Arc<dyn ReplicationLog>,
    store: &MemoryReplicaStore,
) -> Outcome<Follower> {
    let slow = Arc::new(SlowStore::new(store.clone(), EACH));
    let follower = Follower::builder(log, slow)
        .poll_interval(Duration::from_millis(work.interval_ms))
        .reads_in_flight(READS_IN_FLIGHT)
        .grains_per_read(GRAINS_PER_READ)
        .read_budget(Budget::new(GRAINS_PER_READ, BYTES_PER_READ))
        .spawn();
    follower.follow_all(Filter::grain_type(TYPE)).await?;
    Ok(follower)
}

/// The highest of 500, 1,000, 2,000, … appends a second with which it keeps up, on a log and store of
/// their own.
async fn search(work: &Work, ids: &Arc<Vec<GrainId>>) -> Outcome<u32> {
    let mut keeps_up = 0;
    let mut rate = 500;
    loop {
        let log = logs::open(work).await?;
        logs::fill(work, ids, &*log).await?;
        let store = MemoryReplicaStore::new();
        logs::put_in_step(ids, &*log, &store).await?;
        let follower = follow(work, log.clone(), &store).await?;
        follower.ready().await?;
        let paced = Work {
            rate,
            seconds: 2.0,
            ..work.clone()
        };
        let (heard, observer) = lag::write_and_watch(&paced, ids, log, &follower).await?;
        let (reached, mut lags) = heard.lags(observer)?;
        follower.shutdown().await;
        let p99 = quantile(&mut lags, 0.99).ok_or("nothing was appended")?;
        if p99 > KEEPS_UP_MS || reached.per_second < 0.95 * f64::from(rate) {
            break;
        }
        keeps_up = rate;
        rate *= 2;
    }
    if keeps_up == 0 {
        return Err("it does not even keep up with 500 appends a second".into());
    }
    Ok(keeps_up)
}

struct Written {
    done: u64,
    per_second: f64,
    newest: Vec<u64>,
}

/// Appends at the pace, in batches of what is due, and keeps each grain's history short.
async fn flood(
    work: &Work,
    ids: &[GrainId],
    log: &dyn ReplicationLog,
    rate: u32,
) -> Outcome<Written> {
    let mut newest = vec![u64::from(work.states); ids.len()];
    let mut draw = Draw::new(1);
    let mut pace = Pace::start(rate, work.seconds);
    while let Some(due) = pace.due() {
        if due == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let mut entries = Vec::new();
        let mut cuts = Vec::new();
        for _ in 0..due.min(1000) {
            let at = draw.below(work.grains) as usize;
            let (Some(id), Some(newest)) = (ids.get(at), newest.get_mut(at)) else {
                continue;
            };
            *newest += 1;
            entries.push(logs::entry(id, *newest, work.payload));
            if newest.is_multiple_of(u64::from(work.states)) {
                cuts.push((id, Cursor::new(1, *newest)));
            }
        }
        logs::append_all(log, &entries).await?;
        for (id, cursor) in cuts {
            log.truncate(id, cursor).await?;
        }
        pace.did(entries.len() as u64);
    }
    let reached = pace.reached();
    Ok(Written {
        done: reached.done,
        per_second: reached.per_second,
        newest,
    })
}

/// The most that was resident, looked at every 10 ms until told to stop.
fn watch_peak(stop: Arc<AtomicBool>) -> std::thread::JoinHandle<std::io::Result<u64>> {
    std::thread::spawn(move || {
        let mut peak = 0;
        while !stop.load(Ordering::Relaxed) {
            peak = peak.max(Resident::now()?.bytes());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(peak)
    })
}
