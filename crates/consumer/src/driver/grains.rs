//! What the driver does for actors: tells them, performs what they decide, gathers it into calls.

use std::collections::VecDeque;
use std::sync::Arc;

use gleaner_actor::{Action, Event, GrainActor, Health, Jitter, Origin, Reply};
use gleaner_core::{Advance, Cursor, Entry, GrainId, Head, LogId, Rebase};
use tokio::sync::oneshot;

use super::Replies;
use super::lines;
use super::message::{Met, Strangers};
use super::ops::{Done, Pending, RunInfo};
use super::shard::Shard;
use super::slots::{Awake, PolicyNumber, Refollow, Slot, Waking};
use crate::cell::FeedNumber;
use crate::clock::Reading;
use crate::control::ControlError;
use crate::settings::Interval;

/// What actors asked for and was not yet sent. An actor waits in at most one of these.
#[derive(Default)]
pub(super) struct Queues {
    pub(super) loads: VecDeque<u32>,
    pub(super) polls: VecDeque<(u32, Cursor)>,
    /// Base..head whole, or the history up to a cursor.
    pub(super) rereads: VecDeque<(u32, Option<Cursor>)>,
    pub(super) runs: VecDeque<Pending>,
    pub(super) run_bytes: usize,
    pub(super) loading: usize,
    pub(super) reading: usize,
    pub(super) applying: usize,
}

/// What comes with an event besides what the actor needs to know.
#[derive(Default)]
pub(super) struct Cargo {
    /// Just before the request was sent whose answer this is.
    pub(super) t0: Option<Reading>,
    /// The run that came, the log it is from, and how it came.
    pub(super) run: Option<(LogId, Vec<Entry>, Origin)>,
    /// For the line, if health changes.
    pub(super) why: Option<String>,
}

impl Shard {
    /// Heads that a feed or a listing named: every name reaches its actor, which marks what it says of
    /// no more, before `told` is answered (C3, C5).
    pub(super) fn names(
        &mut self,
        heads: Vec<(GrainId, Head)>,
        strangers: Strangers,
        told: oneshot::Sender<()>,
    ) {
        for (grain, head) in heads {
            if let Some(number) = self.tools.shared.directory.number(&grain) {
                #[cfg(gleaner_plant)]
                if gleaner_core::plant::Plant::PositionBeforeItsNames.is_planted()
                    && !matches!(strangers, Strangers::Believe { .. })
                    && self.slots.get(number).is_some_and(Slot::is_busy)
                {
                    continue;
                }
                self.tell(number, &Event::Named(head));
            } else if let Some(met) = strangers.meet(head)
                && !self.excluded.contains(&grain)
            {
                self.register(&grain, met, 0);
            }
        }
        self.held.push(told);
    }

    /// There is a new position to read on from. What moved before it was taken is not named by it: every
    /// grain that was asked for before then is asked for again.
    pub(super) fn doubt(&mut self, feed: FeedNumber) {
        for number in self.slots.all() {
            let Some((slot, cell)) = self.slots.get_mut(number) else {
                continue;
            };
            if cell.feed() != Some(feed) {
                continue;
            }
            // A head from before the doubt says nothing any more.
            if let Some(awake) = slot.awake() {
                awake.listed = None;
            }
            self.tell(number, &Event::Doubted);
        }
    }

    /// The store belongs to the followed log now: every grain is loaded again, and the replicas that
    /// are foreign to it are told to rebase.
    pub(super) fn rebase_foreign(&mut self) -> Replies {
        let mut replies = Vec::new();
        for number in self.slots.all() {
            let Some(slot) = self.slots.get(number) else {
                continue;
            };
            let (health, cursor) = (slot.health(), slot.cursor());
            self.tell(number, &Event::Doubted);
            if health == Health::Foreign && cursor != Cursor::ZERO {
                let (asker, answer) = oneshot::channel();
                self.decide(number, &Event::Rebase { expected: cursor }, asker);
                replies.push(answer);
            }
        }
        replies
    }

