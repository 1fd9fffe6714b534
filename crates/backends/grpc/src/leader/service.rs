//! [`Service`]: each call of the protocol, decided by rights and scope, done by the log.
//!
//! A call is refused before the log is asked, so that a refusal says nothing of what the log holds.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use gleaner_core::{
    Budget, ChangeFeed, Claim, Cursor, Epoch, Error, Filter, GrainId, ReplicationLog, Writer,
};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tonic::{Request, Response, Status};

use super::settings::LeaderSettings;
use super::watcher::Watcher;
use crate::BACKEND;
use crate::access::{Access, Grant, Right};
use crate::proto;
use crate::wire::{
    Column, Known, Malformed, Tables, cursor, decode_entries, decode_filter, decode_grain,
    decode_grains, decode_position, encode_cursor, encode_error, encode_grain, encode_grains,
    encode_identity, encode_position, number, push_head, status_of_error,
};

/// The most heads in a page, and entries in an answer: bounds what columns and keys take beside the
/// payloads.
const MOST_HEADS: usize = 4_096;
const MOST_ENTRIES: usize = 16_384;

/// The calls of one leader.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) log: Arc<dyn ReplicationLog>,
    pub(crate) access: Arc<Access>,
    pub(crate) settings: Arc<LeaderSettings>,
    /// Whether the leader is ending.
    pub(crate) closing: watch::Receiver<bool>,
}

type Answer<T> = Result<Response<T>, Status>;

/// Who asks: put into every request when its header was admitted.
fn grant<T>(request: &Request<T>) -> Result<Arc<Grant>, Status> {
    request
        .extensions()
        .get::<Arc<Grant>>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("no token was admitted"))
}

fn malformed(malformed: Malformed) -> Status {
    Status::invalid_argument(malformed.to_string())
}

/// Whether the grant allows it; else the refusal, which is said in the leader's log too.
fn allow(grant: &Grant, right: Right, in_scope: bool, what: &'static str) -> Result<(), Status> {
    if grant.may(right) && in_scope {
        return Ok(());
    }
    let why = if grant.may(right) {
        "it lies outside the token's scope"
    } else {
        "the token lacks the right"
    };
    tracing::warn!(token = grant.name(), call = what, why, "refused");
    Err(denied(&format!("{what} is refused: {why}")))
}

fn denied(why: &str) -> Status {
    Status::permission_denied(why)
}

fn allow_grains(
    grant: &Grant,
    right: Right,
    grains: &[GrainId],
    what: &'static str,
) -> Result<(), Status> {
    let in_scope = grains.iter().all(|grain| grant.includes(grain));
    allow(grant, right, in_scope, what)
}

fn allow_filter(grant: &Grant, filter: &Filter, what: &'static str) -> Result<(), Status> {
    allow(grant, Right::Read, grant.covers(filter), what)
}

fn the_grain(wire: Option<proto::Grains>) -> Result<GrainId, Status> {
    decode_grain(wire)
        .map_err(malformed)?
        .ok_or_else(|| malformed(Malformed("no grain")))
}

fn size(wire: u64) -> usize {
    usize::try_from(wire).unwrap_or(usize::MAX)
}

impl Service {
    pub(super) fn feed(&self) -> Result<&dyn ChangeFeed, Status> {
        self.log.feed().ok_or_else(|| {
            status_of_error(&Error::permanent(BACKEND, "the leader's log has no feed"))
        })
    }

    /// What one answer may hold of what was asked for.
    fn budget(&self, entries: u64, bytes: u64) -> Budget {
        Budget::new(
            size(entries).min(MOST_ENTRIES),
            size(bytes).min(self.settings.answer()),
        )
    }
}

#[async_trait::async_trait]
impl proto::leader_server::Leader for Service {
    async fn describe(
        &self,
        request: Request<proto::DescribeRequest>,
    ) -> Answer<proto::Description> {
        // Whatever a token is for, its holder has to know the log: to be admitted is enough.
        grant(&request)?;
        let identity = self.log.identity().await.map_err(|e| status_of_error(&e))?;
        let limits = self.settings.limits(&self.log.limits());
        Ok(Response::new(proto::Description {
            identity: Some(encode_identity(&identity)),
            max_payload: number(limits.max_payload()),
            max_batch_entries: number(limits.max_batch_entries()),
            max_batch_bytes: number(limits.max_batch_bytes()),
            confirms: self.log.confirms(),
            has_feed: self.log.feed().is_some(),
            max_message: number(self.settings.max_message),
        }))
    }

