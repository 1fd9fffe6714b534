//! [`RigLog`]: a memory log whose answers can be held back, refused, aged and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use gleaner_core::{
    Appended, Budget, CatchUp, Caught, ChangeFeed, Changes, Claim, Cursor, Entry, Error, Filter,
    GrainId, Head, HeadPage, Identity, Limits, Page, Position, Pushed, PushedRun, ReplicationLog,
    Result, Truncation,
};
use gleaner_memory::MemoryLog;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Gate;

/// How the log's wake-ups behave.
#[derive(Clone, Copy)]
pub(crate) enum Hints {
    /// As the memory log gives them.
    True = 0,
    /// None ever comes.
    Lost = 1,
    /// One comes at every moment, whether anything moved or not.
    Storm = 2,
}

pub(crate) struct RigLog {
    inner: Mutex<MemoryLog>,
    pub(crate) catch_up: Gate,
    pub(crate) reads: Gate,
    pub(crate) start: Gate,
    pub(crate) changes: Gate,
    pub(crate) lists: Gate,
    pub(crate) identities: Gate,
    /// Grains asked for in `catch_up`.
    pub(crate) grains: AtomicUsize,
    /// Entries that left the log.
    pub(crate) entries: AtomicUsize,
    /// Their payload bytes.
    pub(crate) bytes: AtomicUsize,
    has_feed: AtomicBool,
    confirms: AtomicBool,
    deferring: AtomicBool,
    hints: AtomicU8,
    age: AtomicU64,
    page: AtomicUsize,
    /// A grain whose head it cannot read, as the sweep asks.
    pub(crate) damaged: Mutex<Option<GrainId>>,
    /// Calls of `heads`.
    pub(crate) heads: AtomicUsize,
    /// What is to be sent unasked.
    sends: Mutex<VecDeque<Pushed>>,
    sending: Notify,
    /// Sends nothing, over and over.
    babbles: AtomicBool,
    /// Who listens for what is sent, and waits.
    pub(crate) listeners: Gate,
    /// A grain whose tail is lost, unseen, above this head.
    lost: Mutex<Option<(GrainId, Head)>>,
}

impl RigLog {
    pub(super) fn new() -> Self {
        Self {
            inner: Mutex::new(MemoryLog::new()),
            catch_up: Gate::new(),
            reads: Gate::new(),
            start: Gate::new(),
            changes: Gate::new(),
            lists: Gate::new(),
            identities: Gate::new(),
            grains: AtomicUsize::new(0),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            has_feed: AtomicBool::new(true),
            confirms: AtomicBool::new(true),
            deferring: AtomicBool::new(false),
            hints: AtomicU8::new(Hints::True as u8),
            age: AtomicU64::new(0),
            page: AtomicUsize::new(usize::MAX),
            damaged: Mutex::default(),
            heads: AtomicUsize::new(0),
            sends: Mutex::default(),
            sending: Notify::new(),
            babbles: AtomicBool::new(false),
            listeners: Gate::new(),
            lost: Mutex::new(None),
        }
    }

    /// The log behind it, past all faults and counts.
    pub(crate) fn current(&self) -> MemoryLog {
        self.inner.lock().clone()
    }

    /// The log is deleted and begun anew.
    pub(crate) fn begin_anew(&self) {
        let former = std::mem::take(&mut *self.inner.lock());
        // Whoever waits on the former is woken, as a broken connection would.
        former.fork_history();
    }

    /// A former log is put back.
    pub(crate) fn put_back(&self, log: MemoryLog) {
        let former = std::mem::replace(&mut *self.inner.lock(), log);
        former.fork_history();
    }

    pub(crate) fn without_feed(&self) {
        self.has_feed.store(false, Ordering::SeqCst);
    }

    pub(crate) fn without_confirming(&self) {
        self.confirms.store(false, Ordering::SeqCst);
    }

    /// Puts every grain off, whatever the budget.
    pub(crate) fn defer_all(&self, on: bool) {
        self.deferring.store(on, Ordering::SeqCst);
    }

    pub(crate) fn hint(&self, how: Hints) {
        self.hints.store(how as u8, Ordering::SeqCst);
    }

    /// What every page of changes states as its age.
    pub(crate) fn state_age(&self, age: Duration) {
        let age = u64::try_from(age.as_millis()).unwrap();
        self.age.store(age, Ordering::SeqCst);
    }

    /// The most names in a page of changes or heads.
    pub(crate) fn page_of(&self, names: usize) {
        self.page.store(names, Ordering::SeqCst);
    }

