//! Primary and secondary together: where their log and store lie, and whether they are two processes.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::counted_store::CountedStore;
use crate::departures::Departures;
use crate::places::Folder;
use crate::processes::{self, Plan};
use crate::secondary::Until;
use crate::{Result, cli, places, primary, report, secondary};

/// `flights` without a subcommand.
pub(crate) async fn run(options: cli::Pair) -> Result<()> {
    let mut folder = Folder::default();
    let (log, store) = places_of(&options, &mut folder)?;
    refuse(&options, &log, &store)?;
    // Known before anything is deleted or started.
    drop(Departures::open(&options.input.path)?);
    if options.fresh {
        places::delete(&log)?;
        places::delete(&store)?;
    }
    if places::is_memory(&log) {
        return in_one_process(&options, &log, &store).await;
    }
    primary::refuse_aircraft(&*gleaner::open(&log).await?).await?;
    processes::run(&Plan {
        input: options.input,
        log,
        store,
        following: options.following,
        kill_secondary_after: options.kill_secondary_after,
    })
    .await
}

fn places_of(options: &cli::Pair, folder: &mut Folder) -> Result<(String, String)> {
    let log = match &options.log {
        Some(log) => log.clone(),
        None => folder.sqlite("log.db")?,
    };
    let store = match &options.store {
        Some(store) => store.clone(),
        None if places::is_memory(&log) => log.clone(),
        None => folder.sqlite("replicas.db")?,
    };
    Ok((log, store))
}

fn refuse(options: &cli::Pair, log: &str, store: &str) -> Result<()> {
    if options.kill_secondary_after.is_some()
        && (places::is_memory(log) || places::is_memory(store))
    {
        return Err(
            "--kill-secondary-after needs a log and a store that outlive a process, not memory:"
                .into(),
        );
    }
    if options.fresh {
        places::check_fresh(log)?;
        places::check_fresh(store)?;
    }
    Ok(())
}

async fn in_one_process(options: &cli::Pair, log: &str, store: &str) -> Result<()> {
    let log = gleaner::open(log).await?;
    let store = gleaner::open_store(store, None).await?;
    let store = Arc::new(CountedStore::new(store));
    let (ended, end) = oneshot::channel();
    // A task of its own: publishing hardly ever waits, and would hold up who follows.
    let following = tokio::spawn({
        let (log, following) = (Arc::clone(&log), options.following.clone());
        async move { secondary::run(log, store, &following, Until::Primary(end)).await }
    });
    let writing = async {
        let published = primary::run(log, &options.input.path).await?;
        let _ = ended.send(());
        Ok(published)
    };
    let (published, followed) = tokio::try_join!(writing, async { following.await? })?;
    report::published(&published)?;
    report::followed(&followed)?;
    report::compared(published.states, published.entries, followed.applied)?;
    secondary::require_converged(&followed, true)
}
