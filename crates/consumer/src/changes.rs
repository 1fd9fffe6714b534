//! [`ChangeStream`]: which replicas have moved, for caches and projections.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use gleaner_core::{Cursor, GrainId};

use crate::sync::{Mutex, Notify};

/// What moved and was not taken yet: each grain once, with its newest cursor.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<GrainId>,
    cursors: HashMap<GrainId, Cursor, foldhash::fast::RandomState>,
    closed: bool,
}

impl Backlog {
    pub(crate) fn push(&self, grain: &GrainId, cursor: Cursor) {
        let mut waiting = self.waiting.lock();
        if waiting.cursors.insert(grain.clone(), cursor).is_none() {
            waiting.order.push_back(grain.clone());
        }
        drop(waiting);
        self.wake.notify_one();
    }

    pub(crate) fn close(&self) {
        self.waiting.lock().closed = true;
        self.wake.notify_one();
    }
}

/// A coalescing stream of the grains whose replicas moved. A slow reader holds at most one item a
/// grain, the newest; nothing is queued behind it.
///
/// The replica may have moved on when an item is taken: read it, do not rebuild it from the items.
#[derive(Debug)]
pub struct ChangeStream {
    backlog: Arc<Backlog>,
}

impl ChangeStream {
    pub(crate) fn new(backlog: Arc<Backlog>) -> Self {
        Self { backlog }
    }

    /// The next grain that moved, and its cursor; none once the follower has ended and all was taken.
    ///
    /// # Cancel safety
    /// Safe: an item is taken only by the call that returns it.
    pub async fn next(&mut self) -> Option<(GrainId, Cursor)> {
        loop {
            // A permit that was stored since the look below wakes this at once; `&mut self` makes this
            // the only waiter.
            let woken = self.backlog.wake.notified();
            {
                let mut waiting = self.backlog.waiting.lock();
                if let Some(grain) = waiting.order.pop_front() {
                    let cursor = waiting.cursors.remove(&grain).unwrap_or_default();
                    return Some((grain, cursor));
                }
                if waiting.closed {
                    return None;
                }
            }
            woken.await;
        }
    }
}

#[cfg(all(test, gleaner_loom))]
mod models;
