//! [`Shard`]: some of the actors, and what is in flight for them.
//!
//! A shard owns the actors of its stripes of the directory in dense storage, one timer wheel, and the
//! operations in flight for them. It gathers the actors that want the same thing into one call: due
//! polls into one `catch_up`, runs into one `apply`, loads into one `cursor`. It decides nothing about
//! progress: every `if` of that kind is in `gleaner-actor`. Dropping it drops the operations in flight,
//! which every contract allows.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use gleaner_actor::{Event, GrainActor, Moment, Policy};
use gleaner_core::{GrainId, ReplicaStore, ReplicationLog};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::grains::Queues;
use super::message::{Message, Met, Told};
use super::ops::Done;
use super::pushes::Heard;
use super::slots::Slots;
use super::sweep::Sweep;
use super::timers::Timers;
use super::waiters::CatchingUp;
use crate::control::ControlError;
use crate::settings::{LONGEST_WAIT, Settings};
use crate::shared::Shared;

/// How many events are taken in before their consequences are gathered into calls. Large enough to
/// fill a call, small enough to send the first one soon.
const GATHER: usize = 1024;

/// What lead and shards of one follower work with.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) log: Arc<dyn ReplicationLog>,
    pub(super) store: Arc<dyn ReplicaStore>,
    pub(super) settings: Settings,
    pub(super) policy: Arc<Policy>,
    pub(super) shared: Arc<Shared>,
}

impl Tools {
    pub(super) fn now(&self) -> Moment {
        self.shared.now()
    }
}

pub(super) struct Shard {
    pub(super) tools: Tools,
    pub(super) inbox: mpsc::UnboundedReceiver<Message>,
    pub(super) slots: Slots,
    pub(super) timers: Timers,
    pub(super) queues: Queues,
    pub(super) ops: FuturesUnordered<BoxFuture<'static, Done>>,
    /// By number; the first is the follower's own.
    pub(super) policies: Vec<Arc<Policy>>,
    /// Unfollowed by name: a filter does not bring them back.
    pub(super) excluded: HashSet<GrainId>,
    /// Unfollowed while a change might still land: what their next actors must know.
    pub(super) doubtful: HashMap<GrainId, GrainActor>,
    pub(super) catching_up: Vec<CatchingUp>,
    /// Names that are told, and are answered once there is room for more to load.
    pub(super) held: Vec<oneshot::Sender<()>>,
    /// Runs that came unasked and are held, and are answered once there is room for more.
    pub(super) full: Vec<(oneshot::Sender<Heard>, Heard)>,
    pub(super) sweep: Sweep,
    pub(super) closing: bool,
    turn: Moment,
    /// Its part of the reads in flight.
    pub(super) reads_at_once: usize,
}

impl Shard {
    /// The `number`th of `shards`.
    pub(super) fn new(
        tools: Tools,
        shards: u32,
        number: u32,
        inbox: mpsc::UnboundedReceiver<Message>,
    ) -> Self {
        let stripes = u32::try_from(tools.shared.directory.stripes()).unwrap_or(1);
        let reads_at_once = tools.settings.reads_of_shard(number);
        let turn = tools.now();
        Self {
            policies: vec![tools.policy.clone()],
            sweep: Sweep::new(tools.settings.sweep, turn),
            tools,
            inbox,
            slots: Slots::new(stripes, shards, number),
            timers: Timers::default(),
            queues: Queues::default(),
            ops: FuturesUnordered::new(),
            excluded: HashSet::new(),
            doubtful: HashMap::new(),
            catching_up: Vec::new(),
            held: Vec::new(),
            full: Vec::new(),
            closing: false,
            turn,
            reads_at_once,
        }
    }

