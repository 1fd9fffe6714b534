//! [`judge`]: clause L2 as one pure function, for every log that decides on the client's side.

use std::collections::HashMap;

use crate::{
    Appended, Cursor, Entry, Error, ErrorKind, Fence, GrainId, Head, Kind, Limits, Result, Sequence,
};

/// How far a `FullState` or `Tombstone` may leap over coalesced numbers: 2^32. A writer that is off
/// by more is broken, and one bad number must not use up the grain's range.
pub const MAX_LEAP: u64 = 1 << 32;

/// What an append that is accepted does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The head is this very entry: answer Ok and write nothing.
    Retry(Head),
    /// Write the entry; the grain then has this head and fence.
    Write(Head, Option<Fence>),
}

/// Decides one append against a grain's head and fence.
///
/// # Contract
/// L2, in its order: over a limit is `Invalid`; below the fence is `Fenced`; equal to the head is a
/// retry; then what epoch, kind and number ask, else `Conflict`. A log that calls this holds the
/// grain's head and fence still, by lock or transaction, until the verdict has taken effect.
///
/// # Errors
/// `Invalid`, `Fenced` or `Conflict`, naming grain and cursor. Nothing is to be written then.
pub fn judge(
    head: Option<&Head>,
    fence: Option<&Fence>,
    entry: &Entry,
    limits: &Limits,
    backend: &'static str,
) -> Result<Verdict> {
    entry.check(limits, backend)?;
    check_fence(fence, entry, backend)?;
    if let Some(head) = head
        && head.cursor == entry.cursor()
        && head.digest == entry.digest()
    {
        return Ok(Verdict::Retry(*head));
    }
    if let Err(why) = follows(head, fence, entry) {
        let kind = ErrorKind::Conflict {
            head: head.copied(),
        };
        return Err(Error::new(kind, backend, why).at(entry.grain(), entry.cursor()));
    }
    let cursor = entry.cursor();
    let base = match head {
        Some(head) if !entry.kind().is_base() => head.base,
        _ => cursor,
    };
    let above = fence.is_none_or(|fence| cursor.epoch > fence.epoch);
    let fence = if above {
        Some(Fence {
            epoch: cursor.epoch,
            writer: entry.writer(),
        })
    } else {
        fence.copied()
    };
    Ok(Verdict::Write(Head::of(entry, base), fence))
}

/// L2 (2): no epoch below the fence's, and the fence's own only from its writer.
fn check_fence(fence: Option<&Fence>, entry: &Entry, backend: &'static str) -> Result<()> {
    #[cfg(gleaner_plant)]
    if crate::plant::Plant::DeposedWriterAccepted.is_planted() {
        return Ok(());
    }
    match fence {
        Some(fence)
            if entry.epoch() < fence.epoch
                || (entry.epoch() == fence.epoch && entry.writer() != fence.writer) =>
        {
            let why = format!("epoch {} is owned by writer {}", fence.epoch, fence.writer);
            let kind = ErrorKind::Fenced { fence: *fence };
            Err(Error::new(kind, backend, why).at(entry.grain(), entry.cursor()))
        }
        _ => Ok(()),
    }
}

/// L2 (4) to (6).
fn follows(head: Option<&Head>, fence: Option<&Fence>, entry: &Entry) -> Result<(), &'static str> {
    let at = head.map_or(Cursor::ZERO, |head| head.cursor);
    let next = |sequence: Sequence| sequence.next() == Some(entry.sequence());
    if entry.epoch() < at.epoch {
        return Err("the head is of a higher epoch");
    }
    if entry.epoch() > at.epoch {
        if entry.kind() == Kind::Delta {
            return Err("a new epoch begins with a whole state or a tombstone");
        }
        #[cfg(gleaner_plant)]
        let fence = if crate::plant::Plant::LeapAtANewEpoch.is_planted() {
            Some(&Fence {
                epoch: entry.epoch(),
                writer: entry.writer(),
            })
        } else {
            fence
        };
        let unclaimed = fence.is_none_or(|fence| entry.epoch() > fence.epoch);
        if unclaimed && head.is_some() && !next(at.sequence) {
            return Err("the first entry of an unclaimed epoch must follow the head directly");
        }
    }
    if entry.kind() == Kind::Delta {
        return match head {
            None => Err("a delta needs a state to change"),
            Some(head) if head.kind == Kind::Tombstone => Err("a delta cannot follow a tombstone"),
            #[cfg(gleaner_plant)]
            Some(_) if crate::plant::Plant::DeltaOfAnyPredecessor.is_planted() => Ok(()),
            Some(head) if !next(head.cursor.sequence) => {
                Err("a delta must follow the head directly")
            }
            Some(head) if entry.prev() != Some(head.digest) => {
                Err("the delta's predecessor is not the head")
            }
            Some(_) => Ok(()),
        };
    }
    if head.is_some() {
        let leap = entry.sequence().get().checked_sub(at.sequence.get());
        if !leap.is_some_and(|leap| (1..=MAX_LEAP).contains(&leap)) {
            return Err("the number must lie above the head's, by at most 2^32");
        }
    }
    Ok(())
}

