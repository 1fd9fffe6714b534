//! [`Waiters`]: who waits for all grains at once.

use gleaner_actor::{Health, Moment};
use gleaner_core::GrainId;
use tokio::sync::oneshot;

use super::Driver;
use crate::follower::{CaughtUp, FollowError};

#[derive(Default)]
pub(super) struct Waiters {
    ready: Vec<oneshot::Sender<()>>,
    catching_up: Vec<CatchingUp>,
}

/// Somebody waits for every grain to be confirmed since a moment. A confirmation is never taken back,
/// so each grain is passed once: the wait costs one walk in all, not one per answer.
struct CatchingUp {
    since: Moment,
    reply: oneshot::Sender<Result<CaughtUp, FollowError>>,
    next: u32,
    found: CaughtUp,
}

impl Waiters {
    pub(super) fn ready(&mut self, reply: oneshot::Sender<()>) {
        self.ready.push(reply);
    }

    pub(super) fn caught_up(
        &mut self,
        since: Moment,
        reply: oneshot::Sender<Result<CaughtUp, FollowError>>,
    ) {
        let found = CaughtUp::default();
        self.catching_up.push(CatchingUp {
            since,
            reply,
            next: 0,
            found,
        });
    }
}

impl Driver {
    pub(super) fn answer_waiters(&mut self) {
        if !self.waiters.ready.is_empty()
            && self
                .feeds
                .iter()
                .all(|feed| feed.reader.has_listed() || !feed.discover)
            && self.count(Health::Bootstrapping) == 0
        {
            for reply in self.waiters.ready.drain(..) {
                let _ = reply.send(());
            }
        }
        if self.waiters.catching_up.is_empty() {
            return;
        }
        for mut waiting in std::mem::take(&mut self.waiters.catching_up) {
            if self.has_caught_up(&mut waiting) {
                let _ = waiting.reply.send(Ok(waiting.found));
            } else if !waiting.reply.is_closed() {
                self.waiters.catching_up.push(waiting);
            }
        }
    }

    /// Goes on from the grain that held it up.
    fn has_caught_up(&self, waiting: &mut CatchingUp) -> bool {
        let since = waiting.since;
        // What the filters' feeds could still name is found first.
        let known = self.feeds.iter().filter(|feed| feed.discover).all(|feed| {
            feed.reader.has_listed() && feed.told_all.is_some_and(|t0| t0.monotonic >= since)
        });
        if !known {
            return false;
        }
        while waiting.next < self.slots.end() {
            if let Some(slot) = self.slots.get(waiting.next) {
                let standing = slot.cell.standing();
                if standing.confirmed.is_some_and(|t0| t0.monotonic >= since) {
                    waiting.found.in_step += 1;
                } else if slot.actor.health().is_moving() || slot.actor.is_busy() {
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

    /// The slot's grain, for lines and replies.
    pub(super) fn grain(&self, slot: u32) -> Option<GrainId> {
        self.slots.get(slot).map(|slot| slot.grain.clone())
    }
}