    /// The number of the policy with an interval: the follower's own if there is none, or no room for
    /// more than 65,535 different ones.
    pub(super) fn policy_of(&mut self, interval: Interval) -> PolicyNumber {
        let Interval(Some(interval)) = interval else {
            return 0;
        };
        let policy = (*self.tools.policy).clone().with_poll_interval(interval);
        let interval = policy.poll_interval();
        let is = |known: &Arc<gleaner_actor::Policy>| known.poll_interval() == interval;
        let found = self.policies.iter().skip(1).position(is);
        let number = found.map_or(self.policies.len(), |at| at + 1);
        let Ok(number) = PolicyNumber::try_from(number) else {
            return 0;
        };
        if found.is_none() {
            self.policies.push(Arc::new(policy));
        }
        number
    }

    /// Begins an actor for a grain that is not followed. Registered before anything is asked, so that
    /// no name can come too early for it (C3).
    pub(super) fn register(&mut self, grain: &GrainId, met: Met, policy: PolicyNumber) {
        let Met { feed, listed } = met;
        let shared = &self.tools.shared;
        if let Some(number) = shared.directory.number(grain) {
            // On its way out: followed again once it is gone.
            if let Some((slot, _)) = self.slots.get_mut(number)
                && let Some(asked) = slot.awake().and_then(|awake| awake.asked.as_mut())
                && !asked.gone.is_empty()
            {
                asked.refollow = Some(Refollow { feed, policy });
            }
            return;
        }
        if self.closing {
            return;
        }
        let Some((number, cell)) = shared.directory.register(grain, feed) else {
            tracing::error!("2^32 grains are followed; no more can be");
            return;
        };
        let seed = self.tools.shared.jitter_seed;
        let jitter = Jitter::new(mix(seed, number, gleaner_actor::Moment::START));
        let rules = self.policies.get(usize::from(policy));
        let rules = rules.unwrap_or(&self.tools.policy).clone();
        let actor = GrainActor::new(rules, jitter, feed.is_some() && policy == 0);
        let actor = match self.doubtful.remove(grain) {
            Some(former) => actor.after(&former),
            None => actor,
        };
        let mut awake = Awake::new(actor, policy);
        awake.listed = listed;
        shared.turned(None, Some(Health::Bootstrapping));
        if let Some(cell) = cell.cell() {
            cell.stir(self.now());
        }
        self.slots.insert(number, &cell, Slot::new(awake));
        self.tools.shared.touch(grain);
        self.tell(number, &Event::Start);
    }

    pub(super) fn unfollow(&mut self, grain: GrainId, reply: oneshot::Sender<()>) {
        let number = self.tools.shared.directory.number(&grain);
        self.excluded.insert(grain);
        let awake = number.and_then(|number| Some((number, self.awake(number)?)));
        let Some((number, awake)) = awake else {
            let _ = reply.send(());
            return;
        };
        let asked = awake.asked();
        asked.gone.push(reply);
        asked.refollow = None;
        self.tell(number, &Event::Stop);
    }

    /// A grain's actor, woken if it sleeps.
    fn awake(&mut self, number: u32) -> Option<&mut Awake> {
        let now = self.now();
        let (policies, seed) = (&self.policies, self.tools.shared.jitter_seed);
        let (slot, cell) = self.slots.get_mut(number)?;
        let fed = cell.feed().is_some();
        slot.wake(|policy| Waking {
            policy: policies
                .get(usize::from(policy))
                .unwrap_or(&self.tools.policy)
                .clone(),
            jitter: Jitter::new(mix(seed, number, now)),
            fed: fed && policy == 0,
        })
    }

    pub(super) fn tell(&mut self, slot: u32, event: &Event) {
        self.tell_with(slot, event, Cargo::default());
    }

    pub(super) fn tell_with(&mut self, number: u32, event: &Event, cargo: Cargo) {
        if let Some(reply) = self.step(number, event, cargo)
            && let Some((slot, _)) = self.slots.get_mut(number)
            && let Some(awake) = slot.awake()
            && let Some(asker) = awake.asked.as_mut().and_then(|asked| asked.decide.take())
        {
            let _ = asker.send(Ok(reply));
        }
    }

