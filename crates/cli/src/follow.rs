//! `gleaner follow`: keep replicas at the newest state and say so.

use std::sync::Arc;

use gleaner::{FollowError, Follower, ReplicaStore};

use crate::cli::Follow;
use crate::failure::{Failure, Kind, Result};
use crate::open;
use crate::out::Out;
use crate::patience::Patience;
use crate::progress;
use crate::scope::Scope;
use crate::states;
use crate::stop;
use crate::watched::Watched;

pub(crate) async fn run(options: Follow, out: &mut Out) -> Result<()> {
    let log = open::log(&options.log.url).await?;
    let store = open::store(&options.store).await?;
    let follower = Follower::builder(log, store.clone())
        .poll_interval(options.poll_interval)
        .spawn();
    let done = if options.once {
        let patience = options.timeout.map(Patience::new);
        once(&follower, store, &options.scope, patience, out).await
    } else {
        until_asked(&follower, &options.scope, out).await
    };
    // What is being applied is applied; whoever does not want to wait for it asks again.
    tokio::select! {
        () = follower.shutdown() => done,
        () = stop::asked() => done,
    }
}

/// Says each change until told to end; then what is on its way, too.
async fn until_asked(follower: &Follower, scope: &Scope, out: &mut Out) -> Result<()> {
    let mut watched = Watched::new(follower);
    let ending = async {
        stop::asked().await;
        tokio::select! {
            () = follower.shutdown() => Ok(()),
            // Told twice: whoever it is does not want to wait for the rest.
            () = stop::asked() => Err(Failure::new(Kind::Closed, "told to end at once")),
        }
    };
    // Grains are said as they come, while others are still being listed; the changes end with the
    // follower.
    tokio::try_join!(ending, begin(follower, scope), watched.say(out)).map(|_| ())
}

/// Waits until all is caught up, and says what the replicas hold.
async fn once(
    follower: &Follower,
    store: Arc<dyn ReplicaStore>,
    scope: &Scope,
    patience: Option<Patience>,
    out: &mut Out,
) -> Result<()> {
    let caught_up = async {
        begin(follower, scope).await?;
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
    let held = tokio::select! {
        biased;
        () = stop::asked() => return Ok(()),
        held = progress::following(follower, waiting) => held?,
    };
    let unknown = states::say_all(follower, &*store, scope, out).await?;
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
async fn begin(follower: &Follower, scope: &Scope) -> Result<()> {
    let all = async {
        for grain in &scope.grains {
            follower.follow(grain.clone()).await?;
        }
        for filter in &scope.filters {
            follower.follow_all(filter.clone()).await?;
        }
        Ok(())
    };
    match all.await {
        Ok(()) | Err(FollowError::Ended) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
