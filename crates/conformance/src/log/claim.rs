//! L4: claims.

use std::sync::Arc;

use gleaner_core::{Claim, Epoch, ErrorKind, Filter, GrainId, Head, ReplicationLog, Writer};

use crate::awkward::awkward_grains;
use crate::pen::{Pen, grain, head_of};
use crate::sight::{append_all, head, history, listed, refused, shown};
use crate::verdict::{Seen, ensure, ensure_eq, ensure_matches};
use crate::{Broken, LogFactory, Verdict};

fn wish(grain: &GrainId, epoch: u64, writer: u64) -> Claim {
    Claim {
        grain: grain.clone(),
        epoch: Epoch::new(epoch),
        writer: Writer::new(writer),
    }
}

/// Claims one grain: its head, or why not.
async fn ask<L: ReplicationLog>(
    log: &L,
    grain: &GrainId,
    epoch: u64,
    writer: u64,
) -> Seen<Result<Option<Head>, ErrorKind>> {
    let answers = log.claim(&[wish(grain, epoch, writer)]).await?;
    ensure_eq!(answers.len(), 1, "answers to one claim");
    let first = answers.into_iter().next();
    first
        .map(|answer| answer.map_err(|error| error.kind()))
        .ok_or_else(|| Broken::new("a claim without an answer"))
}

fn is_fence(kind: &ErrorKind, epoch: u64, writer: u64) -> bool {
    matches!(kind, ErrorKind::Fenced { fence }
        if fence.epoch == Epoch::new(epoch) && fence.writer == Writer::new(writer))
}

/// A grain without entries can be claimed; it still has no head and is not listed.
pub(crate) async fn l4_a_grain_without_entries_can_be_claimed(
    factory: &impl LogFactory,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "unborn")?;
    ensure_eq!(ask(&log, &grain, 4, 7).await?, Ok(None), "a first claim");
    ensure_eq!(
        head(&log, &grain).await?,
        None,
        "the head of a claimed grain"
    );
    let all = listed(&log, &Filter::all(), 10).await?;
    ensure!(all.is_empty(), "a claim alone lists nothing: {all:?}");
    ensure!(
        history(&log, &grain).await?.is_empty(),
        "a claim writes no entry"
    );
    let lower = Pen::new(&grain).turn(3, 7).full("x");
    let seen = refused(&log, &lower).await?;
    ensure!(
        is_fence(&seen, 4, 7),
        "a lower epoch after the claim: {seen:?}"
    );
    append_all(&log, &Pen::new(&grain).turn(4, 7).write("F")).await
}

/// Every arm: above the fence, the fence itself, another writer, below.
pub(crate) async fn l4_a_claim_is_judged_by_the_fence(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "arms")?;
    let entries = Pen::new(&grain).write("FD");
    append_all(&log, &entries).await?;
    let at = head_of(&entries);
    let seen = ask(&log, &grain, 1, 8).await?;
    ensure_matches!(seen, Err(kind) if is_fence(kind, 1, 7), "the epoch of the writer of the entries");
    ensure_eq!(ask(&log, &grain, 1, 7).await?, Ok(at), "the fence itself");
    ensure_eq!(ask(&log, &grain, 5, 8).await?, Ok(at), "above the fence");
    ensure_eq!(
        ask(&log, &grain, 5, 8).await?,
        Ok(at),
        "the same claim again"
    );
    for (epoch, writer) in [(5, 7), (5, 9), (4, 8), (4, 7), (1, 7), (1, 8)] {
        let seen = ask(&log, &grain, epoch, writer).await?;
        ensure_matches!(
            seen,
            Err(kind) if is_fence(kind, 5, 8),
            "a claim of epoch {epoch} by writer {writer}"
        );
    }
    ensure_eq!(
        ask(&log, &grain, 6, 8).await?,
        Ok(at),
        "the owner, one higher"
    );
    for epoch in [0, 1 << 53, u64::MAX] {
        ensure_eq!(
            ask(&log, &grain, epoch, 8).await?,
            Err(ErrorKind::Invalid),
            "a claim of epoch {epoch}"
        );
    }
    ensure_eq!(
        ask(&log, &grain, (1 << 53) - 1, 8).await?,
        Ok(at),
        "the highest epoch"
    );
    Ok(())
}

/// A claim changes neither head nor history nor listing.
pub(crate) async fn l4_a_claim_changes_nothing_that_is_read(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for kinds in ["F", "FDD", "FT"] {
        let grain = grain("kinds", kinds)?;
        append_all(&log, &Pen::new(&grain).write(kinds)).await?;
        let before = shown(&log, &grain).await?;
        for (epoch, writer) in [(3, 8), (3, 9), (2, 7), (7, 9)] {
            let _ = ask(&log, &grain, epoch, writer).await?;
            ensure_eq!(
                shown(&log, &grain).await?,
                before,
                "what is read after claims"
            );
        }
    }
    Ok(())
}

