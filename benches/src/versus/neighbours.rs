//! `neighbours`: what a huge grain and a quarantined one do to the lag of all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gleaner::{Cursor, Draft, Follower, GrainId, Head, ReplicationLog, Writer};
use gleaner_measure::{Work, line, quantile};

use super::following::readable;
use super::idle::Resting;
use super::{Outcome, TYPE, lag, logs};

/// The largest state that logs take by default.
const HUGE: usize = 16 << 20;
/// Five a second: 80 MiB/s beside what the others write.
const BETWEEN_HUGE: Duration = Duration::from_millis(200);
/// How often the quarantined grain is named by the feed.
const BETWEEN_BAD: Duration = Duration::from_millis(100);

pub(crate) async fn run(work: &Work) -> Outcome<()> {
    let ids = Arc::new(logs::ids(work.grains)?);
    let resting = Resting::reach(work, &ids).await?;
    let log: Arc<dyn ReplicationLog> = resting.log.clone();
    let without = p99(work, &ids, &log, &resting.follower).await?;

    let stop = Arc::new(AtomicBool::new(false));
    let huge = GrainId::new(TYPE, "huge")?;
    let bad = GrainId::new(TYPE, "bad")?;
    let writers = [
        tokio::spawn(write_huge(log.clone(), huge.clone(), stop.clone())),
        tokio::spawn(write_bad(log.clone(), bad, stop.clone())),
    ];
    let with = p99(work, &ids, &log, &resting.follower).await;
    stop.store(true, Ordering::Relaxed);
    let [written, _] = {
        let mut written = [0; 2];
        for (place, writer) in written.iter_mut().zip(writers) {
            *place = writer.await??;
        }
        written
    };
    let with = with?;

    // What was to disturb has disturbed: the one came through, the other is quarantined.
    let seen = readable(&resting.follower.raw_reader(), &huge);
    if seen.is_none_or(|seen| seen < 2) {
        return Err(format!("of {written} huge states {seen:?} is readable").into());
    }
    let quarantined = resting.follower.progress().quarantined;
    if quarantined != 1 {
        return Err(format!("{quarantined} grains are quarantined, not one").into());
    }
    line("p99_without_ms", without);
    line("p99_with_ms", with);
    line("factor", with / without.max(1e-6));
    line("huge_states", written as f64);
    resting.follower.shutdown().await;
    Ok(())
}

async fn p99(
    work: &Work,
    ids: &Arc<Vec<GrainId>>,
    log: &Arc<dyn ReplicationLog>,
    follower: &Follower,
) -> Outcome<f64> {
    let (heard, observer) = lag::write_and_watch(work, ids, log.clone(), follower).await?;
    let (_, mut lags) = heard.lags(observer)?;
    Ok(quantile(&mut lags, 0.99).ok_or("nothing was appended")?)
}

/// States of 16 MiB of one grain, of which the log keeps the newest. How many.
async fn write_huge(
    log: Arc<dyn ReplicationLog>,
    grain: GrainId,
    stop: Arc<AtomicBool>,
) -> Outcome<u64> {
    let state = Bytes::from(vec![7; HUGE]);
    let mut sequence = 0;
    while !stop.load(Ordering::Relaxed) {
        sequence += 1;
        let cursor = Cursor::new(1, sequence);
        let draft = Draft::full(grain.clone(), cursor, Writer::new(1), state.clone());
        // Sealing hashes all of it: not on a thread that others wait for.
        let entry = tokio::task::spawn_blocking(|| draft.seal()).await?;
        log.append(entry).await?;
        log.truncate(&grain, cursor).await?;
        tokio::time::sleep(BETWEEN_HUGE).await;
    }
    Ok(sequence)
}

/// A state, then Deltas, for which the store has no fold: the grain is quarantined at the first. How
/// many entries.
async fn write_bad(
    log: Arc<dyn ReplicationLog>,
    grain: GrainId,
    stop: Arc<AtomicBool>,
) -> Outcome<u64> {
    let mut sequence = 1;
    let mut head: Head = log.append(logs::entry(&grain, sequence, 64)).await?;
    while !stop.load(Ordering::Relaxed) {
        sequence += 1;
        let cursor = Cursor::new(1, sequence);
        let delta = Draft::delta(grain.clone(), cursor, Writer::new(1), head.digest, "more").seal();
        head = log.append(delta).await?;
        tokio::time::sleep(BETWEEN_BAD).await;
    }
    Ok(sequence)
}