/// Decides one claim against a grain's fence (L4).
///
/// # Errors
/// `Invalid` for an epoch that is zero or above 2^53 - 1, `Fenced` if the epoch is the fence's with
/// another writer, or below it.
pub fn judge_claim(
    fence: Option<&Fence>,
    claim: &crate::Claim,
    backend: &'static str,
) -> Result<Fence> {
    if !claim.epoch.is_valid() {
        let why = format!("epoch {} does not lie in 1 ..= 2^53 - 1", claim.epoch);
        return Err(Error::invalid(backend, why).of(&claim.grain));
    }
    let wanted = Fence {
        epoch: claim.epoch,
        writer: claim.writer,
    };
    #[cfg(gleaner_plant)]
    if crate::plant::Plant::IdenticalClaims.is_planted()
        && fence.is_some_and(|fence| fence.epoch == claim.epoch)
    {
        return Ok(wanted);
    }
    match fence {
        Some(fence) if claim.epoch <= fence.epoch && *fence != wanted => {
            let why = format!("epoch {} is owned by writer {}", fence.epoch, fence.writer);
            let kind = ErrorKind::Fenced { fence: *fence };
            Err(Error::new(kind, backend, why).of(&claim.grain))
        }
        _ => Ok(wanted),
    }
}

/// A batch by grain, each grain's entries in their order, the grains in the order of their first
/// entries: how it is answered (L3).
pub fn by_grain(entries: &[Entry]) -> Vec<(&GrainId, Vec<&Entry>)> {
    let mut groups: Vec<(&GrainId, Vec<&Entry>)> = Vec::new();
    let mut places: HashMap<&GrainId, usize> = HashMap::new();
    for entry in entries {
        let place = *places.entry(entry.grain()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, group)) => group.push(entry),
            None => groups.push((entry.grain(), vec![entry])),
        }
    }
    groups
}

/// Where a retried batch resumes (L3): how many of one grain's entries, in order, the log already
/// holds, counted up to the first one that equals the head, and copies of it that follow directly.
///
/// Not up to the last one: of a batch that comes back to the head's entry behind others, the others
/// are not in the log, and are not to be answered as if they were.
pub fn landed(head: Option<&Head>, entries: &[&Entry]) -> usize {
    let is_head = |entry: &&Entry| {
        head.is_some_and(|head| entry.cursor() == head.cursor && entry.digest() == head.digest)
    };
    entries.iter().position(is_head).map_or(0, |first| {
        let behind = entries.iter().skip(first);
        first + behind.take_while(|entry| is_head(entry)).count()
    })
}

/// Decides one grain's entries of a batch, one after the other, as [`judge`] decides each (L3).
///
/// Head and fence are as the log holds them, and are left as they are once `write` has taken effect,
/// which is called with each entry to be written, in order: never for a retry, and for none behind the
/// first that is refused. The entry that equals the head is judged too: it may be fenced by now (L2).
///
/// # Contract
/// What [`judge`] asks of its caller holds for the whole run.
pub fn judge_run<'a>(
    grain: &GrainId,
    entries: &[&'a Entry],
    head: &mut Option<Head>,
    fence: &mut Option<Fence>,
    limits: &Limits,
    backend: &'static str,
    mut write: impl FnMut(&'a Entry),
) -> Appended {
    let mut landed = landed(head.as_ref(), entries);
    let mut result = Err(Error::invalid(backend, "no entry was given").of(grain));
    for (at, entry) in entries.iter().enumerate().skip(landed.saturating_sub(1)) {
        match judge(head.as_ref(), fence.as_ref(), entry, limits, backend) {
            Ok(Verdict::Retry(head)) => result = Ok(head),
            Ok(Verdict::Write(above, owned)) => {
                write(entry);
                *head = Some(above);
                *fence = owned;
                result = Ok(above);
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
        landed = at + 1;
    }
    Appended {
        grain: grain.clone(),
        landed,
        result,
    }
}

/// Whether a batch is within the limits as a whole.
///
/// # Errors
/// `Invalid` if it has too many entries or bytes; nothing of it is to be written.
pub fn check_batch(entries: &[Entry], limits: &Limits, backend: &'static str) -> Result<()> {
    let bytes: usize = entries.iter().map(|entry| entry.payload().len()).sum();
    // A single entry over the payload limit is its grain's own error, not the batch's.
    if entries.len() > limits.max_batch_entries()
        || (entries.len() > 1 && bytes > limits.max_batch_bytes())
    {
        return Err(Error::invalid(
            backend,
            format!(
                "batch of {} entries and {bytes} bytes is over the limit of {} and {}",
                entries.len(),
                limits.max_batch_entries(),
                limits.max_batch_bytes()
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
