//! [`CatchUp`]: what brings replicas to the heads; and the way to it for any log.

use crate::{
    Budget, Cursor, Entry, Error, ErrorKind, GrainId, Head, Identity, ReplicationLog, Result,
};

/// The answer to a `catch_up`.
#[derive(Debug, Clone)]
pub struct CatchUp {
    /// The log that the runs were read from: they are of use only to replicas of that log (S9).
    pub identity: Identity,
    /// One a grain, in the order asked for.
    pub grains: Vec<Caught>,
}

/// The answer for one grain.
#[derive(Debug, Clone)]
pub enum Caught {
    /// Its head, and what leads there.
    Run(Run),
    /// The budget did not last; ask again.
    Deferred,
    /// This grain alone could not be read: a damaged entry, an unknown kind.
    Failed(Error),
}

/// Entries that bring a replica from its cursor towards the head.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The head at the moment of the read; none for a grain without entries.
    pub head: Option<Head>,
    /// From the base if that lies above the cursor, else following the cursor; empty if the cursor is
    /// at or above the head.
    pub entries: Vec<Entry>,
    /// Whether the entries reach the head (or there is nothing to reach); false if the budget cut
    /// them.
    pub complete: bool,
}

/// Where a run towards `head` begins: strictly after this cursor.
///
/// None if the replica is at or above the head.
pub fn run_after(cursor: Cursor, head: &Head) -> Option<Cursor> {
    if cursor >= head.cursor {
        None
    } else if head.base > cursor {
        Some(head.base.predecessor())
    } else {
        Some(cursor)
    }
}

/// How often a grain is looked at again when it is truncated or re-based under the read. Each time takes
/// another truncation that falls between two calls: so many in a row are a log that is not read but raced.
const ATTEMPTS: usize = 100;

/// `catch_up` from `heads` and `read_from` alone.
pub(crate) async fn provided<L: ReplicationLog + ?Sized>(
    log: &L,
    wants: &[(GrainId, Cursor)],
    mut budget: Budget,
) -> Result<CatchUp> {
    let grains: Vec<GrainId> = wants.iter().map(|(grain, _)| grain.clone()).collect();
    for _ in 0..ATTEMPTS {
        let identity = log.identity().await?;
        let heads = log.heads(&grains).await?;
        let mut caught = Vec::with_capacity(wants.len());
        let mut served = false;
        for ((grain, cursor), head) in wants.iter().zip(heads) {
            caught.push(one(log, grain, *cursor, head, &mut budget, &mut served).await?);
        }
        // Heads and entries are read in several calls: they are of one log only if it was the same
        // before and after.
        if log.identity().await? == identity {
            return Ok(CatchUp {
                identity,
                grains: caught,
            });
        }
    }
    Err(Error::transient(
        "catch_up",
        "the log's identity keeps changing",
    ))
}

async fn one<L: ReplicationLog + ?Sized>(
    log: &L,
    grain: &GrainId,
    cursor: Cursor,
    mut head: Option<Head>,
    budget: &mut Budget,
    served: &mut bool,
) -> Result<Caught> {
    for _ in 0..ATTEMPTS {
        let Some(found) = head else {
            return Ok(Caught::Run(Run {
                head: None,
                entries: Vec::new(),
                complete: true,
            }));
        };
        let Some(after) = run_after(cursor, &found) else {
            return Ok(Caught::Run(Run {
                head,
                entries: Vec::new(),
                complete: true,
            }));
        };
        if *served && budget.is_spent() {
            return Ok(Caught::Deferred);
        }
        match read_run(log, grain, after, &found, *budget).await {
            Ok(entries) => {
                // A run that the budget would cut to nothing comes whole in one entry; it is given
                // out only while nothing else was.
                let mut kept = Vec::with_capacity(entries.len());
                for entry in entries {
                    if !budget.take(entry.payload().len(), !*served) {
                        break;
                    }
                    *served = true;
                    kept.push(entry);
                }
                let Some(last) = kept.last() else {
                    return Ok(Caught::Deferred);
                };
                let complete = last.cursor() >= found.cursor;
                return Ok(Caught::Run(Run {
                    head,
                    entries: kept,
                    complete,
                }));
            }
            // Truncated or re-based under the read: look again.
            Err(error) if matches!(error.kind(), ErrorKind::Truncated { .. }) => {}
            Err(error) if matches!(error.kind(), ErrorKind::Permanent | ErrorKind::Invalid) => {
                return Ok(Caught::Failed(error));
            }
            Err(error) => return Err(error),
        }
        head = log
            .heads(std::slice::from_ref(grain))
            .await?
            .into_iter()
            .next()
            .flatten();
    }
    Err(Error::transient(
        "catch_up",
        "the grain is truncated faster than it can be read",
    )
    .of(grain))
}

/// The entries strictly after `after`, up to the head. `Truncated` means: look at the head again.
async fn read_run<L: ReplicationLog + ?Sized>(
    log: &L,
    grain: &GrainId,
    after: Cursor,
    head: &Head,
    budget: Budget,
) -> Result<Vec<Entry>> {
    let page = match log.read_from(grain, after, budget).await {
        // What is left begins with this very base, and nothing above ZERO lies below it.
        Err(error) if error.kind() == (ErrorKind::Truncated { floor: head.base }) => {
            log.read_from(grain, Cursor::ZERO, budget).await?
        }
        other => other?,
    };
    let mut entries = page.entries;
    entries.retain(|entry| entry.cursor() <= head.cursor);
    let begins = entries.first().map(Entry::cursor);
    // Between the two reads the history may have been cut further; a run must begin where it was
    // asked to.
    let starts_at_base = after == head.base.predecessor() && after < head.base;
    match begins {
        Some(first) if starts_at_base && first != head.base => Err(truncated(grain, first)),
        None => Err(truncated(grain, head.cursor)),
        Some(_) => Ok(entries),
    }
}

fn truncated(grain: &GrainId, floor: Cursor) -> Error {
    let kind = ErrorKind::Truncated { floor };
    Error::new(kind, "catch_up", "the history was cut under the read").of(grain)
}

#[cfg(test)]
mod tests;
