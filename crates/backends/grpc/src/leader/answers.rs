//! What the log says, as answers.

use gleaner_core::{CatchUp, Caught, Entry, Error, Filter, GrainId, HeadPage, Run};
use tonic::Status;

use super::service::Service;
use crate::BACKEND;
use crate::access::Grant;
use crate::proto;
use crate::proto::catch_up_answer::Outcome;
use crate::wire::{Column, Tables, encode_error, encode_identity, push_head, status_of_error};

impl Service {
    /// A page of heads, and where the next begins. The log may name a grain outside the filter, and so
    /// outside the token's scope, to go on from: such a name stays here.
    pub(super) async fn list(
        &self,
        grant: &Grant,
        filter: &Filter,
        mut after: Option<GrainId>,
        limit: usize,
    ) -> Result<(HeadPage, Option<GrainId>), Status> {
        loop {
            let page = self
                .log
                .list_heads(filter, after.as_ref(), limit)
                .await
                .map_err(|error| status_of_error(&error))?;
            match (&page.next, page.heads.last()) {
                (Some(next), None) if !grant.includes(next) => after = Some(next.clone()),
                (Some(next), Some((last, _))) if !grant.includes(next) => {
                    let next = Some(last.clone());
                    return Ok((page, next));
                }
                (next, _) => {
                    let next = next.clone();
                    return Ok((page, next));
                }
            }
        }
    }

    /// Whether an entry that others wrote into the log fits a message.
    pub(super) fn fits(&self, entry: &Entry) -> gleaner_core::Result<()> {
        let (size, most) = (entry.payload().len(), self.settings.largest_payload());
        if size <= most {
            return Ok(());
        }
        let why = format!("a payload of {size} bytes is over the {most} that a message holds");
        Err(Error::permanent(BACKEND, why).at(entry.grain(), entry.cursor()))
    }

    pub(super) fn caught(&self, caught: &CatchUp) -> proto::CatchUpAnswer {
        let (mut tables, mut column) = (Tables::default(), Column::default());
        let mut heads = proto::Heads::default();
        let mut answer = proto::CatchUpAnswer {
            identity: Some(encode_identity(&caught.identity)),
            ..proto::CatchUpAnswer::default()
        };
        for caught in &caught.grains {
            let outcome = match caught {
                Caught::Deferred => Outcome::Deferred,
                Caught::Failed(error) => {
                    answer.errors.push(encode_error(error));
                    Outcome::Failed
                }
                Caught::Run(run) => match (&run.head, self.fitting(run)) {
                    (_, Err(error)) => {
                        answer.errors.push(encode_error(&error));
                        Outcome::Failed
                    }
                    (None, _) => Outcome::NoHead,
                    (Some(head), Ok((entries, complete))) => {
                        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
                        answer.counts.push(count);
                        for entry in entries {
                            column.push(&mut tables, entry);
                        }
                        let at_base = entries.last().is_some_and(|last| {
                            last.kind().is_base()
                                && last.cursor() == head.cursor
                                && last.digest() == head.digest
                        });
                        if at_base && complete {
                            Outcome::ToBase
                        } else {
                            push_head(&mut heads, head);
                            if complete {
                                Outcome::ToHead
                            } else {
                                Outcome::Cut
                            }
                        }
                    }
                },
            };
            answer.outcomes.push(outcome.into());
        }
        answer.heads = Some(heads);
        answer.entries = Some(column.finish());
        answer
    }

    /// The entries of a run that fit messages, and whether they are all.
    fn fitting<'a>(&self, run: &'a Run) -> gleaner_core::Result<(&'a [Entry], bool)> {
        for (at, entry) in run.entries.iter().enumerate() {
            if let Err(error) = self.fits(entry) {
                return match run.entries.get(..at) {
                    Some(before) if at > 0 => Ok((before, false)),
                    _ => Err(error),
                };
            }
        }
        Ok((&run.entries, run.complete))
    }
}
