//! Claiming grains: how an opening learns its epoch and its first number.

use std::time::Duration;

use gleaner_core::{Claim, Epoch, Error, ErrorKind, GrainId, Head, ReplicationLog, Result, Writer};
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;

/// How often a claim is raised above a fence that moved meanwhile.
const MAX_RAISES: usize = 32;

/// A claimed grain's epoch and head.
pub(crate) type Claimed = Result<(Epoch, Option<Head>)>;

/// What a call to the log needs.
pub(crate) struct Caller<'a> {
    pub(crate) log: &'a dyn ReplicationLog,
    pub(crate) limit: Duration,
    pub(crate) backoff: Backoff,
}

impl Caller<'_> {
    /// Claims a new epoch of each grain, above its fence and head.
    ///
    /// Answers of the whole call that may pass are waited for: the same claims again, so that one
    /// that was made without an answer is answered alike (L4).
    pub(crate) async fn claim(&mut self, grains: &[GrainId], writer: Writer) -> Vec<Claimed> {
        let mut answers: Vec<Option<Claimed>> = vec![None; grains.len()];
        let mut open: Vec<(usize, Claim)> = match self.heads(grains).await {
            Ok(heads) => grains
                .iter()
                .zip(heads)
                .map(|(grain, head)| Claim {
                    grain: grain.clone(),
                    epoch: head.map_or(Epoch::new(1), |head| above(head.cursor.epoch)),
                    writer,
                })
                .enumerate()
                .collect(),
            Err(error) => return grains.iter().map(|_| Err(error.clone())).collect(),
        };
        for _ in 0..MAX_RAISES {
            if open.is_empty() {
                break;
            }
            let claims: Vec<Claim> = open.iter().map(|(_, claim)| claim.clone()).collect();
            let results = self.again("claim", || self.log.claim(&claims)).await;
            let results = match results {
                Ok(results) => results,
                Err(error) => open.iter().map(|_| Err(error.clone())).collect(),
            };
            let mut wait = false;
            open = open
                .into_iter()
                .zip(results)
                .filter_map(|((at, mut claim), result)| {
                    let answer = match result {
                        Ok(head) => Ok((claim.epoch, head)),
                        Err(error) => match error.kind() {
                            ErrorKind::Fenced { fence } if fence.epoch < Epoch::MAX => {
                                claim.epoch = above(fence.epoch);
                                keep(&mut answers, at, Err(error));
                                return Some((at, claim));
                            }
                            ErrorKind::Transient | ErrorKind::Unknown => {
                                wait = true;
                                keep(&mut answers, at, Err(error));
                                return Some((at, claim));
                            }
                            _ => Err(error),
                        },
                    };
                    keep(&mut answers, at, answer);
                    None
                })
                .collect();
            if wait {
                sleep(self.backoff.delay(1)).await;
            }
        }
        answers
            .into_iter()
            .zip(grains)
            .map(|(answer, grain)| {
                answer.unwrap_or_else(|| {
                    Err(Error::unknown("publisher", "the claim was not answered").of(grain))
                })
            })
            .collect()
    }

    async fn heads(&mut self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let log = self.log;
        let heads = self.again("heads", || log.heads(grains)).await?;
        if heads.len() == grains.len() {
            return Ok(heads);
        }
        Err(Error::permanent(
            "publisher",
            "the log answered for another number of grains",
        ))
    }

    /// Makes a call until its answer is one that waiting does not change.
    async fn again<T, F>(&mut self, what: &str, mut call: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut failures: u32 = 0;
        loop {
            let error = match timeout(self.limit, call()).await {
                Ok(Ok(answer)) => {
                    if failures > 0 {
                        tracing::info!("{what} is answered again");
                    }
                    return Ok(answer);
                }
                Ok(Err(error)) if error.is_retryable() => error,
                Ok(Err(error)) => return Err(error),
                Err(_) => Error::unknown("publisher", "the call timed out"),
            };
            failures = failures.saturating_add(1);
            if failures == 1 {
                tracing::warn!(%error, "{what} fails; grains wait to be opened");
            }
            sleep(self.backoff.delay(failures)).await;
        }
    }
}

/// The epoch above one; behind the last there is none, and the claim is `Invalid`.
fn above(epoch: Epoch) -> Epoch {
    epoch.next().unwrap_or(Epoch::new(u64::MAX))
}

fn keep(answers: &mut [Option<Claimed>], at: usize, answer: Claimed) {
    if let Some(slot) = answers.get_mut(at) {
        *slot = Some(answer);
    }
}
