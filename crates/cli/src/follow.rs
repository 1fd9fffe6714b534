//! `gleaner follow`: keep replicas at the newest state and say so.

use gleaner::{Error, FollowError, Follower, ReplicaStore, ReplicationLog};

use crate::cli::Follow;
use crate::failure::{Failure, Kind, Result};
use crate::open;
use crate::out::Out;
use crate::patience::Patience;
use crate::progress;
use crate::scope::Scope;
use crate::states;
use crate::stop::Stop;
use crate::watched::Watched;

pub(crate) async fn run(options: Follow, out: &mut Out) -> Result<()> {
    let mut stop = Stop::listen()?;
    let log = open::log(&options.log.url).await?;
    let store = open::store(&options.store).await?;
    let follower = Follower::builder(log.clone(), store.clone())
        .poll_interval(options.poll_interval)
        .spawn();
    let begun = begin(&*log, &follower, &options.scope);
    let done = if options.once {
        let patience = options.timeout.map(Patience::new);
        let work = async {
            let held = once(&follower, begun, patience).await?;
            say(&follower, &*store, &options.scope, held, out).await
        };
        tokio::select! {
            biased;
            () = stop.asked() => Ok(()),
            done = work => done,
        }
    } else {
        until_asked(&follower, begun, &mut stop, out).await
    };
    // What is being applied is applied; whoever does not want to wait for it asks again.
    tokio::select! {
        () = follower.shutdown() => done,
        () = stop.asked() => done,
    }
}

/// Says each change until told to end; then what is on its way, too.
async fn until_asked(
    follower: &Follower,
    begun: impl Future<Output = Result<()>> + Send,
    stop: &mut Stop,
    out: &mut Out,
) -> Result<()> {
    let mut watched = Watched::new(follower);
    let ending = async {
        stop.asked().await;
        tokio::select! {
            () = follower.shutdown() => Ok(()),
            // Told twice: whoever it is does not want to wait for the rest.
            () = stop.asked() => Err(Failure::new(Kind::Closed, "told to end at once")),
        }
    };
    // Grains are said as they come, while others are still being listed; the changes end with the
    // follower.
    tokio::try_join!(ending, begun, watched.say(out)).map(|_| ())
}

/// Waits until all is caught up; how many replicas do not stand as the log does then.
async fn once(
    follower: &Follower,
    begun: impl Future<Output = Result<()>> + Send,
    patience: Option<Patience>,
) -> Result<usize> {
    let caught_up = async {
        begun.await?;
        follower.ready().await?;
        match follower.caught_up().await {
            Ok(caught_up) => Ok(caught_up.held),
            // A log that confirms nothing can be followed all the same.
            Err(FollowError::NotConfirming) => Ok(0),
            Err(error) => Err(error.into()),
        }
    };
    let waiting = async {
        match patience {
            Some(patience) => patience.bound(caught_up).await,
            None => caught_up.await,
        }
    };
    progress::following(follower, waiting).await
}

/// Says what the replicas hold.
async fn say(
    follower: &Follower,
    store: &dyn ReplicaStore,
    scope: &Scope,
    held: usize,
    out: &mut Out,
) -> Result<()> {
    let unknown = states::say_all(follower, store, scope, out).await?;
    if held > 0 {
        let stand = if held == 1 {
            "replica does"
        } else {
            "replicas do"
        };
        let why = format!("{held} {stand} not stand as the log does");
        return Err(Failure::new(Kind::OutOfStep, why));
    }
    match unknown.first() {
        Some(grain) => Err(Failure::new(
            Kind::Absent,
            format!("the log has no grain {grain}"),
        )),
        None => Ok(()),
    }
}

/// Follows all that was asked for, as far as it comes before the end.
async fn begin(log: &dyn ReplicationLog, follower: &Follower, scope: &Scope) -> Result<()> {
    let all = async {
        for grain in &scope.grains {
            follower.follow(grain.clone()).await?;
        }
        for filter in &scope.filters {
            refused(log.list_heads(filter, None, 1).await)?;
            follower.follow_all(filter.clone()).await?;
        }
        if !scope.grains.is_empty() {
            refused(log.heads(&scope.grains).await)?;
        }
        Ok(())
    };
    match all.await {
        Err(Refused::Follower(FollowError::Ended)) | Ok(()) => Ok(()),
        Err(Refused::Follower(error)) => Err(error.into()),
        Err(Refused::Log(error)) => Err(error.into()),
    }
}

enum Refused {
    Follower(FollowError),
    Log(Error),
}

impl From<FollowError> for Refused {
    fn from(error: FollowError) -> Self {
        Self::Follower(error)
    }
}

/// A follower waits for a log whatever it says. At its beginning, a token that does not do is a mistake
/// of the one who typed it.
fn refused<T>(answer: gleaner::Result<T>) -> Result<(), Refused> {
    match answer {
        Err(error) if !error.is_retryable() => Err(Refused::Log(error)),
        _ => Ok(()),
    }
}
