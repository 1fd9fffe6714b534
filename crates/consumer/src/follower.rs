//! [`Follower`]: many actors over one log and one store.

use std::sync::Arc;
use std::time::Duration;

use gleaner_actor::{Health, Reply};
use gleaner_core::{Bincode, Codec, Error, Filter, GrainId, Raw, ReplicaStore, ReplicationLog};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::bootstrap::Bootstrap;
use crate::changes::ChangeStream;
use crate::control::GrainControl;
use crate::counts::Progress;
use crate::directory::CellRef;
use crate::driver::{Command, Driver};
#[cfg(feature = "metrics")]
use crate::metrics::{Metrics, Sampler};
use crate::patience::{PatientLog, PatientStore};
use crate::reader::{GrainReader, RawReader, Reader};
use crate::settings::{Interval, Settings, setters};
use crate::shared::Shared;
use crate::survey;
use crate::watch::GrainWatch;

/// Why a follower did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FollowError {
    /// The follower has ended.
    #[error("the follower has ended")]
    Ended,
    /// The log is an asynchronous copy: nothing read from it confirms anything (L9).
    #[error("the log does not confirm what it serves, so nothing can be waited for")]
    NotConfirming,
    /// Log or store failed.
    #[error("log or store failed")]
    Failed(#[source] Error),
}

/// What [`Follower::caught_up`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaughtUp {
    /// Grains that were proved in step after the call began.
    pub in_step: usize,
    /// Grains that stand otherwise and will not move by waiting: quarantined, ahead, diverged,
    /// missing, foreign or paused.
    pub held: usize,
}

/// Follows many grains of one log into one store. A clone is another handle to the same follower;
/// dropping the last one ends it at once, which leaves every replica at an entry boundary.
///
/// # Concurrency
/// A few shards own the actors and perform what they decide, each in a task of its own; log and store
/// calls of distinct grains run at once, at most one for each grain. Handles talk to them by messages;
/// readers do not: they read the store and a few atomic words a grain.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use gleaner_consumer::{Follower, ReadOptions};
/// use gleaner_core::{Cursor, Draft, Filter, GrainId, ReplicationLog, Writer};
/// use gleaner_memory::{MemoryLog, MemoryReplicaStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let log = Arc::new(MemoryLog::new());
/// let follower = Follower::builder(log.clone(), Arc::new(MemoryReplicaStore::new())).spawn();
/// follower.follow_all(Filter::grain_type("aircraft")).await?;
///
/// let id = GrainId::new("aircraft", "N14228")?;
/// let cursor = Cursor::new(1, 1);
/// log.append(Draft::full(id.clone(), cursor, Writer::new(7), "at the gate").seal()).await?;
///
/// let options = ReadOptions::at_least(cursor).wait(Duration::from_secs(5));
/// let seen = follower.raw_reader().get_when(&id, options).await?;
/// assert_eq!(&seen.state[..], b"at the gate");
/// follower.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Follower {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    store: StoreRef,
    task: Mutex<Option<JoinHandle<()>>>,
    #[cfg(feature = "metrics")]
    metrics: Arc<Metrics>,
    /// None if it does not sample itself, or does no more.
    #[cfg(feature = "metrics")]
    sampler: Mutex<Option<Sampler>>,
}

struct StoreRef(Arc<dyn ReplicaStore>);

impl std::fmt::Debug for StoreRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplicaStore")
    }
}

/// How many commands wait for the driver; each is small, and a sender waits for room.
const COMMANDS: usize = 1024;

impl Follower {
    /// Begins to describe a follower of `log` into `store`.
    pub fn builder(log: Arc<dyn ReplicationLog>, store: Arc<dyn ReplicaStore>) -> FollowerBuilder {
        FollowerBuilder {
            log,
            store,
            settings: Settings::default(),
        }
    }

