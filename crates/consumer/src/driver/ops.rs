//! The operations: each a future that calls log or store, and what it brings back.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use gleaner_actor::Origin;
use gleaner_core::{
    Advance, Binding, Budget, CatchUp, Caught, Changes, Cursor, Entry, Error, ErrorKind, GrainId,
    Head, HeadPage, LogId, Mark, Outcome, Position, Pushed, ReplicaStore, ReplicationLog,
};
use tokio::sync::oneshot;

use super::Replies;
use super::asking::Asking;
use super::pushes::Heard;
use super::waiters::CaughtUpReply;
use crate::clock::Reading;
use crate::follower::{CaughtUp, FollowError};
use crate::reach::Asked;

/// An operation has ended.
pub(super) enum Done {
    Loaded {
        slots: Vec<u32>,
        result: Result<Loaded, (Asked, Error)>,
    },
    CaughtUp {
        slots: Vec<u32>,
        t0: Reading,
        result: Result<CatchUp, Error>,
    },
    Reread {
        slot: u32,
        t0: Reading,
        result: Result<Whole, Error>,
    },
    Applied {
        runs: Vec<RunInfo>,
        result: Result<Vec<Outcome>, Error>,
    },
    Rebased {
        run: RunInfo,
        result: Result<Outcome, Error>,
    },
    Swept {
        slots: Vec<u32>,
        result: Result<Vec<Result<Option<Head>, Error>>, Error>,
    },
}

/// An operation of the lead has ended.
pub(super) enum LeadDone {
    Feed {
        feed: usize,
        serial: u32,
        t0: Reading,
        outcome: FeedDone,
    },
    /// The log has sent entries unasked.
    Pushed {
        feed: usize,
        serial: u32,
        pushed: Pushed,
    },
    /// The shards have taken them.
    Taken {
        feed: usize,
        serial: u32,
        heard: Heard,
    },
    Rebound {
        result: Result<LogId, Error>,
        reply: RebindReply,
    },
    CaughtUp {
        reply: CaughtUpReply,
        found: Option<CaughtUp>,
    },
    Nothing,
    /// A shard has ended.
    ShardGone,
}

pub(super) type RebindReply = oneshot::Sender<Result<Replies, FollowError>>;

/// What a feed's operation brought.
pub(super) enum FeedDone {
    Started(Result<(LogId, Position), (Asked, Error)>),
    Listed(Result<HeadPage, Error>),
    Page(Result<Changes, Error>),
    /// The shards have been told what the page before said.
    Told(Telling),
    Woken,
}

/// What follows once the shards have been told.
pub(super) enum Telling {
    Started,
    Listed {
        next: Option<GrainId>,
    },
    Page {
        next: Position,
        complete: bool,
        age: Duration,
    },
}

/// A grain's base..head, or its history up to a cursor, in one piece.
pub(super) struct Whole {
    pub(super) log: LogId,
    pub(super) head: Option<Head>,
    pub(super) entries: Vec<Entry>,
}

/// What is remembered of a run while the store has it.
pub(super) struct RunInfo {
    pub(super) slot: u32,
    pub(super) before: Cursor,
    pub(super) origin: Origin,
    /// None of what came unasked: it confirms nothing.
    pub(super) t0: Option<Reading>,
}

/// To which log the store belongs, and where replicas stand; an error for one that it cannot read.
pub(super) type Loaded = (LogId, Vec<Result<Mark, Error>>);

/// A run that waits for the store.
pub(super) struct Pending {
    pub(super) info: RunInfo,
    pub(super) log: LogId,
    pub(super) advance: Advance,
}

type Op = BoxFuture<'static, Done>;

/// Asks for heads.
pub(super) fn heads(log: Arc<dyn ReplicationLog>, slots: Vec<u32>, grains: Vec<GrainId>) -> Op {
    Box::pin(async move {
        let mut asking = Asking::about(&grains);
        let result = loop {
            match log.heads(asking.asked()).await {
                Ok(heads) => break Ok(asking.answered(heads)),
                Err(error) => match asking.without(error) {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
            }
        };
        Done::Swept { slots, result }
    })
}

/// Binds the store if nobody has yet, then asks where replicas stand.
pub(super) fn load(
    log: Arc<dyn ReplicationLog>,
    store: Arc<dyn ReplicaStore>,
    bound: Option<LogId>,
    slots: Vec<u32>,
    grains: Vec<GrainId>,
) -> Op {
    Box::pin(async move {
        let result = async {
            let bound = bind(&*log, &*store, bound).await?;
            let mut asking = Asking::about(&grains);
            loop {
                match store.cursor(asking.asked()).await {
                    Ok(marks) => return Ok((bound, asking.answered(marks))),
                    Err(error) => asking
                        .without(error)
                        .map_err(|error| (Asked::Cursors, error))?,
                }
            }
        }
        .await;
        Done::Loaded { slots, result }
    })
}

/// The log that the store belongs to; the followed one if it belonged to none.
pub(super) async fn bind(
    log: &dyn ReplicationLog,
    store: &dyn ReplicaStore,
    known: Option<LogId>,
) -> Result<LogId, (Asked, Error)> {
    if let Some(known) = known {
        return Ok(known);
    }
    let followed = log
        .identity()
        .await
        .map_err(|error| (Asked::Binding, error))?
        .log;
    match store
        .bind(&followed, None)
        .await
        .map_err(|error| (Asked::Cursors, error))?
    {
        Binding::Bound => Ok(followed),
        Binding::Foreign { log } => Ok(log),
    }
}

/// Binds the store to the followed log in place of another.
pub(super) fn rebind(
    log: Arc<dyn ReplicationLog>,
    store: Arc<dyn ReplicaStore>,
    bound: Option<LogId>,
    reply: RebindReply,
) -> BoxFuture<'static, LeadDone> {
    Box::pin(async move {
        let result = async {
            let followed = log.identity().await?.log;
            let former = match bound {
                Some(bound) => bound,
                // Nothing was loaded yet: ask the store to which it belongs.
                None => match store.bind(&followed, None).await? {
                    Binding::Bound => return Ok(followed),
                    Binding::Foreign { log } => log,
                },
            };
            match store.bind(&followed, Some(&former)).await? {
                Binding::Bound => Ok(followed),
                Binding::Foreign { log } => Err(Error::transient(
                    "follower",
                    format!("the store was bound to {log} meanwhile"),
                )),
            }
        }
        .await;
        LeadDone::Rebound { result, reply }
    })
}

