//! [`Pen`]: writes entries of many grains as one writer.
//!
//! A `Publisher` of the library coalesces, goes on for ever, and writes no Delta without the
//! application's fold. A command writes exactly what it was given and ends: it claims each grain,
//! numbers, and appends, and after an unknown outcome sends the identical bytes again.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gleaner::{
    Budget, Claim, Cursor, Digest, Draft, Entry, Epoch, Error, ErrorKind, GrainId, Head, Kind,
    ReplicationLog, Schema, Source, UnixMillis, Writer,
};

use crate::failure::{Failure, Kind as FailureKind, Result};
use crate::patience::Patience;

/// Claims in one call, as the library's publisher makes them.
const CLAIMS_A_CALL: usize = 1024;

/// How often a claim is raised above a fence that moved meanwhile.
const MAX_RAISES: usize = 32;

/// An entry to be written.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// The line of standard input that it stood on.
    pub(crate) line: Option<u64>,
    pub(crate) grain: GrainId,
    pub(crate) kind: Kind,
    pub(crate) schema: Schema,
    pub(crate) payload: Bytes,
}

/// An entry that is in the log now.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    pub(crate) grain: GrainId,
    pub(crate) cursor: Cursor,
    pub(crate) kind: Kind,
    pub(crate) writer: Writer,
}

/// One writer, and the grains that it owns.
pub(crate) struct Pen {
    log: Arc<dyn ReplicationLog>,
    patience: Patience,
    source: Source,
    writer: Writer,
    /// The epoch that it goes on in; none to claim a new one of each grain.
    going_on: Option<Epoch>,
    grains: HashMap<GrainId, Owned>,
}

/// A grain that was claimed.
#[derive(Debug, Clone, Copy)]
struct Owned {
    epoch: Epoch,
    last: Option<Last>,
}

/// The newest entry: what the next one follows.
#[derive(Debug, Clone, Copy)]
struct Last {
    cursor: Cursor,
    digest: Digest,
    kind: Kind,
}

impl Pen {
    /// A new writer, or one that goes on where it stopped.
    pub(crate) fn new(
        log: Arc<dyn ReplicationLog>,
        patience: Patience,
        source: Source,
        going_on: Option<(Epoch, Writer)>,
    ) -> Self {
        Self {
            log,
            patience,
            source,
            writer: going_on.map_or_else(draw, |(_, writer)| writer),
            going_on: going_on.map(|(epoch, _)| epoch),
            grains: HashMap::new(),
        }
    }

    /// Writes entries in order; what is in the log now, and why the rest is not. After a failure
    /// nothing more is to be written with this pen.
    ///
    /// Grains are independent: entries of others that stood behind the one that failed may be in the
    /// log, and are among the written ones then.
    pub(crate) async fn write(&mut self, wishes: &[Wish]) -> (Vec<Written>, Result<()>) {
        let mut written = Vec::with_capacity(wishes.len());
        let done = self.try_write(wishes, &mut written).await;
        (written, done)
    }

    async fn try_write(&mut self, wishes: &[Wish], written: &mut Vec<Written>) -> Result<()> {
        self.claim_all(wishes).await?;
        let limits = self.log.limits();
        let mut batch = Vec::new();
        let mut bytes = 0;
        for wish in wishes {
            // What stood before a line that makes no sense is written all the same.
            let (entries, refused) = match self.seal(wish).await {
                Ok(entries) => (entries, None),
                Err(failure) => (Vec::new(), Some(failure.on_line(wish.line))),
            };
            for entry in entries {
                let size = entry.payload().len();
                if batch.len() >= limits.max_batch_entries()
                    || bytes + size > limits.max_batch_bytes()
                {
                    self.send(&std::mem::take(&mut batch), written).await?;
                    bytes = 0;
                }
                bytes += size;
                batch.push((wish.line, entry));
            }
            if let Some(failure) = refused {
                self.send(&batch, written).await?;
                return Err(failure);
            }
        }
        self.send(&batch, written).await
    }

