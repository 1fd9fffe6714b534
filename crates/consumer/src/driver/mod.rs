//! The driver: performs what actors and feed readers decide.
//!
//! The lead owns the readers of feeds and takes what handles ask; shards own the actors ([`shard`]). A
//! grain belongs to the shard that owns its stripe of the directory, so all that concerns it happens one
//! thing after the other. One `changes` call serves all shards: the lead deals out the page's names, and
//! publishes the page's T0 once every shard has told them to its actors (C3, C5).
//!
//! A feed that the log sends entries to unasked has a listener beside its reader ([`pushes`]).
//!
//! One shard runs within the lead's task, several in a task each. The lead waits for no shard but in an
//! operation of its own, and shards wait for the lead never, so neither holds the other up.

mod answers;
mod asking;
mod deal;
mod feeds;
mod grains;
mod lines;
mod message;
mod ops;
mod pump;
mod pushes;
mod rebind;
mod shard;
mod slots;
mod sweep;
mod timers;
mod waiters;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use gleaner_actor::{Event, Reply};
use gleaner_core::{Filter, GrainId, ReplicaStore, ReplicationLog};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use self::feeds::Feed;
use self::message::{Message, Told};
use self::ops::LeadDone;
use self::shard::{Shard, Tools};
use self::waiters::Waiters;
use crate::control::ControlError;
use crate::follower::{CaughtUp, FollowError};
use crate::settings::{Interval, Settings};
use crate::shared::Shared;

pub(crate) type Replies = Vec<oneshot::Receiver<Result<Reply, ControlError>>>;

/// What handles ask of the driver. A reply whose asker is gone is dropped.
#[derive(Debug)]
pub(crate) enum Command {
    Follow {
        grain: GrainId,
        interval: Interval,
        reply: oneshot::Sender<()>,
    },
    FollowAll {
        filter: Filter,
        reply: oneshot::Sender<()>,
    },
    Unfollow {
        grain: GrainId,
        reply: oneshot::Sender<()>,
    },
    PollNow {
        reply: oneshot::Sender<()>,
    },
    Ready {
        reply: oneshot::Sender<()>,
    },
    CaughtUp {
        reply: oneshot::Sender<Result<CaughtUp, FollowError>>,
    },
    RebaseForeign {
        reply: oneshot::Sender<Result<Replies, FollowError>>,
    },
    Tell {
        grain: GrainId,
        event: Event,
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
    /// Tell, and answer once nothing is in flight for the grain.
    Quiet {
        grain: GrainId,
        event: Event,
        reply: oneshot::Sender<Result<(), ControlError>>,
    },
    /// Tell, and answer with what the actor replies.
    Decide {
        grain: GrainId,
        event: Event,
        reply: oneshot::Sender<Result<Reply, ControlError>>,
    },
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// How many commands and answers are taken in before others have their turn.
const GATHER: usize = 64;

/// Takes what handles ask, and reads feeds for the shards.
pub(crate) struct Lead {
    tools: Tools,
    inbox: mpsc::Receiver<Command>,
    shards: Vec<mpsc::UnboundedSender<Message>>,
    feeds: Vec<Feed>,
    ops: FuturesUnordered<BoxFuture<'static, LeadDone>>,
    waiters: Waiters,
    closing: Vec<oneshot::Sender<()>>,
}

/// A follower's driver, before it runs.
pub(crate) struct Driver {
    lead: Lead,
    shards: Vec<Shard>,
}

impl Driver {
    pub(crate) fn new(
        log: Arc<dyn ReplicationLog>,
        store: Arc<dyn ReplicaStore>,
        settings: Settings,
        shared: Arc<Shared>,
        inbox: mpsc::Receiver<Command>,
    ) -> Self {
        let count = settings.shards();
        let tools = Tools {
            log,
            store,
            policy: Arc::new(settings.policy.clone()),
            settings,
            shared,
        };
        let (senders, shards) = (0..count)
            .map(|number| {
                let (sender, inbox) = mpsc::unbounded_channel();
                (sender, Shard::new(tools.clone(), count, number, inbox))
            })
            .unzip();
        let lead = Lead {
            tools,
            inbox,
            shards: senders,
            feeds: Vec::new(),
            ops: FuturesUnordered::new(),
            waiters: Waiters::default(),
            closing: Vec::new(),
        };
        Self { lead, shards }
    }

    /// Follows a grain before anything else runs.
    pub(crate) fn follow(&mut self, grain: &GrainId) {
        let feed = self.lead.feed_for(grain);
        if let Some(shard) = self.shards.first_mut() {
            shard.register(grain, message::Met { feed, listed: None }, 0);
        }
    }

    /// Runs until every handle is dropped, or a shutdown has drained.
    pub(crate) async fn run(self) {
        let Self { mut lead, shards } = self;
        let shared = lead.tools.shared.clone();
        let mut tasks = JoinSet::new();
        let mut alone = None;
        if shards.len() > 1 {
            for shard in shards {
                tasks.spawn(shard.run());
            }
        } else {
            alone = shards.into_iter().next().map(Shard::run);
        }
        let leading = async {
            lead.run().await;
            // The shards' inboxes close, which ends those that still run.
            lead.shards.clear();
            lead.closing
        };
        let alone = async {
            if let Some(shard) = alone {
                shard.await;
            }
        };
        let (closing, ()) = tokio::join!(leading, alone);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a shard of the follower's driver panicked");
            }
        }
        shared.close();
        for reply in closing {
            let _ = reply.send(());
        }
    }
}

