//! L1: numbers rise, and the log agrees with the rule on whole random histories.

use gleaner_core::append::{Verdict as Judged, judge, judge_claim};
use gleaner_core::{Claim, Cursor, ErrorKind, Fence, Head, Kind, ReplicationLog, Writer};

use crate::pen::{Dice, Pen, cursors, grain, is_chain};
use crate::sight::{append_all, head, history, refused};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{LogFactory, Verdict};

/// Through a new epoch, a tombstone and a truncation, no number below the head is taken again.
pub(crate) async fn l1_no_number_is_reused(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "one")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.write("FDDF")).await?;
    let cut = pen.tombstone();
    append_all(&log, std::slice::from_ref(&cut)).await?;
    log.truncate(&grain, cut.cursor()).await?;
    for number in 0..5 {
        let mut again = pen.clone();
        again.sequence = number;
        ensure_matches!(
            refused(&log, &again.full("again")).await?,
            ErrorKind::Conflict { head: Some(_) },
            "number {} again, after a tombstone and a truncation",
            number + 1
        );
    }
    pen.turn(2, 8);
    let mut restarted = pen.clone();
    restarted.sequence = 0;
    ensure_matches!(
        refused(&log, &restarted.full("from one")).await?,
        ErrorKind::Conflict { head: Some(_) },
        "a new epoch that begins at 1 again"
    );
    append_all(&log, &pen.write("FD")).await
}

/// A grain that has ended goes on with the next number.
pub(crate) async fn l1_a_dead_grain_goes_on_with_the_next_number(
    factory: &impl LogFactory,
) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "dead")?;
    let mut pen = Pen::new(&grain);
    let entries = pen.write("FTFDTT");
    append_all(&log, &entries).await?;
    ensure_eq!(
        cursors(&history(&log, &grain).await?),
        cursors(&entries),
        "the history of a grain that ended and came back"
    );
    Ok(())
}

/// The highest epoch and number are accepted, and are the end.
pub(crate) async fn l1_numbers_end_at_two_to_the_53(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "last")?;
    let last = (1_u64 << 53) - 1;
    let mut pen = Pen::new(&grain);
    pen.turn(last, 7).leap(last - 2);
    append_all(&log, &pen.write("FD")).await?;
    ensure_matches!(
        refused(&log, &pen.full("beyond")).await?,
        ErrorKind::Invalid,
        "number 2^53"
    );
    ensure_eq!(
        head(&log, &grain).await?.map(|head| head.cursor),
        Some(Cursor::new(last, last)),
        "the last head there can be"
    );
    Ok(())
}

/// A thousand appends and claims, good and bad, are answered as the rule says; history only grows.
pub(crate) async fn l1_random_histories_only_rise(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for seed in 1..=4 {
        let grain = grain("random", &format!("L1 {seed}"))?;
        walk(&log, &grain, seed, true).await?;
        let entries = history(&log, &grain).await?;
        ensure!(
            is_chain(&entries),
            "seed {seed}: numbers must rise and epochs not fall: {:?}",
            cursors(&entries)
        );
    }
    Ok(())
}

/// As above without truncations, each answer compared with the rule's.
pub(crate) async fn l2_random_appends_are_judged_by_the_rule(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for seed in 11..=16 {
        let grain = grain("random", &format!("L2 {seed}"))?;
        walk(&log, &grain, seed, false).await?;
    }
    Ok(())
}