    /// Claims those grains that are not this writer's yet.
    async fn claim_all(&mut self, wishes: &[Wish]) -> Result<()> {
        let mut new: Vec<(Option<u64>, GrainId)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for wish in wishes {
            if !self.grains.contains_key(&wish.grain) && seen.insert(&wish.grain) {
                new.push((wish.line, wish.grain.clone()));
            }
        }
        for chunk in new.chunks(CLAIMS_A_CALL) {
            self.claim(chunk).await?;
        }
        Ok(())
    }

    async fn claim(&mut self, grains: &[(Option<u64>, GrainId)]) -> Result<()> {
        // The fence tells which epoch is free; nothing has to be read for it.
        let first = self.going_on.unwrap_or(Epoch::new(1));
        let mut open: Vec<(Option<u64>, Claim)> = grains
            .iter()
            .map(|(line, grain)| {
                let claim = Claim {
                    grain: grain.clone(),
                    epoch: first,
                    writer: self.writer,
                };
                (*line, claim)
            })
            .collect();
        for _ in 0..MAX_RAISES {
            let claims: Vec<Claim> = open.iter().map(|(_, claim)| claim.clone()).collect();
            let log = &self.log;
            let answers = self
                .patience
                .again(|| async {
                    settled(log.claim(&claims).await?, |answer| answer.as_ref().err())
                })
                .await?;
            let mut fenced = Vec::new();
            for ((line, claim), answer) in open.into_iter().zip(answers) {
                match answer {
                    Ok(head) => {
                        let owned = Owned {
                            epoch: claim.epoch,
                            last: head.as_ref().map(Last::of),
                        };
                        self.grains.insert(claim.grain, owned);
                    }
                    Err(error) => {
                        let epoch = match error.kind() {
                            ErrorKind::Fenced { fence } if self.going_on.is_none() => {
                                fence.epoch.next()
                            }
                            _ => None,
                        };
                        let Some(epoch) = epoch else {
                            return Err(Failure::from(error).on_line(line));
                        };
                        fenced.push((line, Claim { epoch, ..claim }));
                    }
                }
            }
            if fenced.is_empty() {
                return Ok(());
            }
            open = fenced;
        }
        Err(Failure::new(
            FailureKind::Fenced,
            "other writers claim the grain faster than this one",
        ))
    }

    /// Numbers a wish and closes it; a Delta that begins an epoch behind the whole state that it
    /// changes, which is written again as this writer's (an epoch never begins with a Delta).
    async fn seal(&mut self, wish: &Wish) -> Result<Vec<Entry>> {
        let mut owned = *self
            .grains
            .get(&wish.grain)
            .ok_or_else(|| Failure::new(FailureKind::Unknown, "the claim was not answered"))?;
        let mut entries = Vec::new();
        if wish.kind == Kind::Delta {
            let at = owned.last.ok_or_else(|| conflict(&wish.grain, NO_STATE))?;
            if at.kind == Kind::Tombstone {
                return Err(conflict(&wish.grain, NO_STATE));
            }
            if at.cursor.epoch != owned.epoch {
                if at.kind == Kind::Delta {
                    return Err(conflict(&wish.grain, NO_FOLD));
                }
                let state = self.newest(&wish.grain, at).await?;
                let again = Wish {
                    kind: Kind::FullState,
                    schema: state.schema(),
                    payload: state.payload().clone(),
                    ..wish.clone()
                };
                entries.push(self.next(&again, &mut owned)?);
            }
        }
        entries.push(self.next(wish, &mut owned)?);
        self.grains.insert(wish.grain.clone(), owned);
        Ok(entries)
    }