    /// Tells an actor something that it replies to, now or later.
    pub(super) fn decide(
        &mut self,
        number: u32,
        event: &Event,
        asker: oneshot::Sender<Result<Reply, ControlError>>,
    ) {
        if let Some(reply) = self.step(number, event, Cargo::default()) {
            let _ = asker.send(Ok(reply));
        } else if let Some(awake) = self.awake(number) {
            awake.asked().decide = Some(asker);
        } else {
            let _ = asker.send(Err(ControlError::NotFollowed));
        }
    }

    pub(super) fn when_quiet(
        &mut self,
        number: u32,
        asker: oneshot::Sender<Result<(), ControlError>>,
    ) {
        match self.slots.get_mut(number) {
            Some((slot, _)) if slot.is_busy() => {
                if let Some(awake) = slot.awake() {
                    awake.asked().quiet.push(asker);
                }
            }
            _ => {
                let _ = asker.send(Ok(()));
            }
        }
    }

    /// One event into an actor, and its one action out into the queues.
    fn step(&mut self, number: u32, event: &Event, cargo: Cargo) -> Option<Reply> {
        let slot = self.slots.get(number)?;
        if let Some(rest) = slot.asleep() {
            let known = match event {
                Event::Named(head) => rest.is_at(head),
                Event::Pushed(push) => push.last <= rest.cursor(),
                _ => false,
            };
            if known {
                return None;
            }
        }
        let (was, was_in_step, stood) = (slot.health(), slot.is_in_step(), slot.cursor());
        let now = self.now();
        let step = self.awake(number)?.actor.on(now, event);
        let (slot, cell) = self.slots.get_mut(number)?;
        let (health, in_step) = (slot.health(), slot.is_in_step());
        if (was, was_in_step, stood) != (health, in_step, slot.cursor()) {
            cell.stir(now);
        }
        let shared = &self.tools.shared;
        let confirmed = cargo
            .t0
            .filter(|_| step.confirms && self.tools.log.confirms());
        if let Some(t0) = confirmed {
            cell.confirm(t0);
        }
        if was_in_step && !in_step {
            // The feed has spoken for it up to now: what it holds, it goes on to hold (C5).
            cell.keep(cell.feed().and_then(|feed| shared.feeds.get(feed)));
        }
        #[cfg(gleaner_plant)]
        let in_step = in_step || gleaner_core::plant::Plant::PendingForgotten.is_planted();
        cell.set(health, !in_step);
        if !slot.is_busy()
            && let Some(asked) = slot.awake().and_then(|awake| awake.asked.as_mut())
        {
            for asker in asked.quiet.drain(..) {
                let _ = asker.send(Ok(()));
            }
        }
        let cursor = slot.cursor();
        if was != health {
            shared.turned(Some(was), Some(health));
        }
        // Its id is looked for where somebody asks for it.
        let said = was != health && lines::is_said(was, health);
        if (said || shared.is_watched())
            && (was != health || confirmed.is_some())
            && let Some(grain) = shared.directory.grain_of(number)
        {
            if said {
                lines::health_changed(&grain, cursor, was, health, cargo.why.as_deref());
            }
            shared.touch(&grain);
        }
        shared.counts.came_in_step(was_in_step, in_step);
        self.perform(number, step.action, cargo);
        if let Some((slot, _)) = self.slots.get_mut(number) {
            slot.sleep();
        }
        step.reply
    }