    /// Runs until the lead is gone, or a shutdown has drained.
    pub(super) async fn run(mut self) {
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
            self.answer_caught_up();
            self.tools.shared.has_progressed();
            if self.closing && self.slots.is_empty() {
                break;
            }
            let due = [self.timers.next(), self.sweep.due()];
            let due = due.into_iter().flatten().min();
            if set_for != Some(due) {
                let now = self.tools.now();
                let wait = due.map_or(LONGEST_WAIT, |due| due.since(now).min(LONGEST_WAIT));
                alarm.as_mut().reset(Instant::now() + wait);
                set_for = Some(due);
            }
            tokio::select! {
                biased;
                message = self.inbox.recv() => match message {
                    Some(message) => {
                        self.turn = self.tools.now();
                        self.message(message);
                    }
                    None => break,
                },
                Some(done) = self.ops.next(), if !self.ops.is_empty() => {
                    self.turn = self.tools.now();
                    self.complete(done);
                }
                () = &mut alarm => set_for = None,
            }
            self.gather();
        }
        for number in self.slots.all() {
            self.keep(number);
            if let Some((slot, cell)) = self.slots.get_mut(number) {
                cell.set(slot.health(), true);
            }
        }
    }

    /// Takes in what has happened already, so that its consequences share calls.
    fn gather(&mut self) {
        for _ in 0..GATHER {
            // One of each in turn: a lead that never stops telling must not starve what was begun.
            let message = self.inbox.try_recv().ok();
            let done = self.ops.next().now_or_never().flatten();
            if message.is_none() && done.is_none() {
                return;
            }
            if let Some(done) = done {
                self.complete(done);
            }
            if let Some(message) = message {
                self.message(message);
            }
        }
    }

    /// The moment of this turn of the loop: read once a turn and not once an event.
    pub(super) fn now(&self) -> Moment {
        self.turn
    }

    fn fire_timers(&mut self) {
        self.turn = self.tools.now();
        let now = self.now();
        while let Some(due) = self.timers.pop_due(now) {
            for (number, setting) in due {
                if self
                    .slots
                    .get(number)
                    .is_some_and(|slot| slot.timer() == setting)
                {
                    self.tell(number, &Event::Timer);
                }
            }
        }
        self.begin_sweep(now);
    }

    fn complete(&mut self, done: Done) {
        match done {
            Done::Loaded { slots, result } => self.loaded(slots, result),
            Done::CaughtUp { slots, t0, result } => self.caught_up(slots, t0, result),
            Done::Reread { slot, t0, result } => self.reread(slot, t0, result),
            Done::Applied { runs, result } => self.applied(runs, result),
            Done::Rebased { run, result } => self.rebased(&run, result),
            Done::Swept { slots, result } => self.swept(slots, result),
        }
    }

    fn message(&mut self, message: Message) {
        match message {
            Message::Names {
                heads,
                strangers,
                told,
            } => self.names(heads, strangers, told),
            Message::Pushed {
                feed,
                log,
                foreign,
                runs,
                taken,
            } => {
                let heard = self.pushed(feed, &log, foreign, runs);
                self.full.push((taken, heard));
            }
            Message::Doubt { feed, told } => {
                self.doubt(feed);
                let _ = told.send(());
            }
            Message::Follow {
                grain,
                feed,
                interval,
                reply,
            } => {
                self.excluded.remove(&grain);
                let policy = self.policy_of(interval);
                self.register(&grain, Met { feed, listed: None }, policy);
                let _ = reply.send(());
            }
            Message::Unfollow { grain, reply } => self.unfollow(grain, reply),
            Message::PollNow { told } => {
                for number in self.slots.all() {
                    if self
                        .slots
                        .cell(number)
                        .is_some_and(|cell| cell.feed().is_none())
                    {
                        self.tell(number, &Event::PollNow);
                    }
                }
                let _ = told.send(());
            }
            Message::CaughtUp { since, reply } => {
                self.catching_up.push(CatchingUp::new(since, reply));
            }
            Message::Confirmed => {}
            Message::Rebound { reply } => {
                let _ = reply.send(self.rebase_foreign());
            }
            Message::Tell {
                grain,
                event,
                reply,
            } => self.tell_one(&grain, &event, reply),
            Message::Shutdown => {
                self.closing = true;
                self.sweep.end();
                for told in self.held.drain(..) {
                    let _ = told.send(());
                }
                self.take_more();
                for number in self.slots.all() {
                    self.keep(number);
                    self.tell(number, &Event::Stop);
                }
            }
        }
    }

    fn tell_one(&mut self, grain: &GrainId, event: &Event, reply: Told) {
        let found = self
            .tools
            .shared
            .directory
            .number(grain)
            .ok_or(ControlError::NotFollowed);
        match (reply, found) {
            (Told::Heard(reply), found) => {
                let told = found.map(|number| self.tell(number, event));
                let _ = reply.send(told);
            }
            (Told::Quiet(reply), Ok(number)) => {
                self.tell(number, event);
                self.when_quiet(number, reply);
            }
            (Told::Decided(reply), Ok(number)) => self.decide(number, event, reply),
            (Told::Quiet(reply), Err(error)) => {
                let _ = reply.send(Err(error));
            }
            (Told::Decided(reply), Err(error)) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// The follower ends: what a grain's feed has confirmed stays confirmed.
    fn keep(&self, number: u32) {
        if let Some(cell) = self.slots.cell(number) {
            let feed = cell.feed();
            cell.keep(feed.and_then(|feed| self.tools.shared.feeds.get(feed)));
        }
    }
}
