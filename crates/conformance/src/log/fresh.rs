//! L9: a read sees every append that was acknowledged before it began.

use std::sync::Arc;

use gleaner_core::{Budget, Cursor, Entry, Filter, ReplicationLog};

use crate::pen::{Pen, grain};
use crate::sight::{caught, head, history, listed};
use crate::verdict::{ensure, ensure_eq};
use crate::{LogFactory, Verdict};

/// Writers at work side by side; a reader in another task, told of each acknowledged append, finds it
/// in every kind of read.
pub(crate) async fn l9_reads_see_what_was_acknowledged(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    ensure!(
        log.confirms(),
        "the log says that it does not confirm: declare L9 not applicable, with the reason"
    );
    let log = Arc::new(log);
    let (tell, mut told) = tokio::sync::mpsc::channel::<Entry>(1);
    let mut writers = Vec::new();
    for hand in 0..4 {
        let (log, tell) = (Arc::clone(&log), tell.clone());
        let own = grain("fresh", &format!("{hand}"))?;
        writers.push(tokio::spawn(async move {
            let mut pen = Pen::new(&own);
            for round in 0..25 {
                let entry = if round % 3 == 0 {
                    pen.full("=")
                } else {
                    pen.delta("+")
                };
                log.append(entry.clone()).await?;
                if tell.send(entry).await.is_err() {
                    break;
                }
            }
            Ok::<(), crate::Broken>(())
        }));
    }
    drop(tell);
    let filter = Filter::grain_type("fresh");
    let mut turn = 0;
    while let Some(entry) = told.recv().await {
        let grain = entry.grain();
        // One kind of read a turn, so that none is helped by the one before it.
        turn += 1;
        let seen = match turn % 4 {
            0 => head(&*log, grain).await?.map(|head| head.cursor),
            1 => listed(&*log, &filter, 100)
                .await?
                .into_iter()
                .find(|(id, _)| id == grain)
                .map(|(_, head)| head.cursor),
            2 => history(&*log, grain).await?.last().map(Entry::cursor),
            _ => caught(&*log, grain, Cursor::ZERO, Budget::UNBOUNDED)
                .await?
                .entries
                .last()
                .map(Entry::cursor),
        };
        ensure!(
            seen.is_some_and(|seen| seen >= entry.cursor()),
            "{} was acknowledged, and read {} shows {seen:?}",
            entry.cursor(),
            turn % 4
        );
    }
    for writer in writers {
        writer.await??;
    }
    ensure_eq!(turn, 100, "appends");
    Ok(())
}

/// The provided conveniences say the same.
pub(crate) async fn l9_latest_sequence_is_the_heads(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "latest")?;
    let mut pen = Pen::new(&grain);
    ensure_eq!(
        log.latest_sequence(&grain).await?.get(),
        0,
        "before the first entry"
    );
    for kinds in ["F", "D", "T", "F"] {
        for entry in pen.leap(u64::from(kinds == "F")).write(kinds) {
            let head = log.append(entry).await?;
            ensure_eq!(
                log.latest_sequence(&grain).await?,
                head.cursor.sequence,
                "the newest sequence"
            );
        }
    }
    Ok(())
}