    /// Starts the driver, with one grain followed from the beginning if there is one.
    pub(crate) fn start(
        log: Arc<dyn ReplicationLog>,
        store: Arc<dyn ReplicaStore>,
        settings: Settings,
        first: Option<GrainId>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let limit = settings.call_timeout;
        let log: Arc<dyn ReplicationLog> = Arc::new(PatientLog::new(log, limit));
        let store: Arc<dyn ReplicaStore> = Arc::new(PatientStore::new(store, limit));
        let shared = Arc::new(Shared::new(&settings));
        #[cfg(feature = "metrics")]
        let metrics = Arc::new(Metrics::new(&settings));
        #[cfg(feature = "metrics")]
        let sampler = settings
            .sample_every
            .map(|period| Sampler::spawn(period, metrics.clone(), shared.clone()));
        let mut driver = Driver::new(log, store.clone(), settings, shared.clone(), inbox);
        if let Some(grain) = first {
            driver.follow(&grain);
        }
        let task = Mutex::new(Some(tokio::spawn(driver.run())));
        Self {
            inner: Arc::new(Inner {
                commands,
                shared,
                store: StoreRef(store),
                task,
                #[cfg(feature = "metrics")]
                metrics,
                #[cfg(feature = "metrics")]
                sampler: Mutex::new(sampler),
            }),
        }
    }

    /// Follows one grain, whether the log knows it yet or not; to follow it twice is to follow it once.
    ///
    /// # Errors
    /// `Ended`.
    ///
    /// # Cancel safety
    /// The grain may be followed.
    pub async fn follow(&self, grain: GrainId) -> Result<GrainControl, FollowError> {
        self.follow_at(grain, Interval::default()).await
    }

    /// As [`Self::follow`], polling the grain by itself every `interval`, at least 1 ms, besides what a
    /// feed says of it: for the few grains that must be fresher than the rest. A grain that is followed
    /// keeps the interval it has. A follower tells 65,535 intervals apart; further ones are its own.
    ///
    /// # Errors
    /// `Ended`.
    ///
    /// # Cancel safety
    /// The grain may be followed.
    pub async fn follow_every(
        &self,
        grain: GrainId,
        interval: Duration,
    ) -> Result<GrainControl, FollowError> {
        self.follow_at(grain, Interval(Some(interval))).await
    }

    async fn follow_at(
        &self,
        grain: GrainId,
        interval: Interval,
    ) -> Result<GrainControl, FollowError> {
        let for_driver = grain.clone();
        self.ask(|reply| Command::Follow {
            grain: for_driver,
            interval,
            reply,
        })
        .await?;
        Ok(self.control(grain))
    }

    /// Follows every grain in the filter (a type, a key prefix, slices, a share of the population): those
    /// that the log names now, and each new one when the feed names it. Returns when all pages of heads
    /// have been listed; their replicas may still be on the way ([`Self::bootstrap`] says how far,
    /// [`Self::ready`] and [`Self::caught_up`] wait).
    ///
    /// # Errors
    /// `Ended`. A log that cannot be reached is waited for.
    ///
    /// # Cancel safety
    /// The filter is followed all the same.
    pub async fn follow_all(&self, filter: Filter) -> Result<(), FollowError> {
        self.ask(|reply| Command::FollowAll { filter, reply }).await
    }

    /// Stops following one grain, after the operation in flight. Its replica stays in the store. A
    /// filter that includes it does not bring it back; [`Self::follow`] does.
    ///
    /// # Errors
    /// `Ended`.
    ///
    /// # Cancel safety
    /// The grain is unfollowed all the same.
    pub async fn unfollow(&self, grain: &GrainId) -> Result<(), FollowError> {
        let grain = grain.clone();
        self.ask(|reply| Command::Unfollow { grain, reply }).await
    }

    /// A control handle to a grain, followed or not.
    pub fn control(&self, grain: GrainId) -> GrainControl {
        GrainControl::new(
            grain,
            self.inner.shared.clone(),
            self.inner.commands.downgrade(),
        )
    }