pub(super) fn catch_up(
    log: Arc<dyn ReplicationLog>,
    budget: Budget,
    t0: Reading,
    slots: Vec<u32>,
    wants: Vec<(GrainId, Cursor)>,
) -> Op {
    Box::pin(async move {
        let result = log.catch_up(&wants, budget).await;
        Done::CaughtUp { slots, t0, result }
    })
}

/// Base..head of one grain whole, in as many reads as the budget asks for. All of it is held at once:
/// it takes a replica's place as one step. What a log keeps behind a base bounds it.
pub(super) fn reread(
    log: Arc<dyn ReplicationLog>,
    budget: Budget,
    t0: Reading,
    slot: u32,
    grain: GrainId,
) -> Op {
    Box::pin(async move {
        let result = base_to_head(&*log, budget, &grain).await;
        Done::Reread { slot, t0, result }
    })
}

async fn base_to_head(
    log: &dyn ReplicationLog,
    budget: Budget,
    grain: &GrainId,
) -> Result<Whole, Error> {
    let mut cursor = Cursor::ZERO;
    let mut entries: Vec<Entry> = Vec::new();
    let mut from: Option<LogId> = None;
    loop {
        let answer = log.catch_up(&[(grain.clone(), cursor)], budget).await?;
        let log_id = answer.identity.log;
        if from.as_ref().is_some_and(|from| *from != log_id) {
            return Err(Error::transient("follower", "the log changed under the read").of(grain));
        }
        from = Some(log_id.clone());
        match answer.grains.into_iter().next() {
            Some(Caught::Run(run)) => {
                // A newer base makes what was gathered before it needless.
                if run
                    .entries
                    .first()
                    .is_some_and(|entry| entry.kind().is_base())
                {
                    entries.clear();
                }
                let moved = run.entries.last().map(Entry::cursor);
                entries.extend(run.entries);
                if run.complete {
                    return Ok(Whole {
                        log: log_id,
                        head: run.head,
                        entries,
                    });
                }
                let Some(moved) = moved else {
                    return Err(
                        Error::transient("follower", "an answer that leads nowhere").of(grain)
                    );
                };
                cursor = moved;
            }
            Some(Caught::Failed(error)) => return Err(error),
            // The only grain asked for is served or has nothing (L8).
            Some(Caught::Deferred) | None => {
                return Err(Error::transient("follower", "no answer for the grain").of(grain));
            }
        }
    }
}

/// A grain's history from the newest base at or below `to`, up to `to`.
pub(super) fn read_up_to(
    log: Arc<dyn ReplicationLog>,
    budget: Budget,
    t0: Reading,
    slot: u32,
    grain: GrainId,
    to: Cursor,
) -> Op {
    Box::pin(async move {
        let result = base_up_to(&*log, budget, &grain, to).await;
        Done::Reread { slot, t0, result }
    })
}

async fn base_up_to(
    log: &dyn ReplicationLog,
    budget: Budget,
    grain: &GrainId,
    to: Cursor,
) -> Result<Whole, Error> {
    let identity = log.identity().await?;
    let mut cursor = Cursor::ZERO;
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let page = match log.read_from(grain, cursor, budget).await {
            // Cut off behind the reader: begin again at what is left.
            Err(error)
                if matches!(error.kind(), ErrorKind::Truncated { .. })
                    && cursor != Cursor::ZERO =>
            {
                entries.clear();
                cursor = Cursor::ZERO;
                continue;
            }
            page => page?,
        };
        let last = page.entries.last().map(Entry::cursor);
        for entry in page.entries {
            if entry.cursor() > to {
                break;
            }
            if entry.kind().is_base() {
                entries.clear();
            }
            entries.push(entry);
        }
        match last {
            Some(last) if page.more && last < to => cursor = last,
            _ => break,
        }
    }
    if log.identity().await? != identity {
        return Err(Error::transient("follower", "the log changed under the read").of(grain));
    }
    Ok(Whole {
        log: identity.log,
        head: None,
        entries,
    })
}
