//! What the driver does for actors: tells them, performs what they decide, gathers it into calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gleaner_actor::{Action, Answer, Event, GrainActor, Health, Jitter, Reply};
use gleaner_core::{Advance, Cursor, Entry, GrainId, Head, LogId, Rebase};
use tokio::sync::oneshot;

use super::ops::{Done, Pending, RunInfo};
use super::slots::Slot;
use super::{Driver, lines};
use crate::cell::GrainCell;
use crate::clock::Reading;
use crate::control::ControlError;
use crate::shared::Followed;

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
    /// The run that the answer brought, and the log it is from.
    pub(super) run: Option<(LogId, Vec<Entry>, Answer)>,
    /// For the line, if health changes.
    pub(super) why: Option<String>,
}

impl Driver {
    /// Follows a grain from now on.
    pub(crate) fn follow(&mut self, grain: GrainId) {
        self.register(grain, None, None);
    }

    /// Begins an actor for a grain that is not followed. Registered before anything is asked, so that
    /// no name can come too early for it (C3).
    pub(super) fn register(
        &mut self,
        grain: GrainId,
        feed: Option<usize>,
        listed: Option<(Head, Reading)>,
    ) {
        if let Some(followed) = self.shared.find(&grain) {
            // On its way out: followed again once it is gone.
            if let Some(extra) = self
                .slots
                .get_mut(followed.slot)
                .and_then(|s| s.extra.as_mut())
            {
                extra.refollow |= !extra.gone.is_empty();
            }
            return;
        }
        if !self.closing.is_empty() {
            return;
        }
        let feed = feed.or_else(|| self.feed_for(&grain));
        let confirmed = feed
            .and_then(|feed| self.feeds.get(feed))
            .map(|feed| feed.confirmed.clone());
        let covered = confirmed.is_some();
        let cell = Arc::new(GrainCell::new(confirmed));
        let (policy, seed) = (self.policy.clone(), self.settings.seed);
        let former = self.doubtful.remove(&grain);
        let number = self.slots.insert(|number| {
            let jitter = Jitter::new(seed.wrapping_add(number.wrapping_mul(0x85eb_ca6b)));
            let actor = GrainActor::new(policy, jitter, covered);
            let actor = match &former {
                Some(former) => actor.after(former),
                None => actor,
            };
            let mut slot = Slot {
                grain: grain.clone(),
                actor,
                cell: cell.clone(),
                feed,
                timer: 0,
                loaded: false,
                extra: None,
            };
            if listed.is_some() {
                slot.extra().listed = listed;
            }
            slot
        });
        let Some(slot) = number else {
            tracing::error!("2^32 grains are followed; no more can be");
            return;
        };
        self.count_health(Health::Bootstrapping, 1);
        let followed = grain.clone();
        self.shared.register(grain, Followed { cell, slot });
        self.shared.touch(&followed);
        self.tell(slot, &Event::Start);
    }

    pub(super) fn unfollow(&mut self, grain: GrainId, reply: oneshot::Sender<()>) {
        let followed = self.shared.find(&grain);
        self.excluded.insert(grain);
        let slot = followed.and_then(|followed| {
            let slot = self.slots.get_mut(followed.slot)?;
            Some((followed.slot, slot))
        });
        let Some((number, slot)) = slot else {
            let _ = reply.send(());
            return;
        };
        let extra = slot.extra();
        extra.gone.push(reply);
        extra.refollow = false;
        self.tell(number, &Event::Stop);
    }

    pub(super) fn tell(&mut self, slot: u32, event: &Event) {
        self.tell_with(slot, event, Cargo::default());
    }