    /// A grain's head is this one from now on, and nothing shows that it went back.
    pub(crate) fn lose_unseen(&self, grain: GrainId, left: Head) {
        *self.lost.lock() = Some((grain, left));
    }

    /// Sends entries unasked, each as a run of its own, as read from a log of this identity.
    pub(crate) fn send_as(&self, identity: Identity, runs: Vec<PushedRun>) {
        self.sends.lock().push_back(Pushed { identity, runs });
        self.sending.notify_one();
    }

    /// What was to be sent and was not asked for.
    pub(crate) fn unsent(&self) -> usize {
        self.sends.lock().len()
    }

    pub(crate) fn babble(&self, on: bool) {
        self.babbles.store(on, Ordering::SeqCst);
        self.sending.notify_waiters();
    }

    pub(crate) fn entries_read(&self) -> usize {
        self.entries.load(Ordering::SeqCst)
    }

    fn count<'a>(&self, entries: impl IntoIterator<Item = &'a Entry>) {
        for entry in entries {
            self.entries.fetch_add(1, Ordering::SeqCst);
            self.bytes
                .fetch_add(entry.payload().len(), Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl ReplicationLog for RigLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        self.current().append_batch(entries).await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        self.current().claim(claims).await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        self.reads.enter()?;
        self.heads.fetch_add(1, Ordering::SeqCst);
        if let Some(damaged) = self.damaged.lock().as_ref()
            && grains.contains(damaged)
        {
            return Err(Error::permanent("rig", "damaged").of(damaged));
        }
        let mut heads = self.current().heads(grains).await?;
        if let Some((lost, left)) = &*self.lost.lock() {
            for (grain, head) in grains.iter().zip(&mut heads) {
                if grain == lost {
                    *head = Some(*left);
                }
            }
        }
        Ok(heads)
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        self.lists.enter()?;
        let limit = limit.min(self.page.load(Ordering::SeqCst));
        let answer = self.current().list_heads(filter, after, limit).await;
        self.lists.pass().await;
        answer
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        self.reads.enter()?;
        let answer = self.current().read_from(grain, after, budget).await;
        self.reads.pass().await;
        if let Ok(page) = &answer {
            self.count(&page.entries);
        }
        answer
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        self.current().truncate(grain, before).await
    }

    fn limits(&self) -> Limits {
        self.current().limits()
    }

    async fn identity(&self) -> Result<Identity> {
        self.identities.enter()?;
        self.current().identity().await
    }

    fn confirms(&self) -> bool {
        self.confirms.load(Ordering::SeqCst)
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        self.catch_up.enter()?;
        self.grains.fetch_add(wants.len(), Ordering::SeqCst);
        let mut answer = self.current().catch_up(wants, budget).await;
        self.catch_up.pass().await;
        if let Ok(answer) = &mut answer {
            if self.deferring.load(Ordering::SeqCst) {
                answer.grains.fill_with(|| Caught::Deferred);
            }
            if let Some((lost, left)) = &*self.lost.lock() {
                for ((grain, _), caught) in wants.iter().zip(&mut answer.grains) {
                    if let Caught::Run(run) = caught
                        && grain == lost
                    {
                        run.head = Some(*left);
                    }
                }
            }
            for caught in &answer.grains {
                if let Caught::Run(run) = caught {
                    self.count(&run.entries);
                }
            }
        }
        answer
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.has_feed.load(Ordering::SeqCst).then_some(self)
    }
}

#[async_trait]
impl ChangeFeed for RigLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        self.start.enter()?;
        let answer = self.current().start(filter).await;
        self.start.pass().await;
        answer
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        self.changes.enter()?;
        let limit = limit.min(self.page.load(Ordering::SeqCst));
        let mut answer = self.current().changes(since, filter, limit).await;
        self.changes.pass().await;
        if let Ok(page) = &mut answer {
            page.age = Duration::from_millis(self.age.load(Ordering::SeqCst));
        }
        answer
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        match self.hints.load(Ordering::SeqCst) {
            0 => self.current().wait(since, at_most).await,
            1 => tokio::time::sleep(at_most).await,
            _ => tokio::task::yield_now().await,
        }
    }

    /// Whatever is sent goes to whoever asks: a follower trusts no filter but its own.
    async fn pushed(&self, _: &Filter) -> Pushed {
        let _ = self.listeners.enter();
        let _counted = self.listeners.count();
        loop {
            if let Some(pushed) = self.sends.lock().pop_front() {
                return pushed;
            }
            if self.babbles.load(Ordering::SeqCst) {
                let identity = self.current().identity().await.unwrap();
                let runs = Vec::new();
                return Pushed { identity, runs };
            }
            self.sending.notified().await;
        }
    }
}
