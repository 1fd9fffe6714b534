//! `lag` and `lag_processes`: from an append's return until it can be read.

use std::io::BufReader;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gleaner::memory::MemoryReplicaStore;
use gleaner::{Filter, Follower, GrainId, ReplicationLog};
use gleaner_measure::{Draw, Expected, Heard, Observer, Pace, Told, Work, begin, nanos};

use super::following::{all_readable, follower, readable};
use super::{Outcome, TYPE, logs, side};

/// Reads and writes here.
pub(crate) async fn run(work: &Work) -> Outcome<()> {
    let ids = Arc::new(logs::ids(work.grains)?);
    let log = logs::open(work).await?;
    let follower = reach(work, &ids, log.clone()).await?;
    let (heard, observer) = write_and_watch(work, &ids, log, &follower).await?;
    heard.print_lags(observer)?;
    follower.shutdown().await;
    Ok(())
}

/// Reads here, writes in another process.
pub(crate) async fn run_processes(work: &Work) -> Outcome<()> {
    let ids = Arc::new(logs::ids(work.grains)?);
    let log = logs::open(work).await?;
    let follower = reach(work, &ids, log).await?;
    let observer = observe(&ids, &follower);
    let expect = observer.expectations();
    let writing = Work {
        role: "writer".to_owned(),
        ..work.clone()
    };
    let mut writer = Command::new(std::env::current_exe()?)
        .arg(side::FLAG)
        .args(writing.to_args())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = writer.stdout.take().ok_or("the writer has no output")?;
    let heard =
        tokio::task::spawn_blocking(move || Heard::all(BufReader::new(said), &expect)).await??;
    if !writer.wait()?.success() {
        return Err("the writer failed".into());
    }
    heard.print_lags(observer)?;
    follower.shutdown().await;
    Ok(())
}

/// The process that writes.
pub(crate) async fn write(work: &Work) -> Outcome<()> {
    let ids = logs::ids(work.grains)?;
    let log = logs::open(work).await?;
    append(work, &ids, &*log, |told| {
        Ok(told.say(std::io::stdout().lock())?)
    })
    .await
}

async fn reach(work: &Work, ids: &[GrainId], log: Arc<dyn ReplicationLog>) -> Outcome<Follower> {
    logs::fill(work, ids, &*log).await?;
    begin();
    let follower = follower(work, log, Arc::new(MemoryReplicaStore::new()));
    follower.follow_all(Filter::grain_type(TYPE)).await?;
    all_readable(work.states, ids, &follower.raw_reader()).await;
    Ok(follower)
}

/// Appends at the pace while an observer looks for what was appended.
pub(crate) async fn write_and_watch(
    work: &Work,
    ids: &Arc<Vec<GrainId>>,
    log: Arc<dyn ReplicationLog>,
    follower: &Follower,
) -> Outcome<(Heard, Observer)> {
    let observer = observe(ids, follower);
    let expect = observer.expectations();
    let (work, ids) = (work.clone(), ids.clone());
    let writer = tokio::spawn(async move {
        let mut heard = Heard::default();
        append(&work, &ids, &*log, |told| Ok(heard.take(told, &expect)?)).await?;
        Outcome::Ok(heard)
    });
    Ok((writer.await??, observer))
}

fn observe(ids: &Arc<Vec<GrainId>>, follower: &Follower) -> Observer {
    let (ids, reader) = (ids.clone(), follower.raw_reader());
    Observer::spawn(move |grain| readable(&reader, ids.get(grain as usize)?))
}

/// Appends at the pace, one after the other, on drawn grains, each after what it already has.
async fn append(
    work: &Work,
    ids: &[GrainId],
    log: &dyn ReplicationLog,
    mut tell: impl FnMut(Told) -> Outcome<()> + Send,
) -> Outcome<()> {
    let mut newest = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(1000) {
        let heads = log.heads(chunk).await?;
        newest.extend(
            heads
                .iter()
                .map(|head| head.map_or(0, |head| head.cursor.sequence.get())),
        );
    }
    let mut draw = Draw::new(1);
    let mut pace = Pace::start(work.rate, work.seconds);
    let mut index = 0;
    while let Some(due) = pace.due() {
        if due == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let grain = draw.below(work.grains);
        let at = grain as usize;
        let (Some(id), Some(newest)) = (ids.get(at), newest.get_mut(at)) else {
            continue;
        };
        *newest += 1;
        let sequence = *newest;
        tell(Told::Expect(Expected {
            index,
            grain,
            sequence,
        }))?;
        log.append(logs::entry(id, sequence, work.payload)).await?;
        tell(Told::Returned(nanos()))?;
        index += 1;
        pace.did(1);
    }
    tell(Told::Reached(pace.reached()))
}