    pub(super) fn tell_with(&mut self, number: u32, event: &Event, cargo: Cargo) {
        if let Some(reply) = self.step(number, event, cargo)
            && let Some(slot) = self.slots.get_mut(number)
            && let Some(asker) = slot.extra.as_mut().and_then(|extra| extra.decide.take())
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
        } else if let Some(slot) = self.slots.get_mut(number) {
            slot.extra().decide = Some(asker);
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
            Some(slot) if slot.actor.is_busy() => slot.extra().quiet.push(asker),
            _ => {
                let _ = asker.send(Ok(()));
            }
        }
    }

    /// One event into an actor, and its one action out into the queues.
    fn step(&mut self, number: u32, event: &Event, cargo: Cargo) -> Option<Reply> {
        let now = self.now();
        let slot = self.slots.get_mut(number)?;
        let (was, was_in_step) = (slot.actor.health(), slot.actor.is_in_step());
        let step = slot.actor.on(now, event);
        let (health, in_step) = (slot.actor.health(), slot.actor.is_in_step());
        let confirmed = cargo.t0.filter(|_| step.confirms && self.log.confirms());
        if let Some(t0) = confirmed {
            slot.cell.confirm(t0);
        }
        #[cfg(gleaner_plant)]
        let in_step = in_step || gleaner_core::plant::Plant::PendingForgotten.is_planted();
        slot.cell.set(health, !in_step);
        if !slot.actor.is_busy()
            && let Some(extra) = slot.extra.as_mut()
        {
            for asker in extra.quiet.drain(..) {
                let _ = asker.send(Ok(()));
            }
        }
        if was != health {
            lines::health_changed(
                &slot.grain,
                slot.actor.cursor(),
                was,
                health,
                cargo.why.as_deref(),
            );
        }
        if was != health || confirmed.is_some() {
            self.shared.touch(&slot.grain);
        }
        if was != health {
            self.count_health(was, -1);
            self.count_health(health, 1);
        }
        self.count_in_step(was_in_step, in_step);
        self.perform(number, step.action, cargo);
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
                if let Some(slot) = self.slots.get(number)
                    && entries
                        .last()
                        .is_some_and(|last| last.cursor() < run.before)
                {
                    slot.cell.revoke();
                }
                let store = self.store.clone();
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
                if let Some(slot) = self.slots.get_mut(number) {
                    slot.timer = slot.timer.wrapping_add(1);
                    if let Some(until) = until {
                        self.timers.set(until, number, slot.timer);
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
            timers.retain(|number, set| slots.get(number).is_some_and(|slot| slot.timer == set));
        }
    }

    /// The run that an event brought, ready for the store. An actor asks for one only in answer to an
    /// event that brings one.
    fn run_of(&self, number: u32, cargo: Cargo) -> Option<(GrainId, RunInfo, LogId, Vec<Entry>)> {
        let slot = self.slots.get(number)?;
        let (log, entries, answer) = cargo.run?;
        let before = slot.actor.cursor();
        let info = RunInfo {
            slot: number,
            before,
            answer,
            t0: cargo.t0?,
        };
        Some((slot.grain.clone(), info, log, entries))
    }

    fn remove(&mut self, number: u32) {
        let Some(mut slot) = self.slots.remove(number) else {
            return;
        };
        self.count_health(slot.actor.health(), -1);
        // After a shutdown, readers go on to serve what the store holds.
        if self.closing.is_empty() {
            self.shared.unregister(&slot.grain);
        }
        let extra = slot.extra.take().unwrap_or_default();
        if slot.actor.is_in_doubt() {
            self.doubtful.insert(slot.grain.clone(), slot.actor);
        }
        if let Some(asker) = extra.decide {
            let _ = asker.send(Err(ControlError::NotFollowed));
        }
        for asker in extra.quiet {
            let _ = asker.send(Ok(()));
        }
        for asker in extra.gone {
            let _ = asker.send(());
        }
        if extra.refollow {
            self.follow(slot.grain);
        }
    }

    pub(super) fn count(&self, health: Health) -> usize {
        let counts = &self.shared.counts.by_health;
        counts
            .get(usize::from(health.code()))
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn count_health(&self, health: Health, change: isize) {
        if let Some(count) = self.shared.counts.by_health.get(usize::from(health.code())) {
            count.store(
                count.load(Ordering::Relaxed).saturating_add_signed(change),
                Ordering::Relaxed,
            );
        }
    }

    fn count_in_step(&self, was: bool, is: bool) {
        let count = &self.shared.counts.in_step;
        match (was, is) {
            (false, true) => count.fetch_add(1, Ordering::Relaxed),
            (true, false) => count.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }
}

pub(super) fn bytes(entries: &[Entry]) -> usize {
    entries.iter().map(|entry| entry.payload().len()).sum()
}
