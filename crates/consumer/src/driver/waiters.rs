//! Who waits for all grains at once.

use gleaner_actor::{Health, Moment};
use tokio::sync::oneshot;

use super::Lead;
use super::deal::all;
use super::message::Message;
use super::ops::LeadDone;
use super::shard::Shard;
use crate::follower::{CaughtUp, FollowError};

#[derive(Default)]
pub(super) struct Waiters {
    ready: Vec<oneshot::Sender<()>>,
    catching_up: Vec<(Moment, CaughtUpReply)>,
    /// How many have been handed to the shards.
    pub(super) handed: usize,
}

pub(super) type CaughtUpReply = oneshot::Sender<Result<CaughtUp, FollowError>>;

impl Waiters {
    pub(super) fn ready(&mut self, reply: oneshot::Sender<()>) {
        self.ready.push(reply);
    }

    pub(super) fn caught_up(&mut self, since: Moment, reply: CaughtUpReply) {
        self.catching_up.push((since, reply));
    }
}

/// Somebody waits for every grain of a shard to be confirmed since a moment. A confirmation is never
/// taken back, so each grain is passed once: the wait costs one walk in all, not one per answer.
pub(super) struct CatchingUp {
    since: Moment,
    reply: oneshot::Sender<CaughtUp>,
    next: usize,
    found: CaughtUp,
}

impl CatchingUp {
    pub(super) fn new(since: Moment, reply: oneshot::Sender<CaughtUp>) -> Self {
        Self {
            since,
            reply,
            next: 0,
            found: CaughtUp::default(),
        }
    }
}

impl Lead {
    pub(super) fn answer_waiters(&mut self) {
        let listed = self
            .feeds
            .iter()
            .all(|feed| feed.reader.has_listed() || !feed.discover);
        if listed {
            self.tools.shared.all_listed();
        }
        if !self.waiters.ready.is_empty() {
            // Before the count is looked at, so that a shard that changes it says so.
            self.tools.shared.await_progress(true);
            if listed && self.tools.shared.counts.of(Health::Bootstrapping) == 0 {
                for reply in self.waiters.ready.drain(..) {
                    let _ = reply.send(());
                }
            }
        }
        self.tools
            .shared
            .await_progress(!self.waiters.ready.is_empty());
        for (since, reply) in std::mem::take(&mut self.waiters.catching_up) {
            // What the filters' feeds could still name is found first.
            let known = self.feeds.iter().filter(|feed| feed.discover).all(|feed| {
                feed.reader.has_listed() && feed.told_all.is_some_and(|t0| t0.monotonic >= since)
            });
            if known {
                self.hand_on(since, reply);
            } else if !reply.is_closed() {
                self.waiters.catching_up.push((since, reply));
            }
        }
    }

    /// All that was there is followed: each shard says when its own have caught up.
    fn hand_on(&mut self, since: Moment, reply: CaughtUpReply) {
        let answers = self.ask_all(|reply| Message::CaughtUp { since, reply });
        self.waiters.handed += 1;
        self.ops.push(Box::pin(async move {
            let found = all(answers).await.map(|parts| CaughtUp {
                in_step: parts.iter().map(|part| part.in_step).sum(),
                held: parts.iter().map(|part| part.held).sum(),
            });
            LeadDone::CaughtUp { reply, found }
        }));
    }
}

impl Shard {
    pub(super) fn answer_caught_up(&mut self) {
        for mut waiting in std::mem::take(&mut self.catching_up) {
            if self.has_caught_up(&mut waiting) {
                let _ = waiting.reply.send(waiting.found);
            } else if !waiting.reply.is_closed() {
                self.catching_up.push(waiting);
            }
        }
    }

    /// Goes on from the grain that held it up.
    fn has_caught_up(&self, waiting: &mut CatchingUp) -> bool {
        let since = waiting.since;
        while waiting.next < self.slots.places() {
            let number = self.slots.at(waiting.next);
            if let Some(number) = number
                && let (Some(slot), Some(cell)) = (self.slots.get(number), self.slots.cell(number))
            {
                let standing = self.tools.shared.standing(cell, cell.tenant());
                if standing.confirmed.is_some_and(|t0| t0.monotonic >= since) {
                    waiting.found.in_step += 1;
                } else if slot.health().is_moving() || slot.is_busy() {
                    // What is in flight for a bad entry may be what heals it.
                    return false;
                } else {
                    waiting.found.held += 1;
                }
            }
            waiting.next += 1;
        }
        true
    }
}