    /// Polls feeds, and grains that no feed covers, at once.
    ///
    /// # Errors
    /// `Ended`.
    ///
    /// # Cancel safety
    /// They poll all the same.
    pub async fn poll_now(&self) -> Result<(), FollowError> {
        self.ask(|reply| Command::PollNow { reply }).await
    }

    /// Returns when every grain that is followed has been compared with the log once: it is in step,
    /// or is known to stand otherwise.
    ///
    /// # Errors
    /// `Ended`.
    ///
    /// # Cancel safety
    /// Waits only.
    pub async fn ready(&self) -> Result<(), FollowError> {
        self.ask(|reply| Command::Ready { reply }).await
    }

    /// Returns when every grain that the log held at the moment of the call, and the follower follows,
    /// has been proved in step at that moment or later, by answers to requests sent after the call.
    /// Grains that will not move by waiting do not hold it up; they are counted apart.
    ///
    /// # Errors
    /// `Ended`, `NotConfirming`.
    ///
    /// # Cancel safety
    /// Waits only.
    pub async fn caught_up(&self) -> Result<CaughtUp, FollowError> {
        self.ask(|reply| Command::CaughtUp { reply }).await?
    }

    /// Accepts the log that is followed now in place of the one that the store belonged to: binds the
    /// store to it and puts its base..head in the place of every foreign replica. Replicas of grains
    /// that this log does not have are kept, served and marked as before. Returns how many were
    /// rebased and how many were not. A paused one is not: resume it and call again.
    ///
    /// # Errors
    /// `Ended`; `Failed` if log or store could not be asked: some replicas may have been rebased, and
    /// the same call again goes on.
    ///
    /// # Cancel safety
    /// May have happened, or go on happening.
    pub async fn rebase_foreign(&self) -> Result<(usize, usize), FollowError> {
        let replies = self.ask(|reply| Command::RebaseForeign { reply }).await??;
        let mut counts = (0, 0);
        for reply in replies {
            match reply.await {
                Ok(Ok(Reply::Done(_))) => counts.0 += 1,
                _ => counts.1 += 1,
            }
        }
        Ok(counts)
    }

    /// A reader of values in the default codec.
    pub fn reader<T: serde::Serialize + DeserializeOwned>(&self) -> Reader<T> {
        self.reader_with(Bincode)
    }

    /// A reader of bytes as they are.
    pub fn raw_reader(&self) -> RawReader {
        self.reader_with(Raw)
    }

    /// A reader of values in your own codec.
    pub fn reader_with<T, C: Codec<T>>(&self, codec: C) -> Reader<T, C> {
        Reader::new(self.inner.shared.clone(), self.inner.store.0.clone(), codec)
    }

    /// A stream of the grains whose replicas move from now on.
    pub fn changes(&self) -> ChangeStream {
        self.inner.shared.stream()
    }

    /// A watch on one grain, followed or not.
    pub fn watch(&self, grain: &GrainId) -> GrainWatch {
        GrainWatch::new(self.inner.shared.clone(), grain.clone())
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.inner.shared.counts.progress()
    }

    /// How far it is with comparing what it follows with the log for the first time.
    ///
    /// # Cost
    /// Some atomic words and a short lock: as often as a bar is drawn.
    pub fn bootstrap(&self) -> Bootstrap {
        self.inner.shared.bootstrap()
    }

    /// The `most` followed grains that are worst off, worst first: those that were never proved in step
    /// since they were followed, which have no age, then the oldest. Ages are as a reader is told them
    /// (C1 to C5), none too small.
    ///
    /// # Cost
    /// A walk over all followed grains, some 20 ns each: for an operator or an alarm, not for every
    /// request. It holds nobody up.
    pub fn worst(&self, most: usize) -> Vec<(GrainId, Option<Duration>, Health)> {
        survey::worst(&self.inner.shared, most)
    }

