//! `lag` and `lag_processes`: from an append's return until it can be read.

use std::io::BufReader;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gleaner_measure::{Draw, Expected, Heard, Observer, Pace, Told, Work, begin, key, nanos};
use orlando_cluster::ReplicaStore;
use orlando_persistence::ReplicationLog;

use crate::following::{all_readable, follow, ids, readable};
use crate::{Outcome, logs};

/// Reads and writes here.
pub async fn run(work: Work) -> Outcome<()> {
    let log = logs::open(&work).await?;
    logs::fill(&work, &*log).await?;
    let store = Arc::new(ReplicaStore::new());
    begin();
    let _shutdown = follow(&work, ids(work.grains), &log, &store);
    all_readable(&work, &store).await;
    let observer = observe(&work, store);
    let expect = observer.expectations();
    let writer = tokio::spawn(async move {
        let mut heard = Heard::default();
        append(&work, &*log, |told| Ok(heard.take(told, &expect)?)).await?;
        Outcome::Ok(heard)
    });
    Ok(writer.await??.print_lags(observer)?)
}

/// Reads here, writes in another process.
pub async fn run_processes(work: &Work) -> Outcome<()> {
    let log = logs::open(work).await?;
    logs::fill(work, &*log).await?;
    let store = Arc::new(ReplicaStore::new());
    begin();
    let _shutdown = follow(work, ids(work.grains), &log, &store);
    all_readable(work, &store).await;
    let observer = observe(work, store);
    let expect = observer.expectations();
    let writing = Work {
        role: "writer".to_owned(),
        ..work.clone()
    };
    let mut writer = Command::new(std::env::current_exe()?)
        .args(writing.to_args())
        .stdout(Stdio::piped())
        .spawn()?;
    let said = writer.stdout.take().ok_or("the writer has no output")?;
    let heard =
        tokio::task::spawn_blocking(move || Heard::all(BufReader::new(said), &expect)).await??;
    if !writer.wait()?.success() {
        return Err("the writer failed".into());
    }
    Ok(heard.print_lags(observer)?)
}

/// The process that writes.
pub async fn write(work: &Work) -> Outcome<()> {
    let log = logs::open(work).await?;
    append(work, &*log, |told| Ok(told.say(std::io::stdout().lock())?)).await
}

fn observe(work: &Work, store: Arc<ReplicaStore>) -> Observer {
    let keys: Vec<String> = (0..work.grains).map(key).collect();
    Observer::spawn(move |grain| readable(&store, keys.get(grain as usize)?))
}

/// Appends at the pace, one after the other, on drawn grains.
async fn append(
    work: &Work,
    log: &dyn ReplicationLog,
    mut tell: impl FnMut(Told) -> Outcome<()>,
) -> Outcome<()> {
    let mut newest = vec![u64::from(work.states); work.grains as usize];
    let mut draw = Draw::new(1);
    let mut pace = Pace::start(work.rate, work.seconds);
    let mut index = 0;
    while let Some(due) = pace.due() {
        if due == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let grain = draw.below(work.grains);
        let Some(newest) = newest.get_mut(grain as usize) else {
            continue;
        };
        *newest += 1;
        let sequence = *newest;
        tell(Told::Expect(Expected {
            index,
            grain,
            sequence,
        }))?;
        log.append(logs::entry(grain, sequence, work.payload))
            .await?;
        tell(Told::Returned(nanos()))?;
        index += 1;
        pace.did(1);
    }
    tell(Told::Reached(pace.reached()))
}
