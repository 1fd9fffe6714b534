//! L2 (2) and (4): who may write.

use std::sync::Arc;

use gleaner_core::{Epoch, ErrorKind, Fence, ReplicationLog, Writer};

use super::append::claim;
use crate::pen::{Pen, grain};
use crate::sight::{append_all, history, refused};
use crate::verdict::{ensure, ensure_eq};
use crate::{LogFactory, Verdict};

fn fence(epoch: u64, writer: u64) -> ErrorKind {
    ErrorKind::Fenced {
        fence: Fence {
            epoch: Epoch::new(epoch),
            writer: Writer::new(writer),
        },
    }
}

/// An epoch below the fence's is refused, whoever writes, and the refusal names the fence.
pub(crate) async fn l2_a_lower_epoch_is_fenced(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "lower")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.turn(3, 7).write("FD")).await?;
    claim(&log, pen.clone().turn(6, 8)).await?;
    for (epoch, writer) in [(1, 7), (3, 7), (5, 8), (5, 7)] {
        for entry in pen.clone().turn(epoch, writer).write("F") {
            let seen = refused(&log, &entry).await?;
            ensure_eq!(
                seen,
                fence(6, 8),
                "epoch {epoch}, writer {writer}, as whole state"
            );
        }
        let delta = pen.clone().turn(epoch, writer).delta("+");
        let seen = refused(&log, &delta).await?;
        ensure_eq!(
            seen,
            fence(6, 8),
            "epoch {epoch}, writer {writer}, as delta"
        );
    }
    append_all(&log, &pen.turn(6, 8).write("F")).await
}

/// An epoch has one writer: the one that claimed it.
pub(crate) async fn l2_a_claimed_epoch_has_one_writer(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "one writer")?;
    let mut pen = Pen::new(&grain);
    claim(&log, pen.turn(2, 7)).await?;
    let seen = refused(&log, &pen.clone().turn(2, 8).full("x")).await?;
    ensure_eq!(
        seen,
        fence(2, 7),
        "another writer's first entry of a claimed epoch"
    );
    append_all(&log, &pen.write("FD")).await?;
    for kinds in ["F", "D", "T"] {
        for entry in pen.clone().turn(2, 8).write(kinds) {
            let seen = refused(&log, &entry).await?;
            ensure_eq!(
                seen,
                fence(2, 7),
                "another writer's {kinds} in a claimed epoch"
            );
        }
    }
    append_all(&log, &pen.write("DF")).await
}

/// An epoch has one writer: the one whose entry began it, if nobody claimed it.
pub(crate) async fn l2_an_unclaimed_append_moves_the_fence(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "moves")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.write("F")).await?;
    for kinds in ["F", "D", "T"] {
        for entry in pen.clone().turn(1, 8).write(kinds) {
            let seen = refused(&log, &entry).await?;
            ensure_eq!(
                seen,
                fence(1, 7),
                "another writer's {kinds} in the first epoch"
            );
        }
    }
    let mut old = pen.clone();
    append_all(&log, &pen.turn(4, 9).write("F")).await?;
    old.leap(1);
    let seen = refused(&log, &old.full("late")).await?;
    ensure_eq!(seen, fence(4, 9), "the deposed writer");
    let seen = refused(&log, &pen.clone().turn(4, 7).full("x")).await?;
    ensure_eq!(seen, fence(4, 9), "another writer in the new epoch");
    append_all(&log, &pen.write("DF")).await
}

/// A claimed fence above the head is left behind by a still higher, unclaimed epoch.
pub(crate) async fn l2_an_epoch_above_a_claim_takes_over(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "above")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.write("F")).await?;
    claim(&log, pen.clone().turn(3, 8)).await?;
    append_all(&log, &pen.turn(5, 9).write("F")).await?;
    let seen = refused(&log, &pen.clone().turn(3, 8).full("x")).await?;
    ensure_eq!(seen, fence(5, 9), "the claimant of the lower epoch");
    Ok(())
}

/// Writers that race with one epoch number: one of them owns it, the others are fenced.
pub(crate) async fn l2_racing_writers_of_one_epoch(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    for round in 0..8 {
        let grain = grain("race", &format!("{round}"))?;
        let mut racing = Vec::new();
        for writer in 1..=5 {
            let log = Arc::clone(&log);
            let mut pen = Pen::new(&grain);
            pen.turn(1, writer);
            racing.push(tokio::spawn(async move {
                let mut accepted = 0;
                for _ in 0..4 {
                    match log.append(pen.full(format!("by {writer}"))).await {
                        Ok(_) => accepted += 1,
                        Err(error) => return Ok((writer, accepted, Some(error))),
                    }
                }
                Ok::<_, crate::Broken>((writer, accepted, None))
            }));
        }
        let mut owners = Vec::new();
        for task in racing {
            let (writer, accepted, error) = task.await??;
            if accepted > 0 {
                owners.push(writer);
            }
            if let Some(error) = error {
                ensure!(
                    matches!(error.kind(), ErrorKind::Fenced { fence } if fence.writer != Writer::new(writer)),
                    "round {round}: writer {writer} lost, and must be told who owns the epoch: {error:?}"
                );
            }
        }
        ensure_eq!(owners.len(), 1, "round {round}: owners of one epoch");
        let entries = history(&*log, &grain).await?;
        ensure!(
            entries.len() == 4
                && entries
                    .iter()
                    .all(|entry| owners.contains(&entry.writer().get())),
            "round {round}: the history must be the owner's four entries: {entries:?}"
        );
    }
    Ok(())
}