    /// Tells the `metrics` facade how the follower stands now. The metrics, by name, are in
    /// `docs/metrics.md`; call this as often as they are scraped, or let the follower do it
    /// ([`FollowerBuilder::sample_every`]).
    ///
    /// The first sample registers every handle with the recorder that is installed then: install it
    /// before. A number that is never sampled costs nothing.
    ///
    /// # Cost
    /// A walk over all followed grains, some 20 ns each, and 54 handles. It holds no
    /// reader up, and takes the thread that calls it for that long: some 20 ms for a million grains.
    #[cfg(feature = "metrics")]
    pub fn sample(&self) {
        self.inner.metrics.sample(&self.inner.shared);
    }

    /// Ends the follower: nothing new begins; what is being applied is applied, what is being read is
    /// waited for and dropped; then it is gone. A call of log or store that never returns holds it up:
    /// give it a timeout and drop the handles, which ends it at once. Readers go on to serve what the
    /// store holds.
    ///
    /// # Cancel safety
    /// It ends all the same.
    pub async fn shutdown(&self) {
        let (reply, ended) = oneshot::channel();
        if self
            .inner
            .commands
            .send(Command::Shutdown { reply })
            .await
            .is_ok()
        {
            // An error means that it has ended, which is what was asked for.
            let _ = ended.await;
        }
        let task = self.inner.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
            && error.is_panic()
        {
            tracing::error!(%error, "the follower's driver panicked");
        }
        #[cfg(feature = "metrics")]
        if self.inner.sampler.lock().take().is_some() {
            self.sample();
        }
    }

    /// A reader of a grain that may not be followed yet.
    pub(crate) fn reader_of<T, C: Codec<T>>(&self, grain: &GrainId, codec: C) -> GrainReader<T, C> {
        let cell = self.inner.shared.find(grain);
        self.reader_with(codec)
            .bound_to(grain.clone(), cell.unwrap_or_else(CellRef::retired))
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, FollowError> {
        let (reply, answer) = oneshot::channel();
        self.inner
            .commands
            .send(command(reply))
            .await
            .map_err(|_| FollowError::Ended)?;
        answer.await.map_err(|_| FollowError::Ended)
    }
}

/// Describes a [`Follower`]; defaults are those of [`Settings`].
#[must_use = "nothing is followed until spawn"]
pub struct FollowerBuilder {
    log: Arc<dyn ReplicationLog>,
    store: Arc<dyn ReplicaStore>,
    settings: Settings,
}

impl std::fmt::Debug for FollowerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FollowerBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl FollowerBuilder {
    setters!();

    /// Sets whether the log's wake-ups shorten the waits, and whether entries that it sends unasked are
    /// applied. Default true.
    pub fn hints(mut self, on: bool) -> Self {
        self.settings.hints = on;
        self
    }

    /// Sets how many grains one `catch_up` asks for; at least one. Default 1,000.
    pub fn grains_per_read(mut self, grains: usize) -> Self {
        self.settings.grains_per_read = grains.max(1);
        self
    }

    /// Sets how many reads are in flight at once; at least one. Default 4.
    pub fn reads_in_flight(mut self, reads: usize) -> Self {
        self.settings.reads_in_flight = reads.max(1);
        self
    }

    /// Sets among how many tasks the actors are dealt out; at least one, at most 64, and at most as many as
    /// there are reads in flight. Default: the machine's cores.
    pub fn shards(mut self, shards: usize) -> Self {
        self.settings.shards = Some(shards.max(1));
        self
    }

    /// Sets how long one slow look at the heads of all grains takes, the net for a log that loses its tail
    /// and cannot show it (L11). Default 10 minutes; `Duration::MAX` for never.
    pub fn sweep(mut self, interval: Duration) -> Self {
        self.settings.sweep = interval;
        self
    }

    /// Starts the follower on the current runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn spawn(self) -> Follower {
        Follower::start(self.log, self.store, self.settings, None)
    }
}
