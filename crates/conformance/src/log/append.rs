//! L2: what follows the head and what does not, clauses (1) and (3) to (7).

use std::sync::Arc;

use gleaner_core::append::MAX_LEAP;
use gleaner_core::{Claim, Cursor, Digest, Draft, Entry, Epoch, ErrorKind, ReplicationLog, Writer};

use crate::pen::{Pen, cursors, grain, head_of};
use crate::sight::{append_all, head, history, refused};
use crate::verdict::{ensure, ensure_eq, ensure_matches};
use crate::{Broken, LogFactory, Verdict};

/// (1): numbers of zero or above 2^53 - 1, a Tombstone with a payload, a misplaced `prev`.
pub(crate) async fn l2_bad_entries_are_invalid(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "bad")?;
    let writer = Writer::new(7);
    for cursor in [
        Cursor::new(0, 1),
        Cursor::new(1, 0),
        Cursor::new(1, 1 << 53),
        Cursor::new(1 << 53, 1),
        Cursor::new(u64::MAX, u64::MAX),
        Cursor::ZERO,
    ] {
        let entry = Draft::full(grain.clone(), cursor, writer, "state").seal();
        ensure_matches!(refused(&log, &entry).await?, ErrorKind::Invalid, "{cursor}");
    }
    let cursor = Cursor::new(1, 1);
    let mut ended = Draft::tombstone(grain.clone(), cursor, writer);
    ended.payload = "last words".into();
    let mut loose = Draft::delta(grain.clone(), cursor, writer, Digest::new(1), "x");
    loose.prev = None;
    let mut bound = Draft::full(grain.clone(), cursor, writer, "x");
    bound.prev = Some(Digest::new(1));
    for (what, draft) in [
        ("a tombstone with a payload", ended),
        ("a delta without prev", loose),
        ("a whole state with prev", bound),
    ] {
        ensure_matches!(
            refused(&log, &draft.seal()).await?,
            ErrorKind::Invalid,
            "{what}"
        );
    }
    Ok(())
}

/// (1) comes before (2): a bad entry of a fenced writer is `Invalid`.
pub(crate) async fn l2_invalid_is_said_before_fenced(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "order 1")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.turn(5, 7).write("F")).await?;
    let entry = Draft::full(grain, Cursor::new(3, 0), Writer::new(8), "x").seal();
    ensure_matches!(
        refused(&log, &entry).await?,
        ErrorKind::Invalid,
        "number 0 in a fenced epoch"
    );
    Ok(())
}

/// (2) comes before (3): the head again, from a writer that was fenced since, is `Fenced`.
pub(crate) async fn l2_fenced_is_said_before_a_retry(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "order 2")?;
    let entries = Pen::new(&grain).write("F");
    append_all(&log, &entries).await?;
    let claim = Claim {
        grain: grain.clone(),
        epoch: Epoch::new(2),
        writer: Writer::new(8),
    };
    for answer in log.claim(&[claim]).await? {
        answer?;
    }
    for entry in &entries {
        ensure_matches!(
            refused(&log, entry).await?,
            ErrorKind::Fenced { fence } if fence.epoch == Epoch::new(2),
            "the head again, after another writer's claim"
        );
    }
    Ok(())
}

/// (2) comes before (4) to (7): what would be a conflict anyway is `Fenced`.
pub(crate) async fn l2_fenced_is_said_before_a_conflict(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "order 3")?;
    append_all(&log, &Pen::new(&grain).turn(5, 7).write("FD")).await?;
    let entry = Draft::full(grain, Cursor::new(4, 1), Writer::new(7), "x").seal();
    ensure_matches!(
        refused(&log, &entry).await?,
        ErrorKind::Fenced { .. },
        "a number that is taken, in a fenced epoch"
    );
    Ok(())
}

/// (3): the head again is Ok, for each kind, and nothing is written.
pub(crate) async fn l2_the_head_again_is_a_retry(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "retry")?;
    let mut written = Vec::new();
    let mut pen = Pen::new(&grain);
    for kind in ["F", "D", "F", "T", "F"] {
        let entries = pen.write(kind);
        append_all(&log, &entries).await?;
        written.extend(entries.iter().cloned());
        for _ in 0..3 {
            append_all(&log, &entries).await?;
        }
        ensure_eq!(
            cursors(&history(&log, &grain).await?),
            cursors(&written),
            "the history after retries of {kind}"
        );
        ensure_eq!(head(&log, &grain).await?, head_of(&written), "the head");
    }
    Ok(())
}

