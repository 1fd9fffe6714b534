//! [`ChangeFeed`]: which grains have moved, for one query; and clauses F1 to F5.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Entry, Error, Filter, GrainId, Head, Identity, Result};

/// A place in a change feed: a number per feed shard, bound to the log's identity and to a filter.
///
/// Opaque to consumers, who hand back what they were given and do not store it (F3). Backends make
/// and read it. Each number stands by itself and only grows as long as the identity stays: of two positions
/// of one identity, the one whose numbers are all at least the other's lies at or behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    identity: Identity,
    filter: Filter,
    counters: Box<[u64]>,
}

impl Position {
    /// For backends: a place, from one counter per feed shard.
    pub fn new(identity: Identity, filter: Filter, counters: impl Into<Box<[u64]>>) -> Self {
        Self {
            identity,
            filter,
            counters: counters.into(),
        }
    }

    /// For backends: the counters, if this position serves `identity` and `filter`.
    ///
    /// # Errors
    /// `Expired` if the position was taken from another log or history, or with a filter that does
    /// not cover this one (F3). The backend itself refuses one that lies beyond the end.
    pub fn counters(
        &self,
        identity: &Identity,
        filter: &Filter,
        backend: &'static str,
    ) -> Result<&[u64]> {
        if self.identity != *identity {
            return Err(Error::expired(
                backend,
                "the position is of another log or history",
            ));
        }
        if !self.filter.covers(filter) {
            return Err(Error::expired(
                backend,
                "the position was taken with a narrower filter",
            ));
        }
        Ok(&self.counters)
    }

    /// The log and history it was taken from.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The filter it was taken with: a `wait` is told no other.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }
}

/// A grain that has moved, and its head when the page was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Which.
    pub grain: GrainId,
    /// Its head; at least as new as at `next`.
    pub head: Head,
}

/// A page of a feed.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Grains of the filter that moved; may name one twice, or one that has not.
    pub moved: Vec<Moved>,
    /// Where the next page begins.
    pub next: Position,
    /// Whether nothing visible lay beyond `next` when the page was read. Only this means the end; an
    /// empty page does not.
    pub complete: bool,
    /// How old the answer says it is itself: zero from the log, more from a cache in front of it. A
    /// cache answers from no older state than the page that the position was taken from: a grain that
    /// has moved on in the feed since would be named by neither.
    pub age: Duration,
}

/// Entries that a log sends unasked (F5).
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The log that they were read from.
    pub identity: Identity,
    /// One a grain and sending; ascending, each Delta behind its predecessor, never empty. A receiver
    /// does not rely on that: what does not fit is not applied.
    pub runs: Vec<PushedRun>,
}

/// What was sent unasked about one grain.
#[derive(Debug, Clone)]
pub struct PushedRun {
    /// Whose.
    pub grain: GrainId,
    /// In ascending order.
    pub entries: Vec<Entry>,
}

/// Names the grains of a log that have moved since a position, and may send what moved them.
///
/// # Contract
/// - **F1** Every grain in the filter whose head moved after `since` and by `next` is in `moved`, with
///   a head at least that new. Extra or overtaken names are allowed, omissions are not, and no grain
///   outside the filter is named.
/// - **F2** What becomes visible after the page's snapshot lies after `next`, and `next` comes from
///   that same snapshot.
/// - **F3** A position of another identity, for a wider filter, or beyond the end is `Expired`.
///   Taking `start()`, then listing all heads in any pages, then `changes` from it, misses nothing.
/// - **F4** Each feed shard gets a share of `limit`.
/// - **F5** Wake-ups and pushed entries are hints: lost, doubled, late or out of order they cost only
///   lag. They never confirm an age and never quarantine; a pushed entry is applied only if it fits. It
///   is an entry of the log, as [`read_from`](crate::ReplicationLog::read_from) gives it, and of a grain
///   of the filter.
#[async_trait]
pub trait ChangeFeed: Send + Sync {
    /// The feed's end at this moment, for a filter.
    ///
    /// # Contract
    /// F2, F3.
    ///
    /// # Errors
    /// `Transient`, `Permanent`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip.
    async fn start(&self, filter: &Filter) -> Result<Position>;

    /// The grains of the filter that moved after `since`, at most about `limit` of them. A page that
    /// is not complete may hold fewer, even none: a backend passes over no more than some thousand
    /// others.
    ///
    /// # Contract
    /// F1 to F4. Sees every append that was acknowledged before the call, unless the log says that it
    /// does not confirm (L9).
    ///
    /// # Errors
    /// `Expired`, `Transient`, `Permanent`.
    ///
    /// # Cancel safety
    /// Reads only.
    ///
    /// # Cost
    /// One round trip, whatever the number of grains.
    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes>;

    /// Returns when something may have become visible after `since`, or after `at_most`. At once if
    /// something is already known to lie there, so that no wake-up falls between two calls.
    ///
    /// # Contract
    /// F5. Errors are not reported here: the next `changes` does.
    ///
    /// # Cancel safety
    /// Safe; nothing is lost by dropping it.
    ///
    /// # Cost
    /// None, or a subscription held open.
    async fn wait(&self, since: &Position, at_most: Duration);

    /// The next entries that the log sends unasked about grains of the filter: small ones, as soon as
    /// they are appended, so that a change needs no further round trip. A log that sends none never
    /// returns, which is what this does unless it is overridden.
    ///
    /// Nothing is owed: a log sends what is cheap to send. It holds back no more than a bounded amount
    /// for a caller who is slow to ask again, and drops the rest. What is appended while nobody asks need
    /// not be sent.
    ///
    /// # Contract
    /// F5. Errors are not reported here: the next `changes` does.
    ///
    /// # Cancel safety
    /// Safe. What was being handed over may be lost, which costs only lag.
    ///
    /// # Cost
    /// None, or a subscription held open.
    async fn pushed(&self, filter: &Filter) -> Pushed {
        let _ = filter;
        std::future::pending().await
    }
}
