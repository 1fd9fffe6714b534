//! [`Shared`]: what the handles and the sender of one publisher have in common.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use gleaner_core::{Cursor, Error, GrainId, ReplicationLog, Schema, UnixMillis, Writer};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::backoff::mix;
use crate::builder::Config;
use crate::compaction::Compactor;
use crate::error::PublishError;
use crate::grain::{Answer, Grain};
use crate::queue::{Offer, Refusal, Stamp};
use crate::room::Room;
use crate::settle::{Next, Settled};

/// What became of an offer.
pub(crate) enum Admitted {
    Taken {
        cursor: Cursor,
        /// How much of the bytes that were held was not needed.
        surplus: usize,
        answer: Option<Answer>,
    },
    /// It needs this much more room; the whole charge if the state it would replace is gone by then.
    Needs { cost: usize, charge: usize },
}

/// # Concurrency
/// Locks are taken in the order registry, grain, ready list; each is held for a few instructions. A
/// state is taken only under its grain's lock and only while `closed` is false, so that whoever sets
/// `closed` and then locks a grain has seen its last state.
pub(crate) struct Shared {
    pub(crate) log: Arc<dyn ReplicationLog>,
    pub(crate) config: Config,
    pub(crate) room: Room,
    pub(crate) registry: Mutex<Registry>,
    /// Told when a grain is no longer being opened.
    pub(crate) opened: Notify,
    /// Grains with something to do, each at most once.
    pub(crate) ready: Mutex<VecDeque<Arc<Grain>>>,
    /// Tells the sender.
    pub(crate) wake: Notify,
    pub(crate) compactor: Compactor,
    /// No state is taken any more.
    pub(crate) closed: AtomicBool,
    /// The last handle is gone: the sender ends when it can.
    pub(crate) abandoned: AtomicBool,
    /// Flushed and to be ended now.
    pub(crate) stopped: AtomicBool,
    /// How many wait for something that a batching sender should not put off.
    pub(crate) hurry: AtomicUsize,
    /// True once the sender is gone.
    pub(crate) ended: watch::Sender<bool>,
    openings: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Registry {
    /// In order, so that a flush asks and an end answers in the same order in every run.
    pub(crate) grains: BTreeMap<GrainId, Arc<Grain>>,
    /// Being claimed: a second opening waits for the first, or it would fence it.
    pub(crate) opening: HashSet<GrainId>,
}

impl Shared {
    pub(crate) fn new(log: Arc<dyn ReplicationLog>, config: Config) -> Arc<Self> {
        Arc::new(Self {
            room: Room::new(config.max_buffered_bytes),
            log,
            config,
            registry: Mutex::default(),
            opened: Notify::new(),
            ready: Mutex::default(),
            wake: Notify::new(),
            compactor: Compactor::default(),
            closed: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            hurry: AtomicUsize::new(0),
            ended: watch::Sender::new(false),
            openings: AtomicU64::new(0),
        })
    }

    /// A writer for an opening. Each gets its own: a second opening of a grain must never share
    /// `(epoch, writer)` with a first whose appends may still be on their way.
    pub(crate) fn next_writer(&self) -> Writer {
        let opening = self.openings.fetch_add(1, Ordering::Relaxed);
        Writer::new(mix(self.config.writer.get().wrapping_add(opening)))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Takes an offer in if there is room for it. `held` bytes were taken before the call.
    pub(crate) fn admit(
        &self,
        grain: &Arc<Grain>,
        offer: &Offer,
        schema: Schema,
        held: usize,
        answer: bool,
    ) -> Result<Admitted, PublishError> {
        let limit = self.log.limits().max_payload();
        let stamp = Stamp {
            schema,
            written_at: now(),
            max_payload: limit,
        };
        let mut state = grain.lock();
        if self.is_closed() {
            return Err(PublishError::Closed {
                state: Some(offer.payload()),
            });
        }
        let plan = state
            .queue
            .plan(offer, stamp)
            .map_err(|refusal| match refusal {
                Refusal::TooLarge { size } => PublishError::TooLarge {
                    state: offer.payload(),
                    size,
                    limit,
                },
                Refusal::Fold(error) => PublishError::Fold(error),
                Refusal::Exhausted(error) => PublishError::Log(error),
                Refusal::Stopped(why) => why.refusing(offer.kind(), offer.payload()),
            })?;
        let charge = self.room.charge(plan.entry.payload().len());
        // What a state needs beyond the one whose place it takes: while the publisher is full, a
        // newer state of the same size still goes in.
        let budget = held + plan.freed;
        if charge > budget && !self.room.try_take(charge - budget) {
            return Ok(Admitted::Needs {
                cost: charge - plan.freed,
                charge,
            });
        }
        let cursor = plan.entry.cursor();
        let schedule = state.queue.commit(plan, charge);
        let answer = answer.then(|| state.wait());
        drop(state);
        if schedule {
            self.schedule(grain.clone());
        }
        Ok(Admitted::Taken {
            cursor,
            surplus: budget.saturating_sub(charge),
            answer,
        })
    }

    /// Hands a grain to the sender.
    pub(crate) fn schedule(&self, grain: Arc<Grain>) {
        self.ready.lock().push_back(grain);
        self.wake.notify_one();
    }

    /// Does what an answer says, but for the grain's next job. How many answers in a row asked to
    /// wait.
    pub(crate) fn settle(
        &self,
        grain: &Arc<Grain>,
        error: Option<&Error>,
        answer: impl FnOnce(&mut crate::queue::GrainQueue) -> Settled,
    ) -> (Next, u32) {
        let (settled, cut, failures, unused) = {
            let mut state = grain.lock();
            let settled = answer(&mut state.queue);
            let cut = state.tell(&settled);
            state.note(&settled, error);
            let unused = state.handles == 0 && state.queue.is_resting();
            (settled, cut, state.failures, unused)
        };
        self.room.give(settled.freed);
        if let Some(before) = cut {
            self.compactor.want(&grain.id, before);
        }
        if unused {
            self.forget(grain);
        }
        (settled.next, failures)
    }

    /// Drops a grain that nobody holds and that has nothing left to send.
    pub(crate) fn forget(&self, grain: &Arc<Grain>) {
        let mut registry = self.registry.lock();
        let state = grain.lock();
        let unused = state.handles == 0 && state.queue.is_resting();
        drop(state);
        if unused
            && registry
                .grains
                .get(&grain.id)
                .is_some_and(|known| Arc::ptr_eq(known, grain))
        {
            registry.grains.remove(&grain.id);
        }
    }

    /// While it is held, a batching sender puts nothing off.
    pub(crate) fn hurry(&self) -> Hurry<'_> {
        self.hurry.fetch_add(1, Ordering::SeqCst);
        self.wake.notify_one();
        Hurry(self)
    }

    /// Takes no further state.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.room.close();
        self.opened.notify_waiters();
    }
}

/// See [`Shared::hurry`].
pub(crate) struct Hurry<'a>(&'a Shared);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurry.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The wall clock, for people.
fn now() -> UnixMillis {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    UnixMillis::new(i64::try_from(millis).unwrap_or(i64::MAX))
}
