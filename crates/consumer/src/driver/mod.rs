//! The driver: performs what actors and feed readers decide.
//!
//! One task owns all actors in a dense slab, one timer queue, and the operations in flight. It gathers
//! the actors that want the same thing into one call: due polls into one `catch_up`, runs into one
//! `apply`, loads into one `cursor`. It decides nothing about progress: every `if` of that kind is in
//! `gleaner-actor`. Dropping it drops the operations in flight, which every contract allows.
//!
//! Since one task does all of this, an actor's events come one after the other, and a feed page's
//! names reach every actor before that page's T0 is published (C3, C5).

mod answers;
mod feeds;
mod grains;
mod lines;
mod ops;
mod pump;
mod reach;
mod slots;
mod timers;
mod waiters;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use gleaner_actor::{Event, GrainActor, Moment, Policy, Reply};
use gleaner_core::{Filter, GrainId, LogId, ReplicaStore, ReplicationLog};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::feeds::Feed;
use self::grains::Queues;
use self::ops::Done;
use self::reach::Reach;
use self::slots::Slots;
use self::timers::Timers;
use self::waiters::Waiters;
use crate::clock::Reading;
use crate::control::ControlError;
use crate::follower::{CaughtUp, FollowError};
use crate::settings::{LONGEST_WAIT, Settings};
use crate::shared::Shared;

pub(crate) type Replies = Vec<oneshot::Receiver<Result<Reply, ControlError>>>;

