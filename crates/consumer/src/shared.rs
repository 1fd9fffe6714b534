//! [`Shared`]: what the driver and the readers of one follower have in common.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use gleaner_actor::{Health, Moment};
use gleaner_core::{Cursor, Error, GrainId, LogId};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::bootstrap::{Bootstrap, Rounds};
use crate::cell::{GrainCell, Standing};
use crate::changes::{Backlog, ChangeStream};
use crate::clock::{Clock, Reading};
use crate::counts::Counts;
use crate::directory::{CellRef, Directory};
use crate::feeds::Feeds;
use crate::reach::{Asked, Reach};
use crate::settings::Settings;

type Map<V> = DashMap<GrainId, V, foldhash::fast::RandomState>;

/// The directory of followed grains, and who waits for what. The driver writes, readers read; no lock
/// is held while anything else is called or awaited.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counts: Counts,
    rounds: Rounds,
    /// Where the driver's moments begin.
    pub(crate) start: Instant,
    pub(crate) directory: Directory,
    pub(crate) feeds: Feeds,
    watches: Map<watch::Sender<u64>>,
    /// How many grains are watched; spares the driver a look-up a grain where nobody watches.
    watched: AtomicUsize,
    streams: Mutex<Vec<Weak<Backlog>>>,
    /// What all jitter of this follower comes from.
    pub(crate) jitter_seed: u32,
    /// The driver has ended: nothing will be told any more.
    closed: AtomicBool,
    /// Ticks at every feed page that confirms: all grains may have become younger at once.
    confirmations: watch::Sender<u64>,
    /// The latest T0 of a request, in nanoseconds.
    last_t0: AtomicU64,
    /// The log that the store is bound to, once known.
    bound: RwLock<Option<LogId>>,
    reach: Mutex<Reach>,
    /// Somebody waits for what shards count: a shard that has done something says so.
    awaited: AtomicBool,
    progressed: Notify,
}

impl Shared {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            clock: settings.clock.clone(),
            counts: Counts::default(),
            rounds: Rounds::default(),
            start: Instant::now(),
            directory: Directory::new(settings.stripes(), settings.seed),
            jitter_seed: settings.jitter_seed(),
            feeds: Feeds::default(),
            watches: Map::default(),
            watched: AtomicUsize::new(0),
            streams: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            confirmations: watch::Sender::new(0),
            last_t0: AtomicU64::new(0),
            bound: RwLock::new(None),
            reach: Mutex::default(),
            awaited: AtomicBool::new(false),
            progressed: Notify::new(),
        }
    }

    /// A grain's cell, if it is followed.
    pub(crate) fn find(&self, grain: &GrainId) -> Option<CellRef> {
        self.directory.find(grain)
    }

    /// Reader: how a cell stands for the tenant that is asked for.
    pub(crate) fn standing(&self, cell: &GrainCell, of: u32) -> Standing {
        let feed = cell.feed().and_then(|feed| self.feeds.get(feed));
        cell.standing(feed, of)
    }

    /// How a grain stands, if it is followed.
    pub(crate) fn standing_of(&self, grain: &GrainId) -> Option<Standing> {
        let look = |cell: &GrainCell| self.standing(cell, cell.tenant());
        self.directory.with(grain, look)
    }

    /// Just before a request is sent: its T0 (C1).
    pub(crate) fn t0(&self) -> Reading {
        let t0 = self.clock.read();
        self.last_t0
            .fetch_max(t0.monotonic.as_nanos().saturating_add(1), Ordering::SeqCst);
        t0
    }

    /// A moment that the T0 of no request sent so far has reached, though the clock may not have moved
    /// since.
    pub(crate) fn after_all_sent(&self) -> Moment {
        let now = self.clock.read().monotonic;
        now.max(Moment::from_nanos(self.last_t0.load(Ordering::SeqCst)))
    }

    pub(crate) fn bound(&self) -> Option<LogId> {
        self.bound.read().clone()
    }

    /// Whether the store is known to belong to this log.
    pub(crate) fn is_bound(&self, log: &LogId) -> bool {
        self.bound.read().as_ref() == Some(log)
    }

    /// The store turned out to belong to this log, unless that was known.
    pub(crate) fn found_bound(&self, log: &LogId) {
        if self.bound.read().is_none() {
            self.bound.write().get_or_insert_with(|| log.clone());
        }
    }

    /// The store belongs to this log now.
    pub(crate) fn rebound(&self, log: LogId) {
        *self.bound.write() = Some(log);
    }

    /// Whether an answer of this log is of another than the store belongs to.
    pub(crate) fn is_foreign(&self, log: &LogId) -> bool {
        let bound = self.bound.read();
        let Some(bound) = &*bound else {
            return false;
        };
        self.reach.lock().identity(log, bound);
        log != bound
    }

    pub(crate) fn answered(&self, asked: Asked) {
        self.reach.lock().answered(asked);
    }

    /// A call failed.
    pub(crate) fn failed(&self, asked: Asked, error: &Error) {
        self.erred(asked, error);
        self.reach.lock().failed(asked, error);
    }

    /// A call failed, or an error was answered for a grain: counts it.
    pub(crate) fn erred(&self, asked: Asked, error: &Error) {
        self.counts.erred(asked.of(), error.kind());
    }

    /// The driver's time.
    pub(crate) fn now(&self) -> Moment {
        Moment::after_start(self.start.elapsed())
    }

    /// A grain's health has changed; none before it is followed and after.
    pub(crate) fn turned(&self, was: Option<Health>, is: Option<Health>) {
        let turned = self.counts.turned(was, is);
        self.rounds.turned(turned, &self.counts);
    }

    /// A filter begins to be listed.
    pub(crate) fn listing(&self) {
        self.rounds.listing(&self.counts);
    }

    /// Every filter has been listed.
    pub(crate) fn all_listed(&self) {
        self.rounds.all_listed(&self.counts);
    }

    /// How far the follower is with what it was told to follow.
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        self.rounds.look(&self.counts)
    }

    /// Whether the driver has ended.
    #[cfg(feature = "metrics")]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Whether somebody waits for what shards count.
    pub(crate) fn await_progress(&self, awaited: bool) {
        self.awaited.store(awaited, Ordering::SeqCst);
    }

    /// A shard has done something.
    pub(crate) fn has_progressed(&self) {
        if self.awaited.load(Ordering::SeqCst) {
            self.progressed.notify_one();
        }
    }

    /// Waits until a shard has done something.
    pub(crate) async fn progressed(&self) {
        self.progressed.notified().await;
    }

    /// A grain is not followed any more.
    pub(crate) fn unregister(&self, grain: &GrainId) {
        self.directory.unregister(grain);
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

    /// Whether any grain is watched.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::SeqCst) > 0
    }

    /// Wakes those who watch a grain.
    pub(crate) fn touch(&self, grain: &GrainId) {
        if !self.is_watched() {
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