/// (3) asks cursor and digest: the head's number with other bytes, or an older entry, is a conflict.
pub(crate) async fn l2_a_retry_is_the_same_bytes(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "other bytes")?;
    let mut pen = Pen::new(&grain);
    let first = pen.full("first");
    append_all(&log, std::slice::from_ref(&first)).await?;
    let mut fork = pen.clone();
    append_all(&log, &pen.write("F")).await?;
    ensure_matches!(
        refused(&log, &fork.full("something else")).await?,
        ErrorKind::Conflict { head: Some(_) },
        "the head's number with another payload"
    );
    ensure_matches!(
        refused(&log, &first).await?,
        ErrorKind::Conflict { head: Some(_) },
        "an entry below the head again"
    );
    Ok(())
}

/// (4): a new epoch begins with a base, claimed or not.
pub(crate) async fn l2_a_new_epoch_begins_with_a_base(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "epochs")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.write("FD")).await?;
    pen.turn(2, 8);
    ensure_matches!(
        refused(&log, &pen.clone().delta("+")).await?,
        ErrorKind::Conflict { .. },
        "a delta that begins an unclaimed epoch"
    );
    for answer in log
        .claim(&[Claim {
            grain: grain.clone(),
            epoch: Epoch::new(2),
            writer: Writer::new(8),
        }])
        .await?
    {
        answer?;
    }
    ensure_matches!(
        refused(&log, &pen.clone().delta("+")).await?,
        ErrorKind::Conflict { .. },
        "a delta that begins a claimed epoch"
    );
    append_all(&log, &pen.clone().write("FD")).await?;
    pen.leap(2).turn(3, 9);
    append_all(&log, &pen.write("TF")).await
}

/// (4): in an epoch that nobody claimed, the first number is the head's plus one, no other.
pub(crate) async fn l2_an_unclaimed_epoch_follows_directly(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "unclaimed")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.leap(9).write("FF")).await?;
    pen.turn(4, 8);
    for numbers in [1, 2, 1000] {
        let mut leaping = pen.clone();
        ensure_matches!(
            refused(&log, &leaping.leap(numbers).full("leap")).await?,
            ErrorKind::Conflict { head: Some(_) },
            "an unclaimed epoch that leaps over {numbers} numbers"
        );
        ensure_matches!(
            refused(&log, &leaping.tombstone()).await?,
            ErrorKind::Conflict { head: Some(_) },
            "an unclaimed epoch that leaps to a tombstone"
        );
    }
    append_all(&log, &pen.write("F")).await?;
    // The epoch is the writer's own now.
    append_all(&log, &pen.leap(5).write("F")).await
}

/// (4): without a head any first number will do, claimed or not.
pub(crate) async fn l2_the_first_number_is_free(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    for (at, first) in [1, 2, 77, 1 << 32, (1 << 32) + 2, 1 << 52]
        .into_iter()
        .enumerate()
    {
        for (kind, claimed) in [("F", false), ("F", true), ("T", false), ("T", true)] {
            let grain = grain("first", &format!("{at} {kind} {claimed}"))?;
            let mut pen = Pen::new(&grain);
            pen.turn(3, 7).leap(first - 1);
            if claimed {
                claim(&log, &pen).await?;
            }
            append_all(&log, &pen.write(kind)).await?;
        }
    }
    Ok(())
}

/// (4): in an epoch that was claimed, the first number may leap.
pub(crate) async fn l2_a_claimed_epoch_may_leap(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "claimed")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.write("FD")).await?;
    claim(&log, pen.turn(2, 8)).await?;
    let mut too_far = pen.clone();
    ensure_matches!(
        refused(&log, &too_far.leap(MAX_LEAP).full("too far")).await?,
        ErrorKind::Conflict { head: Some(_) },
        "a claimed epoch that leaps by 2^32 + 1"
    );
    append_all(&log, &pen.leap(500).write("FDF")).await?;
    claim(&log, pen.turn(3, 9)).await?;
    append_all(&log, &pen.leap(MAX_LEAP - 1).write("FD")).await
}

pub(super) async fn claim<L: ReplicationLog>(log: &L, pen: &Pen) -> Verdict {
    let claim = Claim {
        grain: pen.grain.clone(),
        epoch: Epoch::new(pen.epoch),
        writer: pen.writer,
    };
    for answer in log.claim(&[claim]).await? {
        answer?;
    }
    Ok(())
}