    async fn append(&self, request: Request<proto::AppendRequest>) -> Answer<proto::AppendAnswer> {
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let mut known = Known::default();
        let grains = decode_grains(&mut known, wire.grains).map_err(malformed)?;
        allow_grains(&grant, Right::Append, &grains, "append")?;
        if wire.counts.contains(&0) {
            return Err(malformed(Malformed("a grain without entries")));
        }
        let mut once = HashSet::with_capacity(grains.len());
        if !grains.iter().all(|grain| once.insert(grain)) {
            return Err(malformed(Malformed("a grain that is named twice")));
        }
        let groups =
            decode_entries(&mut known, wire.entries, &grains, &wire.counts).map_err(malformed)?;
        let mut entries = Vec::new();
        for group in groups {
            entries.extend(group.map_err(malformed)?);
        }
        let answers = self
            .log
            .append_batch(&entries)
            .await
            .map_err(|error| status_of_error(&error))?;
        let mut answer = proto::AppendAnswer::default();
        let mut heads = proto::Heads::default();
        for appended in answers {
            answer
                .landed
                .push(u32::try_from(appended.landed).unwrap_or(u32::MAX));
            answer.refused.push(appended.result.is_err());
            match appended.result {
                Ok(head) => push_head(&mut heads, &head),
                Err(error) => answer.errors.push(encode_error(&error)),
            }
        }
        answer.heads = Some(heads);
        Ok(Response::new(answer))
    }

    async fn claim(&self, request: Request<proto::ClaimRequest>) -> Answer<proto::ClaimAnswer> {
        use proto::claim_answer::Outcome;
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let grains = decode_grains(&mut Known::default(), wire.grains).map_err(malformed)?;
        allow_grains(&grant, Right::Claim, &grains, "claim")?;
        if wire.epochs.len() != grains.len() || wire.writers.len() != grains.len() {
            return Err(malformed(Malformed("claims' columns differ in length")));
        }
        let claims: Vec<Claim> = grains
            .into_iter()
            .zip(wire.epochs.into_iter().zip(wire.writers))
            .map(|(grain, (epoch, writer))| Claim {
                grain,
                epoch: Epoch::new(epoch),
                writer: Writer::new(writer),
            })
            .collect();
        let results = self
            .log
            .claim(&claims)
            .await
            .map_err(|error| status_of_error(&error))?;
        let mut answer = proto::ClaimAnswer::default();
        let mut heads = proto::Heads::default();
        for result in results {
            let outcome = match result {
                Ok(None) => Outcome::Empty,
                Ok(Some(head)) => {
                    push_head(&mut heads, &head);
                    Outcome::Head
                }
                Err(error) => {
                    answer.errors.push(encode_error(&error));
                    Outcome::Refused
                }
            };
            answer.outcomes.push(outcome.into());
        }
        answer.heads = Some(heads);
        Ok(Response::new(answer))
    }

    async fn heads(&self, request: Request<proto::HeadsRequest>) -> Answer<proto::HeadsAnswer> {
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let grains = decode_grains(&mut Known::default(), wire.grains).map_err(malformed)?;
        allow_grains(&grant, Right::Read, &grains, "heads")?;
        let found = self
            .log
            .heads(&grains)
            .await
            .map_err(|error| status_of_error(&error))?;
        let mut heads = proto::Heads::default();
        for head in found.iter().flatten() {
            push_head(&mut heads, head);
        }
        Ok(Response::new(proto::HeadsAnswer {
            found: found.iter().map(Option::is_some).collect(),
            heads: Some(heads),
        }))
    }

    async fn list_heads(
        &self,
        request: Request<proto::ListHeadsRequest>,
    ) -> Answer<proto::ListHeadsAnswer> {
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let filter = decode_filter(wire.filter).map_err(malformed)?;
        allow_filter(&grant, &filter, "list_heads")?;
        let after = decode_grain(wire.after).map_err(malformed)?;
        let limit = size(wire.limit).min(MOST_HEADS);
        let (page, next) = self.list(&grant, &filter, after, limit).await?;
        let mut heads = proto::Heads::default();
        for (_, head) in &page.heads {
            push_head(&mut heads, head);
        }
        let grains = page.heads.iter().map(|(grain, _)| grain);
        Ok(Response::new(proto::ListHeadsAnswer {
            identity: Some(encode_identity(&page.identity)),
            grains: Some(encode_grains(&mut Tables::default(), grains)),
            heads: Some(heads),
            next: next.as_ref().map(encode_grain),
        }))
    }