    fn perform(&mut self, number: u32, action: Action, cargo: Cargo) {
        match action {
            Action::Nothing => {}
            Action::Load => self.queues.loads.push_back(number),
            Action::CatchUp { from } => self.queues.polls.push_back((number, from)),
            Action::Reread => self.queues.rereads.push_back((number, None)),
            Action::ReadUpTo { to } => self.queues.rereads.push_back((number, Some(to))),
            Action::Apply { generation } => {
                let Some((grain, info, log, entries)) = self.run_of(number, cargo) else {
                    return;
                };
                self.queues.run_bytes += bytes(&entries);
                let advance = Advance {
                    grain,
                    generation,
                    entries,
                };
                self.queues.runs.push_back(Pending { info, log, advance });
            }
            Action::Rebase { expected } => {
                let Some((grain, run, log, entries)) = self.run_of(number, cargo) else {
                    return;
                };
                if let Some(cell) = self.slots.cell(number)
                    && entries
                        .last()
                        .is_some_and(|last| last.cursor() < run.before)
                {
                    cell.revoke();
                }
                let store = self.tools.store.clone();
                self.ops.push(Box::pin(async move {
                    let result = store
                        .rebase(
                            &log,
                            Rebase {
                                grain,
                                expected,
                                entries,
                            },
                        )
                        .await;
                    Done::Rebased { run, result }
                }));
            }
            Action::Wait { until } => {
                if let Some((slot, _)) = self.slots.get_mut(number)
                    && let Some(awake) = slot.awake()
                {
                    awake.timer = awake.timer.wrapping_add(1);
                    if let Some(until) = until {
                        self.timers.set(until, number, awake.timer);
                        self.tidy_timers();
                    }
                }
            }
            Action::Stopped => self.remove(number),
        }
    }

    /// Drops void deadlines once they outnumber those that count, so that a grain that is told to poll
    /// over and over, and rests for long, does not pile them up.
    fn tidy_timers(&mut self) {
        let (timers, slots) = (&mut self.timers, &self.slots);
        if timers.len() > 1024 + 4 * slots.len() {
            timers.retain(|number, set| {
                let slot = slots.get(number);
                slot.is_some_and(|slot| slot.timer() == set)
            });
        }
    }

    /// The run that an event brought, ready for the store. An actor asks for one only in answer to an
    /// event that brings one.
    fn run_of(&self, number: u32, cargo: Cargo) -> Option<(GrainId, RunInfo, LogId, Vec<Entry>)> {
        let slot = self.slots.get(number)?;
        let (log, entries, origin) = cargo.run?;
        let before = slot.cursor();
        let info = RunInfo {
            slot: number,
            before,
            origin,
            t0: cargo.t0,
        };
        Some((self.grain(number)?, info, log, entries))
    }

    fn remove(&mut self, number: u32) {
        let shared = &self.tools.shared;
        let grain = shared.directory.grain_of(number);
        let (Some(slot), Some(grain)) = (self.slots.remove(number), grain) else {
            return;
        };
        shared.turned(Some(slot.health()), None);
        // After a shutdown, readers go on to serve what the store holds.
        if !self.closing {
            shared.unregister(&grain);
        }
        let Some(awake) = slot.into_awake() else {
            return;
        };
        let awake = *awake;
        if awake.actor.is_in_doubt() {
            self.doubtful.insert(grain.clone(), awake.actor);
        }
        let asked = awake.asked.unwrap_or_default();
        if let Some(asker) = asked.decide {
            let _ = asker.send(Err(ControlError::NotFollowed));
        }
        for asker in asked.quiet {
            let _ = asker.send(Ok(()));
        }
        for asker in asked.gone {
            let _ = asker.send(());
        }
        if let Some(Refollow { feed, policy }) = asked.refollow {
            self.register(&grain, Met { feed, listed: None }, policy);
        }
    }

    /// The slot's grain, for lines and replies.
    pub(super) fn grain(&self, number: u32) -> Option<GrainId> {
        self.tools.shared.directory.grain_of(number)
    }
}

pub(super) fn bytes(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.payload().len()).sum()
}

/// The seed of an actor's jitter: another at each waking, the same in a run that is repeated.
fn mix(seed: u32, number: u32, now: gleaner_actor::Moment) -> u32 {
    let nanos = now.as_nanos() / 1_000;
    let moment = u32::try_from(nanos & u64::from(u32::MAX)).unwrap_or_default();
    seed.wrapping_add(number.wrapping_mul(0x85eb_ca6b))
        .wrapping_add(moment.wrapping_mul(0xc2b2_ae35))
}