/// (5): a Delta needs a head that is no Tombstone, one below, with its digest.
pub(crate) async fn l2_a_delta_follows_the_head_directly(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "deltas")?;
    let mut pen = Pen::new(&grain);
    ensure_matches!(
        refused(&log, &pen.clone().delta("+")).await?,
        ErrorKind::Conflict { head: None },
        "a delta without a head"
    );
    let first = pen.full("0");
    append_all(&log, std::slice::from_ref(&first)).await?;
    ensure_matches!(
        refused(&log, &pen.clone().leap(1).delta("+")).await?,
        ErrorKind::Conflict { head: Some(_) },
        "a delta that leaves a number out"
    );
    let next = Cursor::new(1, 2);
    let prev = Digest::new(first.digest().get() ^ 1);
    let stray = Draft::delta(grain.clone(), next, pen.writer, prev, "+").seal();
    ensure_matches!(
        refused(&log, &stray).await?,
        ErrorKind::Conflict { head: Some(_) },
        "a delta to another predecessor"
    );
    append_all(&log, &pen.write("DD")).await?;
    // The predecessor's predecessor is not enough.
    let older = Draft::delta(grain, Cursor::new(1, 4), pen.writer, first.digest(), "+").seal();
    ensure_matches!(
        refused(&log, &older).await?,
        ErrorKind::Conflict { head: Some(_) },
        "a delta to an older predecessor"
    );
    append_all(&log, &pen.write("T")).await?;
    ensure_matches!(
        refused(&log, &pen.clone().delta("+")).await?,
        ErrorKind::Conflict { head: Some(_) },
        "a delta to a tombstone"
    );
    append_all(&log, &pen.write("FD")).await
}

/// (6): a base may leap by 2^32 and not by one more; at or below the head it is a conflict.
pub(crate) async fn l2_a_base_leaps_at_most_two_to_the_32(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "leaps")?;
    let mut pen = Pen::new(&grain);
    append_all(&log, &pen.leap(4).write("F")).await?;
    for kind in ["F", "T"] {
        let too_far = pen.clone().leap(MAX_LEAP).write(kind);
        let below = {
            let mut below = pen.clone();
            below.sequence -= 3;
            below.write(kind)
        };
        let same = {
            let mut same = pen.clone();
            same.sequence -= 1;
            same.full("other")
        };
        for entry in too_far.iter().chain(&below).chain([&same]) {
            ensure_matches!(
                refused(&log, entry).await?,
                ErrorKind::Conflict { head: Some(_) },
                "{kind} number {} after {}",
                entry.sequence(),
                pen.sequence
            );
        }
        append_all(&log, &pen.leap(MAX_LEAP - 1).write(kind)).await?;
    }
    Ok(())
}

/// (7): a conflict names the head that is there.
pub(crate) async fn l2_a_conflict_names_the_head(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let grain = grain("plane", "conflict")?;
    let mut pen = Pen::new(&grain);
    let entries = pen.write("FDD");
    append_all(&log, &entries).await?;
    let error = match log.append(pen.clone().leap(3).delta("+")).await {
        Ok(head) => return Err(Broken::new(format!("a conflict was answered Ok({head:?})"))),
        Err(error) => error,
    };
    ensure_eq!(
        error.kind(),
        ErrorKind::Conflict {
            head: head_of(&entries)
        },
        "the head in a conflict"
    );
    ensure_eq!(error.grain(), Some(&grain), "the grain that an error names");
    Ok(())
}

/// Of entries that race for one number, one is written, and the answers say which.
pub(crate) async fn l2_one_of_many_racing_appends_wins(factory: &impl LogFactory) -> Verdict {
    let (_guard, log) = factory.open().await;
    let log = Arc::new(log);
    let grain = grain("plane", "race")?;
    let mut pen = Pen::new(&grain);
    append_all(&*log, &pen.write("F")).await?;
    for round in 0..12 {
        let mut racing = Vec::new();
        for hand in 0..6 {
            let entry = if (hand + round) % 2 == 0 {
                pen.clone().delta(format!("hand {hand}"))
            } else {
                pen.clone().full(format!("hand {hand}"))
            };
            let log = Arc::clone(&log);
            racing.push(tokio::spawn(async move {
                let result = log.append(entry.clone()).await;
                (entry, result)
            }));
        }
        let mut won: Vec<Entry> = Vec::new();
        for task in racing {
            let (entry, result) = task.await?;
            match result {
                Ok(_) => won.push(entry),
                Err(error) => ensure_matches!(
                    error.kind(),
                    ErrorKind::Conflict { head: Some(_) },
                    "round {round}: the loser's answer"
                ),
            }
        }
        ensure!(
            won.len() == 1,
            "round {round}: {} of 6 racing appends of one number were accepted",
            won.len()
        );
        let head = head(&*log, &grain).await?;
        ensure_eq!(
            head.map(|head| head.digest),
            won.first().map(Entry::digest),
            "round {round}: the head is the entry that was answered Ok"
        );
        let Some(last) = won.pop() else { continue };
        pen = Pen::after(&last);
    }
    ensure_eq!(
        history(&*log, &grain).await?.len(),
        13,
        "entries after 12 races"
    );
    Ok(())
}
