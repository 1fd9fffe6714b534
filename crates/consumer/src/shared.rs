//! [`Shared`]: what the driver and the readers of one follower have in common.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use gleaner_actor::Health;
use gleaner_core::{Cursor, GrainId};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::cell::GrainCell;
use crate::changes::{Backlog, ChangeStream};
use crate::clock::Clock;

type Map<V> = DashMap<GrainId, V, foldhash::fast::RandomState>;

/// A followed grain: its cell, and its actor's place in the driver.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    pub(crate) cell: Arc<GrainCell>,
    pub(crate) slot: u32,
}

/// The directory of followed grains, and who waits for what. The driver writes, readers read; no lock
/// is held while anything else is called or awaited.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counts: Counts,
    directory: Map<Followed>,
    watches: Map<watch::Sender<u64>>,
    /// How many grains are watched; spares the driver a look-up a grain where nobody watches.
    watched: AtomicUsize,
    streams: Mutex<Vec<Weak<Backlog>>>,
    /// The driver has ended: nothing will be told any more.
    closed: AtomicBool,
    /// Ticks at every feed page that confirms: all grains may have become younger at once.
    confirmations: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            counts: Counts::default(),
            directory: Map::default(),
            watches: Map::default(),
            watched: AtomicUsize::new(0),
            streams: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            confirmations: watch::Sender::new(0),
        }
    }

    pub(crate) fn find(&self, grain: &GrainId) -> Option<Followed> {
        self.directory.get(grain).map(|found| found.clone())
    }

    pub(crate) fn register(&self, grain: GrainId, followed: Followed) {
        self.directory.insert(grain, followed);
    }

    pub(crate) fn unregister(&self, grain: &GrainId) {
        if let Some((_, followed)) = self.directory.remove(grain) {
            followed.cell.retire();
        }
        self.touch(grain);
    }

    /// Somebody watches a grain. Under the entry's lock, as is [`Self::tidy`], so that a watch that
    /// begins while another ends is not lost.
    pub(crate) fn subscribe(&self, grain: &GrainId) -> watch::Receiver<u64> {
        match self.watches.entry(grain.clone()) {
            Entry::Occupied(known) => known.get().subscribe(),
            // Its sender is gone at once: it says that the follower has ended.
            Entry::Vacant(_) if self.closed.load(Ordering::SeqCst) => {
                watch::Sender::new(0).subscribe()
            }
            Entry::Vacant(vacant) => {
                self.watched.fetch_add(1, Ordering::SeqCst);
                vacant.insert(watch::Sender::new(0)).subscribe()
            }
        }
    }

    /// Forgets a grain that nobody watches any more.
    pub(crate) fn tidy(&self, grain: &GrainId) {
        let idle = |_: &GrainId, sender: &watch::Sender<u64>| sender.receiver_count() == 0;
        if self.watches.remove_if(grain, idle).is_some() {
            self.watched.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Wakes those who watch a grain.
    pub(crate) fn touch(&self, grain: &GrainId) {
        if self.watched.load(Ordering::SeqCst) == 0 {
            return;
        }
        if let Some(sender) = self.watches.get(grain) {
            sender.send_modify(|tick| *tick = tick.wrapping_add(1));
        }
    }

    pub(crate) fn confirmations(&self) -> watch::Receiver<u64> {
        self.confirmations.subscribe()
    }

    pub(crate) fn confirmed(&self) {
        self.confirmations
            .send_modify(|tick| *tick = tick.wrapping_add(1));
    }

    pub(crate) fn stream(&self) -> ChangeStream {
        let backlog = Arc::new(Backlog::default());
        let mut streams = self.streams.lock();
        // Under the lock, as `close` closes: a stream is closed by one of the two.
        if self.closed.load(Ordering::SeqCst) {
            backlog.close();
        } else {
            streams.push(Arc::downgrade(&backlog));
        }
        drop(streams);
        ChangeStream::new(backlog)
    }

    /// A replica moved: tells streams and watches.
    pub(crate) fn moved(&self, grain: &GrainId, cursor: Cursor) {
        self.each_stream(|stream| stream.push(grain, cursor));
        self.touch(grain);
    }

    /// The driver has ended.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.each_stream(Backlog::close);
        // In order, so that those who wait wake in the same order in every run.
        let mut watched: Vec<GrainId> = self.watches.iter().map(|it| it.key().clone()).collect();
        watched.sort_unstable();
        for grain in &watched {
            self.watches.remove(grain);
        }
        self.watched.store(0, Ordering::SeqCst);
    }

    fn each_stream(&self, tell: impl Fn(&Backlog)) {
        self.streams.lock().retain(|stream| {
            let stream = stream.upgrade();
            stream.inspect(|stream| tell(stream)).is_some()
        });
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("followed", &self.directory.len())
            .finish_non_exhaustive()
    }
}

/// Counts that the driver keeps and anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) by_health: [AtomicUsize; Health::ALL.len()],
    pub(crate) in_step: AtomicUsize,
    pub(crate) entries_applied: AtomicU64,
    pub(crate) entries_read: AtomicU64,
    pub(crate) runs_applied: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) pages: AtomicU64,
}

impl Counts {
    pub(crate) fn progress(&self) -> Progress {
        let health = |health: Health| {
            self.by_health
                .get(usize::from(health.code()))
                .map_or(0, |count| count.load(Ordering::Relaxed))
        };
        Progress {
            followed: Health::ALL.into_iter().map(health).sum(),
            in_step: self.in_step.load(Ordering::Relaxed),
            bootstrapping: health(Health::Bootstrapping),
            quarantined: health(Health::Quarantined),
            ahead: health(Health::Ahead),
            diverged: health(Health::Diverged),
            missing: health(Health::Missing),
            foreign: health(Health::Foreign),
            paused: health(Health::Paused),
            entries_read: self.entries_read.load(Ordering::Relaxed),
            entries_applied: self.entries_applied.load(Ordering::Relaxed),
            runs_applied: self.runs_applied.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            pages: self.pages.load(Ordering::Relaxed),
        }
    }
}

/// How far a follower has come. Each number is true by itself; together they are of about one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Followed grains.
    pub followed: usize,
    /// Of these, resting in step with the log.
    pub in_step: usize,
    /// Not yet compared with the log since the start.
    pub bootstrapping: usize,
    /// With an entry that cannot be applied.
    pub quarantined: usize,
    /// Above the log's head.
    pub ahead: usize,
    /// At the log's head with another history.
    pub diverged: usize,
    /// Not in the log any more.
    pub missing: usize,
    /// Of another log.
    pub foreign: usize,
    /// Told to pause.
    pub paused: usize,
    /// Entries that came from the log since the start.
    pub entries_read: u64,
    /// Entries that moved a replica since the start.
    pub entries_applied: u64,
    /// Runs given to the store since the start.
    pub runs_applied: u64,
    /// Calls of `catch_up` and `read_from` since the start.
    pub reads: u64,
    /// Pages of feeds and listings since the start.
    pub pages: u64,
}