/// What handles ask of the driver. A reply whose asker is gone is dropped.
#[derive(Debug)]
pub(crate) enum Command {
    Follow {
        grain: GrainId,
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

/// How many events are taken in before their consequences are gathered into calls. Large enough to
/// fill a call, small enough to send the first one soon.
const GATHER: usize = 1024;

pub(crate) struct Driver {
    log: Arc<dyn ReplicationLog>,
    store: Arc<dyn ReplicaStore>,
    settings: Settings,
    policy: Arc<Policy>,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Command>,
    start: Instant,
    slots: Slots,
    timers: Timers,
    feeds: Vec<Feed>,
    queues: Queues,
    ops: FuturesUnordered<BoxFuture<'static, Done>>,
    /// The log that the store is bound to, once known.
    bound: Option<LogId>,
    /// Unfollowed by name: a filter does not bring them back.
    excluded: HashSet<GrainId>,
    /// Unfollowed while a change might still land: what their next actors must know.
    doubtful: HashMap<GrainId, GrainActor>,
    waiters: Waiters,
    reach: Reach,
    closing: Vec<oneshot::Sender<()>>,
    /// The latest T0 of a request.
    last_t0: Option<Moment>,
}

impl Driver {
    pub(crate) fn new(
        log: Arc<dyn ReplicationLog>,
        store: Arc<dyn ReplicaStore>,
        settings: Settings,
        shared: Arc<Shared>,
        inbox: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            log,
            store,
            policy: Arc::new(settings.policy.clone()),
            settings,
            shared,
            inbox,
            start: Instant::now(),
            slots: Slots::default(),
            timers: Timers::default(),
            feeds: Vec::new(),
            queues: Queues::default(),
            ops: FuturesUnordered::new(),
            bound: None,
            excluded: HashSet::new(),
            doubtful: HashMap::new(),
            waiters: Waiters::default(),
            reach: Reach::default(),
            closing: Vec::new(),
            last_t0: None,
        }
    }

    /// Runs until every handle is dropped, or a shutdown has drained.
    pub(crate) async fn run(mut self) {
        // One timer for all waits, set again only when the first deadline changes: to build one anew in
        // every turn of the loop costs more than all the rest of it.
        let mut alarm = pin!(tokio::time::sleep(LONGEST_WAIT));
        // What it is set for; none once it has rung, and then it is set again whatever is due: a timer
        // that has rung goes on ringing.
        let mut set_for: Option<Option<Moment>> = None;
        loop {
            // A log and a store that always answer at once would never let another task have its turn.
            tokio::task::coop::consume_budget().await;
            self.fire_timers();
            self.pump();
            self.answer_waiters();
            if !self.closing.is_empty() && self.slots.is_empty() {
                break;
            }
            let due = self.timers.next();
            if set_for != Some(due) {
                let wait = due.map_or(LONGEST_WAIT, |due| due.since(self.now()).min(LONGEST_WAIT));
                alarm.as_mut().reset(Instant::now() + wait);
                set_for = Some(due);
            }
            tokio::select! {
                biased;
                command = self.inbox.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                Some(done) = self.ops.next(), if !self.ops.is_empty() => self.complete(done),
                () = &mut alarm => set_for = None,
            }
            self.gather();
        }
        for slot in self.slots.all() {
            if let Some(slot) = self.slots.get(slot) {
                slot.cell.keep();
                slot.cell.set(slot.actor.health(), true);
            }
        }
        self.shared.close();
        for reply in self.closing {
            let _ = reply.send(());
        }
    }

    /// Takes in what has happened already, so that its consequences share calls.
    fn gather(&mut self) {
        for _ in 0..GATHER {
            // One of each in turn: handles that never stop asking must not starve what was begun.
            let command = self.inbox.try_recv().ok();
            let done = self.ops.next().now_or_never().flatten();
            if command.is_none() && done.is_none() {
                return;
            }
            if let Some(done) = done {
                self.complete(done);
            }
            if let Some(command) = command {
                self.command(command);
            }
        }
    }

    /// Just before a request is sent: its T0 (C1).
    fn t0(&mut self) -> Reading {
        let t0 = self.shared.clock.read();
        self.last_t0 = self.last_t0.max(Some(t0.monotonic));
        t0
    }

    /// A moment that the T0 of no request sent so far has reached, though the clock may not have moved
    /// since.
    fn after_all_sent(&self) -> Moment {
        let now = self.shared.clock.read().monotonic;
        match self.last_t0 {
            Some(last) if last >= now => last.plus(Duration::from_nanos(1)),
            _ => now,
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    fn fire_timers(&mut self) {
        let now = self.now();
        while let Some((slot, set)) = self.timers.pop_due(now) {
            if self.slots.get(slot).is_some_and(|slot| slot.timer == set) {
                self.tell(slot, &Event::Timer);
            }
        }
    }

    fn complete(&mut self, done: Done) {
        match done {
            Done::Loaded { slots, result } => self.loaded(slots, result),
            Done::CaughtUp { slots, t0, result } => self.caught_up(slots, t0, result),
            Done::Reread { slot, t0, result } => self.reread(slot, t0, result),
            Done::Applied { runs, result } => self.applied(runs, result),
            Done::Rebased { run, result } => self.rebased(&run, result),
            Done::Feed {
                feed,
                serial,
                t0,
                outcome,
            } => self.feed_done(feed, serial, t0, outcome),
            Done::Rebound { result, reply } => self.rebound(result, reply),
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Follow { grain, reply } => {
                self.excluded.remove(&grain);
                self.follow(grain);
                let _ = reply.send(());
            }
            Command::FollowAll { filter, reply } => self.follow_all(filter, reply),
            Command::Unfollow { grain, reply } => self.unfollow(grain, reply),
            Command::PollNow { reply } => {
                self.poll_all_now();
                let _ = reply.send(());
            }
            Command::Ready { reply } => self.waiters.ready(reply),
            Command::CaughtUp { reply } => {
                if self.log.confirms() {
                    let since = self.after_all_sent();
                    self.waiters.caught_up(since, reply);
                    self.poll_all_now();
                } else {
                    let _ = reply.send(Err(FollowError::NotConfirming));
                }
            }
            Command::RebaseForeign { reply } => self.rebind(reply),
            Command::Tell {
                grain,
                event,
                reply,
            } => {
                let told = self.find(&grain).map(|slot| {
                    self.tell(slot, &event);
                });
                let _ = reply.send(told);
            }
            Command::Quiet {
                grain,
                event,
                reply,
            } => match self.find(&grain) {
                Ok(slot) => {
                    self.tell(slot, &event);
                    self.when_quiet(slot, reply);
                }
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Command::Decide {
                grain,
                event,
                reply,
            } => match self.find(&grain) {
                Ok(slot) => self.decide(slot, &event, reply),
                Err(error) => {
                    let _ = reply.send(Err(error));
                }
            },
            Command::Shutdown { reply } => {
                self.closing.push(reply);
                for feed in &mut self.feeds {
                    feed.end();
                }
                for number in self.slots.all() {
                    if let Some(slot) = self.slots.get(number) {
                        slot.cell.keep();
                    }
                    self.tell(number, &Event::Stop);
                }
            }
        }
    }

    fn find(&self, grain: &GrainId) -> Result<u32, ControlError> {
        self.shared
            .find(grain)
            .map(|followed| followed.slot)
            .ok_or(ControlError::NotFollowed)
    }
}
