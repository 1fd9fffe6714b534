//! The secondary: follows every aircraft of a log until it is in step.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gleaner::{Binding, Filter, Follower, ReplicaStore, ReplicationLog};
use tokio::sync::oneshot;

use crate::aircraft::GRAIN_TYPE;
use crate::counted_store::CountedStore;
use crate::dump::{self, Flown};
use crate::places::Folder;
use crate::{Result, cli, places, progress, report};

/// How often a log without aircraft is looked at.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// How many heads and replicas are compared at a time.
const PAGE: usize = 1000;

/// When the secondary has done its work.
pub(crate) enum Until {
    /// There is an aircraft, and all are in step.
    InStep,
    /// The primary said that it is done, and all are in step.
    Primary(oneshot::Receiver<()>),
    /// Interrupted.
    Interrupted,
}

/// What was followed.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    /// Heads in the log, read after the follower said that it is in step.
    pub(crate) aircraft: u64,
    /// How many replicas had cursor and digest of their head.
    pub(crate) in_step: u64,
    /// Grain results since this process began.
    pub(crate) applied: u64,
    /// Milliseconds, as percentiles; none if nothing was applied.
    pub(crate) lag_p50: Option<u64>,
    pub(crate) lag_p99: Option<u64>,
    /// The aircraft with most miles.
    pub(crate) farthest: Vec<Flown>,
}

impl Followed {
    /// Whether every replica equals its head.
    pub(crate) fn converged(&self) -> bool {
        self.in_step == self.aircraft
    }
}

/// `flights secondary`.
pub(crate) async fn alone(options: cli::Secondary) -> Result<()> {
    if places::is_memory(&options.log) {
        return Err("a log in memory is not seen by another process: run the pair instead".into());
    }
    let mut folder = Folder::default();
    let store = match options.store {
        Some(store) => store,
        None => folder.sqlite("replicas.db")?,
    };
    if options.fresh {
        places::delete(&store)?;
    }
    let log = gleaner::open(&options.log).await?;
    let store = gleaner::open_store(&store, None).await?;
    let store = Arc::new(match options.wait_for_kill_after {
        None => CountedStore::new(store),
        Some(after) => CountedStore::until_killed(store, after),
    });
    let until = if options.until_stdin_ends {
        Until::Primary(stdin_ended())
    } else if options.watch {
        Until::Interrupted
    } else {
        Until::InStep
    };
    let followed = run(log, store, &options.following, until).await?;
    report::followed(&followed)?;
    require_converged(&followed, options.until_stdin_ends)
}

/// Once nobody writes any more, less than all is a failure. While somebody does, it is the time that
/// passed between asking and comparing.
pub(crate) fn require_converged(followed: &Followed, nobody_writes: bool) -> Result<()> {
    if nobody_writes && !followed.converged() {
        return Err(format!(
            "{} of {} aircraft are in step",
            followed.in_step, followed.aircraft
        )
        .into());
    }
    Ok(())
}

/// Follows until it is time to end, then reads from the store what became of it.
pub(crate) async fn run(
    log: Arc<dyn ReplicationLog>,
    store: Arc<CountedStore>,
    following: &cli::Following,
    until: Until,
) -> Result<Followed> {
    refuse_foreign(&*log, &store).await?;
    let follower = Follower::builder(
        Arc::clone(&log),
        Arc::clone(&store) as Arc<dyn ReplicaStore>,
    )
    .poll_interval(following.poll_interval)
    .spawn();
    let watched = matches!(until, Until::Interrupted);
    let in_step = async {
        follower.follow_all(Filter::grain_type(GRAIN_TYPE)).await?;
        match until {
            // A primary that failed drops its end; who waits for both sees that for itself.
            Until::Primary(ended) => drop(ended.await),
            Until::InStep | Until::Interrupted => first_aircraft(&follower).await,
        }
        caught_up(&follower).await
    };
    if watched {
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        tokio::select! {
            // First, so that it is listened to from the start.
            biased;
            heard = &mut interrupted => heard?,
            ended = progress::shown(&follower, &store, in_step) => {
                ended?;
                report::followed(&look(&*log, &store, following).await?)?;
                progress::shown(&follower, &store, interrupted).await?;
            }
        }
    } else {
        progress::shown(&follower, &store, in_step).await?;
    }
    let end = look(&*log, &store, following).await?;
    follower.shutdown().await;
    Ok(end)
}

/// A store that was filled from another log has other aircraft than this log's: they would be served
/// as foreign and never be in step.
async fn refuse_foreign(log: &dyn ReplicationLog, store: &CountedStore) -> Result<()> {
    let identity = log.identity().await?;
    match store.bind(&identity.log, None).await? {
        Binding::Bound => Ok(()),
        Binding::Foreign { .. } => {
            Err("the store holds replicas of another log: take another, or --fresh".into())
        }
    }
}

/// Waits until every aircraft that the log has is proved in step. One that never will be is a failure.
async fn caught_up(follower: &Follower) -> Result<()> {
    match follower.caught_up().await?.held {
        0 => Ok(()),
        held => Err(
            format!("{held} replicas are at odds with the log, and waiting will not help").into(),
        ),
    }
}

async fn first_aircraft(follower: &Follower) {
    while follower.progress().followed == 0 {
        tokio::time::sleep(FIRST_LOOK).await;
    }
}

/// Resolves once standard input has ended. A thread of its own: reading blocks.
fn stdin_ended() -> oneshot::Receiver<()> {
    let (ended, wait) = oneshot::channel();
    std::thread::spawn(move || {
        // An unreadable standard input is an ended one.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    wait
}

/// Compares store and log, and reads the states.
async fn look(
    log: &dyn ReplicationLog,
    store: &CountedStore,
    following: &cli::Following,
) -> Result<Followed> {
    let (aircraft, in_step) = compare(log, store).await?;
    let farthest = dump::read(store, following.dump.as_deref()).await?;
    let lags = store.lags();
    Ok(Followed {
        aircraft,
        in_step,
        applied: store.applied(),
        lag_p50: lags.percentile(50),
        lag_p99: lags.percentile(99),
        farthest,
    })
}

/// How many heads the log has, and how many replicas equal theirs.
async fn compare(log: &dyn ReplicationLog, store: &CountedStore) -> Result<(u64, u64)> {
    let filter = Filter::grain_type(GRAIN_TYPE);
    let (mut aircraft, mut in_step, mut after) = (0, 0, None);
    loop {
        let page = log.list_heads(&filter, after.as_ref(), PAGE).await?;
        let grains: Vec<_> = page.heads.iter().map(|(grain, _)| grain.clone()).collect();
        let marks = store.cursor(&grains).await?;
        for ((_, head), mark) in page.heads.iter().zip(&marks) {
            aircraft += 1;
            in_step += u64::from(head.cursor == mark.cursor && head.digest == mark.digest);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok((aircraft, in_step)),
        }
    }
}