/// After a claim, the deposed writer's next entry is refused, and the claimant's taken.
pub(crate) async fn l4_a_claim_fences_the_former_writer(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "deposed")?;
    let mut old = Pen::new(&grain);
    append_all(&log, &old.write("FD")).await?;
    let answer = ask(&log, &grain, 2, 8).await?;
    ensure_matches!(answer, Ok(Some(_)), "the claim");
    for kinds in ["F", "D", "T"] {
        for entry in old.clone().write(kinds) {
            let seen = refused(&log, &entry).await?;
            ensure!(
                is_fence(&seen, 2, 8),
                "the deposed writer's {kinds}: {seen:?}"
            );
        }
    }
    let seen = refused(&log, &old.clone().turn(2, 7).full("x")).await?;
    ensure!(
        is_fence(&seen, 2, 8),
        "the deposed writer in the new epoch: {seen:?}"
    );
    append_all(&log, &old.turn(2, 8).write("FDT")).await
}

/// Many claims in one call: answered in order, each by itself, one grain twice too.
pub(crate) async fn l4_claims_are_answered_in_order(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let (a, b, c) = (grain("t", "a")?, grain("t", "b")?, grain("u", "a")?);
    let entries = Pen::new(&a).write("F");
    append_all(&log, &entries).await?;
    append_all(&log, &Pen::new(&b).turn(9, 9).write("F")).await?;
    let claims = [
        wish(&c, 1, 8),
        wish(&b, 5, 8),
        wish(&a, 2, 8),
        wish(&a, 2, 9),
        wish(&c, 0, 8),
        wish(&a, 3, 9),
    ];
    let answers = log.claim(&claims).await?;
    let seen: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.map_err(|error| error.kind().name()))
        .collect();
    ensure_eq!(
        seen,
        vec![
            Ok(None),
            Err("fenced"),
            Ok(head_of(&entries)),
            Err("fenced"),
            Err("invalid"),
            Ok(head_of(&entries)),
        ],
        "the answers to six claims"
    );
    ensure!(log.claim(&[]).await?.is_empty(), "no claims, no answers");
    Ok(())
}

/// Each of many awkward ids has a fence of its own, claimed with the others in one call.
pub(crate) async fn l4_fences_are_told_apart_by_bytes(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grains = awkward_grains()?;
    let own = |at: usize| (at as u64 + 2, at as u64 + 1000);
    let claims: Vec<Claim> = grains
        .iter()
        .enumerate()
        .map(|(at, grain)| wish(grain, own(at).0, own(at).1))
        .collect();
    for (grain, answer) in grains.iter().zip(log.claim(&claims).await?) {
        ensure_eq!(
            answer.map_err(|error| error.kind()),
            Ok(None),
            "the claim of {grain}"
        );
    }
    for (at, grain) in grains.iter().enumerate() {
        let (epoch, writer) = own(at);
        let below = ask(&log, grain, epoch - 1, writer).await?;
        ensure_matches!(below, Err(kind) if is_fence(kind, epoch, writer), "a claim of {grain} below its own");
        append_all(&log, &Pen::new(grain).turn(epoch, writer).write("F")).await?;
    }
    Ok(())
}

/// Of writers that claim one epoch at once, one gets it.
pub(crate) async fn l4_one_of_many_racing_claims_wins(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let grain = grain("plane", "race")?;
    for epoch in 1..=10 {
        let mut racing = Vec::new();
        for writer in 1..=6 {
            let (log, grain) = (Arc::clone(&log), grain.clone());
            racing.push(tokio::spawn(async move {
                let answer = ask(&*log, &grain, epoch, writer).await?;
                Ok::<_, Broken>((writer, answer))
            }));
        }
        let mut owners = Vec::new();
        let mut told = Vec::new();
        for task in racing {
            match task.await?? {
                (writer, Ok(_)) => owners.push(writer),
                (_, Err(ErrorKind::Fenced { fence })) => told.push(fence.writer.get()),
                (writer, other) => {
                    ensure!(false, "writer {writer} was answered {other:?}");
                }
            }
        }
        ensure_eq!(owners.len(), 1, "owners of epoch {epoch}");
        ensure!(
            told.iter().all(|writer| owners.contains(writer)),
            "epoch {epoch} is {owners:?}'s, the others were told {told:?}"
        );
    }
    Ok(())
}
