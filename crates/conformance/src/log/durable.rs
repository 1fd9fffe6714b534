//! L10 and L11: what a log opened anew still knows, and which log it says it is.

use gleaner_core::{Cursor, ErrorKind, Filter, ReplicationLog};

use super::append::claim;
use crate::pen::{Pen, grain};
use crate::sight::{append_all, head, history, listed, refused};
use crate::verdict::{Seen, ensure, ensure_eq, ensure_matches};
use crate::{Broken, LogFactory, Verdict};

async fn reopened<F: LogFactory>(factory: &F, guard: &F::Guard) -> Seen<F::Log> {
    factory.reopen(guard).await.ok_or_else(|| {
        Broken::new(
            "the factory reopens nothing: implement reopen, or declare L10 and L11 not applicable",
        )
    })
}

/// Entries, heads, dead grains and floors are there again.
pub(crate) async fn l10_reopened_log_holds_what_it_acknowledged(
    factory: &impl LogFactory,
) -> Verdict {
    let (guard, mut log) = factory.open().await;
    let mut pens = Vec::new();
    let mut expected = Vec::new();
    for kinds in ["F", "FDFDD", "FDT"] {
        pens.push((Pen::new(&grain("kinds", kinds)?), kinds));
        expected.push(Vec::new());
    }
    for round in 0..3 {
        for ((pen, kinds), all) in pens.iter_mut().zip(&mut expected) {
            let entries = pen.write(kinds);
            append_all(&log, &entries).await?;
            all.extend(entries);
        }
        let mut heads = listed(&log, &Filter::all(), 10).await?;
        drop(log);
        log = reopened(factory, &guard).await?;
        ensure_eq!(
            listed(&log, &Filter::all(), 10).await?,
            heads,
            "heads, round {round}"
        );
        ensure_eq!(heads.len(), 3, "heads");
        heads.clear();
        for ((pen, _), all) in pens.iter().zip(&mut expected) {
            let seen = history(&log, &pen.grain).await?;
            ensure_eq!(seen, *all, "the history of {}, round {round}", pen.grain);
            let cut = log.truncate(&pen.grain, Cursor::new(9, 9)).await?;
            let gone = usize::try_from(cut.removed).unwrap_or(usize::MAX);
            all.drain(..gone.min(all.len()));
        }
    }
    Ok(())
}

/// A claim is there again, of a grain without entries too.
pub(crate) async fn l10_reopened_log_holds_claims(factory: &impl LogFactory) -> Verdict {
    let (guard, log) = factory.open().await;
    for (key, kinds) in [("unborn", ""), ("living", "FD"), ("dead", "FT")] {
        let mut pen = Pen::new(&grain("claimed", key)?);
        append_all(&log, &pen.write(kinds)).await?;
        claim(&log, pen.turn(5, 8)).await?;
    }
    drop(log);
    let log = reopened(factory, &guard).await?;
    for (key, at) in [("unborn", 0), ("living", 2), ("dead", 2)] {
        let mut pen = Pen::new(&grain("claimed", key)?);
        pen.leap(at);
        for (epoch, writer) in [(4, 8), (5, 9)] {
            let entry = pen.clone().turn(epoch, writer).full("x");
            ensure_matches!(
                refused(&log, &entry).await?,
                ErrorKind::Fenced { .. },
                "epoch {epoch}, writer {writer}, after reopening ({key})"
            );
        }
        append_all(&log, &pen.turn(5, 8).write("F")).await?;
    }
    Ok(())
}

/// The same log, reopened, has the same name; its history may have forked only if it says so.
pub(crate) async fn l11_reopened_log_is_the_same_log(factory: &impl LogFactory) -> Verdict {
    let (guard, log) = factory.open().await;
    let before = log.identity().await?;
    append_all(&log, &Pen::new(&grain("plane", "x")?).write("F")).await?;
    ensure_eq!(
        log.identity().await?,
        before,
        "the identity after an append"
    );
    drop(log);
    let log = reopened(factory, &guard).await?;
    ensure_eq!(
        log.identity().await?.log,
        before.log,
        "the log's name after reopening"
    );
    ensure!(
        head(&log, &grain("plane", "x")?).await?.is_some(),
        "the grain is there"
    );
    Ok(())
}

/// Two logs have two names.
pub(crate) async fn l11_two_logs_have_two_names(factory: &impl LogFactory) -> Verdict {
    let (_one_guard, one) = factory.open().await;
    let (_other_guard, other) = factory.open().await;
    let (first, second) = (one.identity().await?, other.identity().await?);
    ensure!(
        first.log != second.log,
        "two fresh logs are both called {}",
        first.log
    );
    ensure_eq!(one.identity().await?, first, "the identity asked for again");
    Ok(())
}