    fn next(&self, wish: &Wish, owned: &mut Owned) -> Result<Entry> {
        let number = owned
            .last
            .map_or(gleaner::Sequence::ZERO, |last| last.cursor.sequence);
        let sequence = number.next().ok_or_else(|| {
            Failure::new(FailureKind::Permanent, "the grain has used up its numbers")
        })?;
        let cursor = Cursor {
            epoch: owned.epoch,
            sequence,
        };
        let draft = Draft {
            grain: wish.grain.clone(),
            cursor,
            writer: self.writer,
            kind: wish.kind,
            prev: owned
                .last
                .filter(|_| wish.kind == Kind::Delta)
                .map(|last| last.digest),
            written_at: now(),
            source: self.source.clone(),
            schema: wish.schema,
            payload: wish.payload.clone(),
        };
        let entry = draft.seal();
        owned.last = Some(Last {
            cursor,
            digest: entry.digest(),
            kind: wish.kind,
        });
        Ok(entry)
    }

    /// The entry at a grain's head.
    async fn newest(&self, grain: &GrainId, at: Last) -> Result<Entry> {
        let after = at.cursor.predecessor();
        let page = self
            .patience
            .again(|| self.log.read_from(grain, after, Budget::new(1, 0)))
            .await?;
        let found = page.entries.into_iter().next();
        found
            .filter(|entry| entry.digest() == at.digest)
            .ok_or_else(|| conflict(grain, "its head has moved"))
    }

    async fn send(&self, batch: &[(Option<u64>, Entry)], written: &mut Vec<Written>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let entries: Vec<Entry> = batch.iter().map(|(_, entry)| entry.clone()).collect();
        let log = &self.log;
        let answers = self
            .patience
            .again(|| async {
                settled(log.append_batch(&entries).await?, |answer| {
                    answer.result.as_ref().err()
                })
            })
            .await?;
        let mut left: HashMap<&GrainId, (usize, Option<&Error>)> = answers
            .iter()
            .map(|answer| (&answer.grain, (answer.landed, answer.result.as_ref().err())))
            .collect();
        let mut failed = None;
        for (line, entry) in batch {
            let Some((landed, error)) = left.get_mut(entry.grain()) else {
                let unanswered = Failure::new(FailureKind::Unknown, "the entry was not answered");
                return Err(unanswered.on_line(*line));
            };
            if let Some(fewer) = landed.checked_sub(1) {
                *landed = fewer;
                written.push(Written {
                    grain: entry.grain().clone(),
                    cursor: entry.cursor(),
                    kind: entry.kind(),
                    writer: self.writer,
                });
            } else if failed.is_none() {
                let failure = error.map_or_else(
                    || Failure::new(FailureKind::Unknown, "the entry was not answered"),
                    |error| error.clone().into(),
                );
                failed = Some(failure.on_line(*line));
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

const NO_STATE: &str = "there is no state that a delta could change";
const NO_FOLD: &str = "its newest entry is another writer's delta, and only the application knows \
                       what state that makes: append a full state, or go on with --writer";

impl Last {
    const fn of(head: &Head) -> Self {
        Self {
            cursor: head.cursor,
            digest: head.digest,
            kind: head.kind,
        }
    }
}

fn conflict(grain: &GrainId, why: &str) -> Failure {
    Failure::new(FailureKind::Conflict, format!("{grain}: {why}"))
}

/// The answers for each grain, or the first that makes it worth to ask for all again.
fn settled<T>(answers: Vec<T>, error: impl Fn(&T) -> Option<&Error>) -> gleaner::Result<Vec<T>> {
    let unsettled = answers
        .iter()
        .filter_map(error)
        .find(|error| error.is_retryable());
    match unsettled {
        Some(error) => Err(error.clone()),
        None => Ok(answers),
    }
}

/// A random number from the standard library's own source: each `RandomState` is keyed at random, and
/// hashing clock and process apart covers two that begin alike.
fn draw() -> Writer {
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    Writer::new(RandomState::new().hash_one((clock, std::process::id())))
}

fn now() -> UnixMillis {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    UnixMillis::new(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
