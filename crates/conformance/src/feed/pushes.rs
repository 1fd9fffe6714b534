//! F5: what a log sends unasked. Nothing has to come; what comes is an entry of the log, of the filter.

use std::pin::pin;
use std::time::Duration;

use gleaner_core::{Filter, Pushed, ReplicationLog};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::reader::feed_of;
use crate::pen::{Pen, grain, is_chain};
use crate::sight::{append_all, append_many, history};
use crate::verdict::{Seen, ensure, ensure_eq};
use crate::{LogFactory, Verdict};

/// How long the last entries are listened for. It decides nothing: what comes later is not looked at.
const LINGER: Duration = Duration::from_millis(100);

/// Every entry that is sent while some are appended is in the log as it was sent, under the log's
/// identity, and of the filter that was asked for; in its run, each follows the one before.
pub(crate) async fn f5_pushed_entries_are_the_logs(factory: &impl LogFactory) -> Verdict {
    for filter in [
        Filter::all(),
        Filter::grain_type("t"),
        Filter::all().key_prefix("a"),
    ] {
        let (_guard, log) = factory.open().await;
        let feed = feed_of(&log)?;
        let mut heard = Vec::new();
        {
            let mut writing = pin!(write(&log));
            loop {
                tokio::select! {
                    biased;
                    pushed = feed.pushed(&filter) => heard.push(pushed),
                    written = &mut writing => break written?,
                }
            }
        }
        while let Ok(pushed) = timeout(LINGER, feed.pushed(&filter)).await {
            heard.push(pushed);
        }
        for pushed in &heard {
            are_the_logs(&log, &filter, pushed).await?;
        }
    }
    Ok(())
}

/// Appends, one by one and many at once, to grains of and out of the filters.
async fn write<L: ReplicationLog>(log: &L) -> Seen<()> {
    let mut pens = Vec::new();
    for (grain_type, key) in [("t", "a"), ("t", "b"), ("u", "a"), ("u", "ab")] {
        pens.push(Pen::new(&grain(grain_type, key)?));
    }
    for round in 0..4 {
        for pen in &mut pens {
            append_all(log, &pen.write("FD")).await?;
            yield_now().await;
        }
        let kinds = if round == 2 { "TF" } else { "DDD" };
        let batch: Vec<_> = pens.iter_mut().flat_map(|pen| pen.write(kinds)).collect();
        append_many(log, &batch).await?;
        yield_now().await;
    }
    Ok(())
}

async fn are_the_logs<L: ReplicationLog>(log: &L, filter: &Filter, pushed: &Pushed) -> Verdict {
    let identity = log.identity().await?;
    ensure_eq!(pushed.identity, identity, "the log of what is sent unasked");
    for run in &pushed.runs {
        let (grain, entries) = (&run.grain, &run.entries);
        ensure!(
            filter.includes(grain),
            "entries of {grain} are sent, which is not in {filter:?}"
        );
        ensure!(!entries.is_empty(), "nothing is sent of {grain}");
        ensure!(
            is_chain(entries),
            "entries of {grain} are sent that do not follow each other: {entries:?}"
        );
        let held = history(log, grain).await?;
        for entry in entries {
            ensure!(
                entry.grain() == grain && held.contains(entry),
                "{entry:?} is sent of {grain}, and the log has no such entry"
            );
        }
    }
    Ok(())
}
