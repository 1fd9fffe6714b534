//! [`GrpcLog`]: the log of a leader.

use std::sync::Arc;

use async_trait::async_trait;
use gleaner_core::{
    Appended, Budget, CatchUp, ChangeFeed, Claim, Cursor, Entry, Error, Filter, GrainId, Head,
    HeadPage, Identity, Limits, Page, ReplicationLog, Result, Truncation,
};

use crate::BACKEND;
use crate::append;
use crate::config::{GrpcLogConfig, Target};
use crate::error::Lost;
use crate::link::Link;
use crate::proto;
use crate::read;
use crate::subscription::Subscriptions;
use crate::wire::{cursor, decode_identity, encode_cursor, encode_grain};

/// The most grains in one request, with the longest of names some 4 MiB. More are asked for in several.
const MOST_GRAINS: usize = 4_096;

/// The log that a leader serves, over one connection that is made when it is needed.
///
/// # Contract
/// Every promise of the log at the leader holds here, as long as the leader keeps to the protocol. What a
/// leader sends that does not hold together is an error of the call, and changes nothing: an entry must
/// be what its digest says, of the grain that was asked for, in the order that a run has.
///
/// An answer that was lost is `Transient` for what only reads and `Unknown` for the rest; a request that
/// was not sent is `Transient`. A token that is refused, or does not allow the call, is `Permanent`.
///
/// Until a leader is reached for the first time, [`limits`](ReplicationLog::limits) are core's, the log is
/// taken to confirm (nothing is answered that could), and to have a feed.
///
/// # Concurrency
/// A clone is the same log. Calls go side by side over one connection. Each filter that is waited for or
/// listened to has one stream from the leader, read by a task of its own that ends with the last handle;
/// see [`ChangeFeed`].
#[derive(Clone)]
pub struct GrpcLog {
    pub(crate) link: Arc<Link>,
    pub(crate) subscriptions: Arc<Subscriptions>,
}

impl std::fmt::Debug for GrpcLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcLog")
            .field("url", &self.link.config().url)
            .finish_non_exhaustive()
    }
}

impl GrpcLog {
    /// The log of the leader at `grpcs://HOST:PORT`, or `grpc://HOST:PORT` if it is meant to be insecure.
    pub fn builder(url: impl Into<String>) -> GrpcLogConfig {
        GrpcLogConfig::new(url)
    }

    pub(crate) fn new(config: GrpcLogConfig, target: Target) -> Self {
        let link = Arc::new(Link::new(config, target));
        Self {
            subscriptions: Arc::new(Subscriptions::new(link.clone())),
            link,
        }
    }

    /// Connects, if that is not done yet: to learn at once whether the leader is there and admits the token.
    ///
    /// # Errors
    /// As of any call.
    ///
    /// # Cancel safety
    /// A dropped dial is given up.
    ///
    /// # Cost
    /// A dial and one round trip, or none.
    pub async fn connect(&self) -> Result<()> {
        self.link.live().await.map(drop)
    }
}

#[async_trait]
impl ReplicationLog for GrpcLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        append::append_batch(&self.link, entries).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        let mut answers = Vec::with_capacity(claims.len());
        for claims in claims.chunks(MOST_GRAINS) {
            let answered = append::claim(&self.link, claims).await;
            let part = match answered {
                Ok(part) => part,
                Err(error) if answers.is_empty() => return Err(error),
                // An earlier part was made. A refusal would be the same again: it is each grain's own.
                Err(error) if !error.is_retryable() => {
                    let own = |claim: &Claim| Err(error.clone().of(&claim.grain));
                    claims.iter().map(own).collect()
                }
                Err(error) => return Err(Error::unknown(BACKEND, error.to_string())),
            };
            answers.extend(part);
        }
        Ok(answers)
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let mut heads = Vec::with_capacity(grains.len());
        for grains in grains.chunks(MOST_GRAINS) {
            heads.extend(read::heads(&self.link, grains).await?);
        }
        Ok(heads)
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        read::list_heads(&self.link, filter, after, limit).await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        read::read_from(&self.link, grain, after, budget).await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let request = proto::TruncateRequest {
            grain: Some(encode_grain(grain)),
            before: Some(encode_cursor(before)),
        };
        let answer = self
            .link
            .call(
                Lost::Unknown,
                Some(grain),
                request,
                |mut client, request| async move { client.truncate(request).await },
            )
            .await?;
        Ok(Truncation {
            removed: answer.removed,
            floor: cursor(answer.floor),
        })
    }

    fn limits(&self) -> Limits {
        let described = self.link.described();
        described.map_or_else(Limits::default, |described| described.limits)
    }

    async fn identity(&self) -> Result<Identity> {
        let answer = self
            .link
            .call(
                Lost::Nothing,
                None,
                proto::DescribeRequest {},
                |mut client, request| async move { client.describe(request).await },
            )
            .await?;
        decode_identity(answer.identity).map_err(|malformed| Lost::Nothing.malformed(malformed))
    }

    fn confirms(&self) -> bool {
        self.link.described().is_none_or(|it| it.confirms)
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        read::catch_up(&self.link, wants, budget).await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        let has_feed = self.link.described().is_none_or(|it| it.has_feed);
        has_feed.then_some(self)
    }
}
