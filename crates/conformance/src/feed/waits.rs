//! F5: waiting. A wake-up may come early, and one that is lost costs no more than the wait; but what
//! is already there is not waited for.

use std::sync::Arc;
use std::time::Duration;

use gleaner_core::{Filter, Position};
use tokio::time::{sleep, timeout};

use super::reader::feed_of;
use crate::once::poll_once;
use crate::pen::{Pen, grain};
use crate::sight::append_all;
use crate::verdict::ensure;
use crate::{LogFactory, Verdict};

/// Longer than any wait that should be over at once, and shorter than [`LONG`] by far.
const SOON: Duration = Duration::from_secs(10);
/// A wait that nobody sits out.
const LONG: Duration = Duration::from_secs(3600);

/// What lies after the position ends the wait at once, whatever the deadline.
pub(crate) async fn f5_a_wait_ends_at_once_if_something_is_there(
    factory: &impl LogFactory,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    for filter in [Filter::all(), Filter::grain_type("t")] {
        let since = feed.start(&filter).await?;
        let key = format!("{filter:?}");
        append_all(&log, &Pen::new(&grain("t", &key)?).write("F")).await?;
        for _ in 0..3 {
            let waited = timeout(SOON, feed.wait(&since, LONG)).await;
            ensure!(
                waited.is_ok(),
                "a wait sleeps over what lies after its position ({filter:?})"
            );
        }
    }
    Ok(())
}

/// Nothing comes: the wait ends by its deadline, also for one of zero and for a stale position.
pub(crate) async fn f5_a_wait_ends_at_its_deadline(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let (_other_guard, other) = factory.open().await;
    let all = Filter::all();
    let feed = feed_of(&log)?;
    let since = feed.start(&all).await?;
    let foreign = feed_of(&other)?.start(&all).await?;
    let beyond = Position::new(since.identity().clone(), all, vec![u64::MAX; 3]);
    for position in [&since, &foreign, &beyond] {
        for at_most in [Duration::ZERO, Duration::from_millis(30)] {
            let waited = timeout(SOON, feed.wait(position, at_most)).await;
            ensure!(waited.is_ok(), "a wait of at most {at_most:?} goes on");
        }
    }
    Ok(())
}

/// An append wakes a waiter, each time, long before the deadline.
pub(crate) async fn f5_an_append_wakes_a_waiter(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let mut pen = Pen::new(&grain("t", "x")?);
    for round in 0_u32..12 {
        let since = feed_of(&*log)?.start(&Filter::all()).await?;
        let waiting = {
            let (log, since) = (Arc::clone(&log), since.clone());
            tokio::spawn(async move {
                feed_of(&*log)?.wait(&since, LONG).await;
                Ok::<(), crate::Broken>(())
            })
        };
        // Sometimes the append comes first, sometimes the wait: either way it must end.
        sleep(Duration::from_millis(u64::from(round % 4) * 3)).await;
        append_all(&*log, &pen.write("F")).await?;
        match timeout(SOON, waiting).await {
            Ok(ended) => ended??,
            Err(_) => {
                ensure!(false, "round {round}: an append did not wake the waiter");
            }
        }
        let page = feed_of(&*log)?.changes(&since, &Filter::all(), 10).await?;
        ensure!(
            !page.moved.is_empty(),
            "round {round}: woken, and nothing moved"
        );
    }
    Ok(())
}

/// A wait that is dropped loses nothing: the next one sees what came meanwhile.
pub(crate) async fn f5_a_dropped_wait_loses_nothing(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let feed = feed_of(&log)?;
    let mut pen = Pen::new(&grain("t", "x")?);
    for round in 0..8 {
        let since = feed.start(&Filter::all()).await?;
        {
            let mut wait = Box::pin(feed.wait(&since, LONG));
            let _ = poll_once(wait.as_mut()).await;
            if round % 2 == 0 {
                append_all(&log, &pen.write("F")).await?;
                let _ = poll_once(wait.as_mut()).await;
            }
        }
        if round % 2 == 1 {
            append_all(&log, &pen.write("F")).await?;
        }
        let waited = timeout(SOON, feed.wait(&since, LONG)).await;
        ensure!(
            waited.is_ok(),
            "round {round}: what came during a dropped wait is slept over"
        );
    }
    Ok(())
}