impl Lead {
    async fn run(&mut self) {
        loop {
            // A log that always answers at once would never let another task have its turn.
            tokio::task::coop::consume_budget().await;
            self.answer_waiters();
            let shared = self.tools.shared.clone();
            let goes_on = tokio::select! {
                biased;
                command = self.inbox.recv() => match command {
                    Some(command) => {
                        self.command(command);
                        true
                    }
                    None => false,
                },
                Some(done) = self.ops.next(), if !self.ops.is_empty() => self.complete(done),
                () = shared.progressed() => true,
            };
            if !(goes_on && self.gather()) {
                return;
            }
        }
    }

    /// Takes in what has happened already. Whether to go on.
    fn gather(&mut self) -> bool {
        for _ in 0..GATHER {
            // One of each in turn: handles that never stop asking must not starve what was begun.
            let command = self.inbox.try_recv().ok();
            let done = self.ops.next().now_or_never().flatten();
            if command.is_none() && done.is_none() {
                return true;
            }
            if let Some(done) = done
                && !self.complete(done)
            {
                return false;
            }
            if let Some(command) = command {
                self.command(command);
            }
        }
        true
    }

    /// Whether to go on.
    fn complete(&mut self, done: LeadDone) -> bool {
        match done {
            LeadDone::Feed {
                feed,
                serial,
                t0,
                outcome,
            } => self.feed_done(feed, serial, t0, outcome),
            LeadDone::Pushed {
                feed,
                serial,
                pushed,
            } => self.pushed(feed, serial, pushed),
            LeadDone::Taken {
                feed,
                serial,
                heard,
            } => self.taken(feed, serial, heard),
            LeadDone::Rebound { result, reply } => self.rebound(result, reply),
            LeadDone::CaughtUp { reply, found } => {
                self.waiters.handed = self.waiters.handed.saturating_sub(1);
                let _ = reply.send(found.ok_or(FollowError::Ended));
            }
            LeadDone::Nothing => {}
            LeadDone::ShardGone => return false,
        }
        true
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Follow {
                grain,
                interval,
                reply,
            } => {
                let feed = self.feed_for(&grain);
                let shard = self.shard_of(&grain);
                self.send(
                    shard,
                    Message::Follow {
                        grain,
                        feed,
                        interval,
                        reply,
                    },
                );
            }
            Command::FollowAll { filter, reply } => self.follow_all(filter, reply),
            Command::Unfollow { grain, reply } => {
                let shard = self.shard_of(&grain);
                self.send(shard, Message::Unfollow { grain, reply });
            }
            Command::PollNow { reply } => self.poll_all_now(Some(reply)),
            Command::Ready { reply } => self.waiters.ready(reply),
            Command::CaughtUp { reply } => {
                if self.tools.log.confirms() {
                    let since = self.tools.shared.after_all_sent();
                    self.waiters.caught_up(since, reply);
                    self.poll_all_now(None);
                } else {
                    let _ = reply.send(Err(FollowError::NotConfirming));
                }
            }
            Command::RebaseForeign { reply } => self.rebind(reply),
            Command::Tell {
                grain,
                event,
                reply,
            } => self.tell(grain, event, Told::Heard(reply)),
            Command::Quiet {
                grain,
                event,
                reply,
            } => self.tell(grain, event, Told::Quiet(reply)),
            Command::Decide {
                grain,
                event,
                reply,
            } => self.tell(grain, event, Told::Decided(reply)),
            Command::Shutdown { reply } => {
                let first = self.closing.is_empty();
                self.closing.push(reply);
                for feed in &mut self.feeds {
                    feed.end();
                }
                if first {
                    self.shut_down();
                }
            }
        }
    }

    fn tell(&self, grain: GrainId, event: Event, reply: Told) {
        let shard = self.shard_of(&grain);
        self.send(
            shard,
            Message::Tell {
                grain,
                event,
                reply,
            },
        );
    }

    /// Ends the shards; the lead goes on until they have.
    fn shut_down(&mut self) {
        let shards: Vec<_> = self.shards.clone();
        for shard in &shards {
            let _ = shard.send(Message::Shutdown);
        }
        self.ops.push(Box::pin(async move {
            for shard in shards {
                shard.closed().await;
            }
            LeadDone::ShardGone
        }));
    }

    /// The shard that owns a grain.
    fn shard_of(&self, grain: &GrainId) -> usize {
        let stripe = self.tools.shared.directory.stripe_of(grain);
        stripe % self.shards.len().max(1)
    }

    /// A shard that is gone answers nothing: whoever waits for its answer sees that.
    fn send(&self, shard: usize, message: Message) {
        if let Some(shard) = self.shards.get(shard) {
            let _ = shard.send(message);
        }
    }
}