/// A random walk beside the rule itself.
async fn walk<L: ReplicationLog>(
    log: &L,
    grain: &gleaner_core::GrainId,
    seed: u64,
    truncating: bool,
) -> Verdict {
    let mut dice = Dice::new(seed);
    let (mut at, mut fence): (Option<Head>, Option<Fence>) = (None, None);
    let mut count = 0;
    for step in 0..150 {
        let said = format!("seed {seed}, step {step}");
        let epoch = fence.map_or(0, |fence| fence.epoch.get()) + dice.roll(4);
        let epoch = epoch.saturating_sub(u64::from(dice.roll(4) == 0));
        let writer = Writer::new(1 + dice.roll(2));
        if dice.roll(8) == 0 {
            let claim = Claim {
                grain: grain.clone(),
                epoch: gleaner_core::Epoch::new(epoch),
                writer,
            };
            let expected = judge_claim(fence.as_ref(), &claim, "rule");
            let answer = log.claim(&[claim]).await?.into_iter().next();
            match (expected, answer) {
                (Ok(moved), Some(Ok(head))) => {
                    ensure_eq!(head, at, "{said}: the head that a claim answers");
                    fence = Some(moved);
                }
                (Err(expected), Some(Err(answer))) => {
                    ensure_eq!(answer.kind(), expected.kind(), "{said}: a claim's refusal");
                }
                (expected, answer) => {
                    ensure!(
                        false,
                        "{said}: claim of epoch {epoch}: expected {expected:?}, saw {answer:?}"
                    );
                }
            }
            continue;
        }
        if truncating && dice.roll(20) == 0 {
            let before = Cursor::new(epoch, 1 << 40);
            log.truncate(grain, before).await?;
            continue;
        }
        let entry = random_entry(&mut dice, grain, at.as_ref(), epoch, writer);
        let expected = judge(at.as_ref(), fence.as_ref(), &entry, &log.limits(), "rule");
        let answer = log.append(entry.clone()).await;
        match (expected, answer) {
            (Ok(Judged::Write(next, moved)), Ok(head)) => {
                ensure_eq!(head, next, "{said}: the head after an append");
                (at, fence) = (Some(next), moved);
                count += 1;
            }
            (Ok(Judged::Retry(next)), Ok(head)) => {
                ensure_eq!(head, next, "{said}: the head after a retry");
            }
            (Err(expected), Err(answer)) => {
                ensure_eq!(
                    answer.kind(),
                    expected.kind(),
                    "{said}: an append's refusal"
                );
            }
            (expected, answer) => {
                ensure!(
                    false,
                    "{said}: {:?} {} by {} after {at:?}, {fence:?}: expected {expected:?}, saw {answer:?}",
                    entry.kind(),
                    entry.cursor(),
                    entry.writer()
                );
            }
        }
        ensure_eq!(head(log, grain).await?, at, "{said}: the head");
    }
    if !truncating {
        let entries = history(log, grain).await?;
        ensure_eq!(
            entries.len(),
            count,
            "seed {seed}: the number of entries written"
        );
    }
    Ok(())
}

fn random_entry(
    dice: &mut Dice,
    grain: &gleaner_core::GrainId,
    at: Option<&Head>,
    epoch: u64,
    writer: Writer,
) -> gleaner_core::Entry {
    use gleaner_core::{Digest, Draft};
    let number = at.map_or(0, |head| head.cursor.sequence.get());
    let number = match dice.roll(8) {
        0 => number,
        1 => number + 2 + dice.roll(3),
        2 => number.saturating_sub(1),
        _ => number + 1,
    };
    let cursor = Cursor::new(epoch, number);
    let payload = format!("{}", dice.roll(2));
    match dice.roll(8) {
        0 => Draft::tombstone(grain.clone(), cursor, writer).seal(),
        1..4 => {
            let prev = at.map_or(Digest::new(1), |head| head.digest);
            let prev = if dice.roll(6) == 0 {
                Digest::new(prev.get() ^ 1)
            } else {
                prev
            };
            Draft::delta(grain.clone(), cursor, writer, prev, payload).seal()
        }
        _ => Draft::full(grain.clone(), cursor, writer, payload).seal(),
    }
}

/// What is listed of each kind is kept: a dead grain's head says so.
pub(crate) async fn l1_heads_say_what_came_last(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for (key, kinds, kind, base) in [
        ("a", "F", Kind::FullState, 1),
        ("b", "FD", Kind::Delta, 1),
        ("c", "FDFDD", Kind::Delta, 3),
        ("d", "FDT", Kind::Tombstone, 3),
        ("e", "TF", Kind::FullState, 2),
    ] {
        let grain = grain("kinds", key)?;
        let entries = Pen::new(&grain).write(kinds);
        append_all(&log, &entries).await?;
        let head = head(&log, &grain).await?;
        ensure_eq!(
            head.map(|head| (head.kind, head.base, Some(head.digest))),
            Some((
                kind,
                Cursor::new(1, base),
                entries.last().map(gleaner_core::Entry::digest)
            )),
            "the head after {kinds}"
        );
    }
    Ok(())
}