    async fn read_from(
        &self,
        request: Request<proto::ReadFromRequest>,
    ) -> Answer<proto::ReadFromAnswer> {
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let grain = the_grain(wire.grain)?;
        allow_grains(
            &grant,
            Right::Read,
            std::slice::from_ref(&grain),
            "read_from",
        )?;
        let budget = self.budget(wire.max_entries, wire.max_bytes);
        let page = self
            .log
            .read_from(&grain, cursor(wire.after), budget)
            .await
            .map_err(|error| status_of_error(&error))?;
        let (mut tables, mut column, mut more) = (Tables::default(), Column::default(), page.more);
        for entry in &page.entries {
            if let Err(error) = self.fits(entry) {
                if column.len() == 0 {
                    return Err(status_of_error(&error));
                }
                more = true;
                break;
            }
            column.push(&mut tables, entry);
        }
        Ok(Response::new(proto::ReadFromAnswer {
            entries: Some(column.finish()),
            more,
        }))
    }

    async fn catch_up(
        &self,
        request: Request<proto::CatchUpRequest>,
    ) -> Answer<proto::CatchUpAnswer> {
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let grains = decode_grains(&mut Known::default(), wire.grains).map_err(malformed)?;
        allow_grains(&grant, Right::Read, &grains, "catch_up")?;
        if wire.epochs.len() != grains.len() || wire.sequences.len() != grains.len() {
            return Err(malformed(Malformed("cursors' columns differ in length")));
        }
        let budget = self.budget(wire.max_entries, wire.max_bytes);
        let cursors = wire.epochs.into_iter().zip(wire.sequences);
        let wants: Vec<(GrainId, Cursor)> = grains
            .into_iter()
            .zip(cursors.map(|(epoch, sequence)| Cursor::new(epoch, sequence)))
            .collect();
        let caught = self
            .log
            .catch_up(&wants, budget)
            .await
            .map_err(|error| status_of_error(&error))?;
        Ok(Response::new(self.caught(&caught)))
    }

    async fn truncate(
        &self,
        request: Request<proto::TruncateRequest>,
    ) -> Answer<proto::TruncateAnswer> {
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let grain = the_grain(wire.grain)?;
        allow_grains(
            &grant,
            Right::Truncate,
            std::slice::from_ref(&grain),
            "truncate",
        )?;
        let truncation = self
            .log
            .truncate(&grain, cursor(wire.before))
            .await
            .map_err(|error| status_of_error(&error))?;
        Ok(Response::new(proto::TruncateAnswer {
            removed: truncation.removed,
            floor: Some(encode_cursor(truncation.floor)),
        }))
    }

    async fn start(&self, request: Request<proto::StartRequest>) -> Answer<proto::StartAnswer> {
        let grant = grant(&request)?;
        let filter = decode_filter(request.into_inner().filter).map_err(malformed)?;
        allow_filter(&grant, &filter, "start")?;
        let position = self
            .feed()?
            .start(&filter)
            .await
            .map_err(|error| status_of_error(&error))?;
        Ok(Response::new(proto::StartAnswer {
            position: Some(encode_position(&position)),
        }))
    }

    async fn changes(
        &self,
        request: Request<proto::ChangesRequest>,
    ) -> Answer<proto::ChangesAnswer> {
        let grant = grant(&request)?;
        let wire = request.into_inner();
        let filter = decode_filter(wire.filter).map_err(malformed)?;
        allow_filter(&grant, &filter, "changes")?;
        let since = decode_position(wire.since, &filter).map_err(malformed)?;
        let limit = size(wire.limit).min(MOST_HEADS);
        let page = self
            .feed()?
            .changes(&since, &filter, limit)
            .await
            .map_err(|error| status_of_error(&error))?;
        let moved = || page.moved.iter().filter(|it| grant.includes(&it.grain));
        let mut heads = proto::Heads::default();
        for moved in moved() {
            push_head(&mut heads, &moved.head);
        }
        let grains = moved().map(|moved| &moved.grain);
        Ok(Response::new(proto::ChangesAnswer {
            grains: Some(encode_grains(&mut Tables::default(), grains)),
            heads: Some(heads),
            next: Some(encode_position(&page.next)),
            complete: page.complete,
            age: u64::try_from(page.age.as_nanos()).unwrap_or(u64::MAX),
        }))
    }

    type WatchStream = BoxStream<'static, Result<proto::WatchPage, Status>>;

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Answer<Self::WatchStream> {
        let grant = grant(&request)?;
        let room = request
            .extensions()
            .get::<Arc<OwnedSemaphorePermit>>()
            .cloned();
        let wire = request.into_inner();
        let filter = decode_filter(wire.filter).map_err(malformed)?;
        allow_filter(&grant, &filter, "watch")?;
        self.feed()?;
        let since = decode_position(wire.since, &filter).map_err(malformed)?;
        let watcher = Watcher::new(self.clone(), grant, filter, since, size(wire.max_payload));
        // Its place on the connection is free again when the stream is dropped.
        let pages = watcher.into_stream().inspect(move |_| {
            let _held = &room;
        });
        Ok(Response::new(pages.boxed()))
    }
}
