//! [`SimLog`]: the log as one process sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gleaner::memory::MemoryLog;
use gleaner::{
    Appended, Budget, CatchUp, ChangeFeed, Changes, Claim, Cursor, Entry, Error, ErrorKind, Filter,
    GrainId, Head, HeadPage, Identity, Limits, Page, Position, Pushed, ReplicationLog, Result,
    Truncation,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::process::Process;
use super::pushes::Inbox;
use super::rng::Rng;
use super::seen::Seen;
use super::wire::{Reads, Wire, call};
use super::world::World;

/// One process's way to the log.
pub(crate) struct SimLog {
    wire: Arc<Wire>,
    process: Arc<Process>,
    /// Whether it reads an asynchronous copy.
    lags: bool,
    /// The newest moment of the log that this process was given a page of: a cache does not go back
    /// behind it.
    given: Arc<Mutex<Option<Instant>>>,
    /// Which pages are short because few grains pass their filter.
    sparse: Mutex<Rng>,
    /// What the log sends it unasked; nothing to a publisher.
    inbox: Option<Arc<Inbox>>,
}

impl SimLog {
    /// For a publisher: what it does is done to the log itself.
    pub(crate) fn primary(wire: Arc<Wire>, process: Arc<Process>) -> Self {
        Self::new(wire, process, false, None)
    }

    /// For a follower: what it reads may be an asynchronous copy.
    pub(crate) fn secondary(wire: Arc<Wire>, process: Arc<Process>) -> Self {
        let lags = !wire.world.shape.confirms;
        let inbox = Some(wire.outbox.open(lags));
        Self::new(wire, process, lags, inbox)
    }

    fn new(wire: Arc<Wire>, process: Arc<Process>, lags: bool, inbox: Option<Arc<Inbox>>) -> Self {
        let concern = format!("sparse pages of {}", process.name);
        let sparse = Rng::stream(wire.world.shape.seed, &concern, 0);
        Self {
            wire,
            process,
            lags,
            given: Arc::default(),
            sparse: Mutex::new(sparse),
            inbox,
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        what: &str,
        mut of: impl FnMut(&MemoryLog) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (wire, lags) = (self.wire.clone(), self.lags);
        call(&self.wire.world, &self.process, what, false, move || {
            if lags {
                of(&wire.lagging().0)
            } else {
                of(&wire.log)
            }
        })
        .await
    }

    /// Whether a page is as one of a backend that has passed over many other grains.
    fn sparse(&self) -> bool {
        self.wire.world.shape.sparse && self.sparse.lock().chance(300)
    }

    fn page(&self, limit: usize) -> usize {
        limit.min(self.wire.world.shape.page)
    }
}

/// Tells the invariants what a process sends, and what it is told. Dropped without an answer, it was
/// told nothing.
struct Sent {
    world: Arc<World>,
    process: String,
    grains: BTreeSet<GrainId>,
}

impl Sent {
    fn new(world: &Arc<World>, process: &str, entries: &[Entry]) -> Self {
        let mut units: BTreeMap<GrainId, Vec<_>> = BTreeMap::new();
        for entry in entries {
            let unit = units.entry(entry.grain().clone()).or_default();
            unit.push((entry.cursor(), entry.digest()));
        }
        let grains = units.keys().cloned().collect();
        for (grain, unit) in units {
            world.saw(&Seen::Sent {
                process: process.to_owned(),
                grain,
                unit,
            });
        }
        Self {
            world: world.clone(),
            process: process.to_owned(),
            grains,
        }
    }

    fn told(mut self, result: &Result<Vec<Appended>>) {
        let doubtful = |error: &Error| error.kind() == ErrorKind::Unknown;
        for grain in std::mem::take(&mut self.grains) {
            let definite = match result {
                Err(error) => !doubtful(error),
                Ok(answers) => answers.iter().any(|answer| answer.grain == grain),
            };
            self.tell(grain, definite);
        }
    }

    fn tell(&self, grain: GrainId, definite: bool) {
        self.world.saw(&Seen::Told {
            process: self.process.clone(),
            grain,
            definite,
        });
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        for grain in std::mem::take(&mut self.grains) {
            self.tell(grain, false);
        }
    }
}

#[async_trait]
impl ReplicationLog for SimLog {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        let sent = Sent::new(&self.wire.world, &self.process.name, entries);
        let (wire, entries) = (self.wire.clone(), entries.to_vec());
        let result = call(&self.wire.world, &self.process, "append", true, move || {
            wire.append(&entries)
        })
        .await;
        sent.told(&result);
        result
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        let (wire, claims) = (self.wire.clone(), claims.to_vec());
        call(&self.wire.world, &self.process, "claim", true, move || {
            wire.claim(&claims)
        })
        .await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let grains = grains.to_vec();
        self.read("heads", move |log| log.heads_of(&grains)).await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        let (filter, after, limit) = (filter.clone(), after.cloned(), self.page(limit));
        let sparse = self.sparse();
        self.read("list_heads", move |log| {
            if sparse {
                // The limit counts all that is looked at, and `next` may name another grain.
                let mut page = log.list(&Filter::all(), after.as_ref(), limit)?;
                page.heads.retain(|(grain, _)| filter.includes(grain));
                return Ok(page);
            }
            log.list(&filter, after.as_ref(), limit)
        })
        .await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        let grain = grain.clone();
        self.read("read_from", move |log| log.read(&grain, after, budget))
            .await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let (wire, grain) = (self.wire.clone(), grain.clone());
        call(
            &self.wire.world,
            &self.process,
            "truncate",
            true,
            move || wire.truncate(&grain, before),
        )
        .await
    }

    fn limits(&self) -> Limits {
        self.wire.log.limits()
    }

    async fn identity(&self) -> Result<Identity> {
        self.read("identity", Reads::name).await
    }

    fn confirms(&self) -> bool {
        !self.lags
    }

    async fn catch_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        let wants = wants.to_vec();
        self.read("catch_up", move |log| log.caught_up(&wants, budget))
            .await
    }

    fn feed(&self) -> Option<&dyn ChangeFeed> {
        self.wire.world.shape.feed.then_some(self)
    }
}

#[async_trait]
impl ChangeFeed for SimLog {
    async fn start(&self, filter: &Filter) -> Result<Position> {
        let filter = filter.clone();
        self.read("start", move |log| log.begin(&filter)).await
    }

    async fn changes(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        let (since, filter, limit) = (since.clone(), filter.clone(), self.page(limit));
        let world = &self.wire.world;
        let cached = {
            let drawn = self.process.faults.lock().chance(300);
            let name = &self.process.name;
            world.shape.cache
                && !self.lags
                && drawn
                && world.fault(|| format!("{name} changes: from a cache"))
        };
        let (wire, given, sparse) = (self.wire.clone(), self.given.clone(), self.sparse());
        self.read("changes", move |log| {
            if sparse && log.name()? == *since.identity() {
                // Nothing in the filter so far, and more to look at.
                return Ok(Changes {
                    moved: Vec::new(),
                    next: since.clone(),
                    complete: false,
                    age: Duration::ZERO,
                });
            }
            let now = Instant::now();
            let (copy, age) = wire.lagging();
            let newer = given.lock().is_none_or(|given| now - age > given);
            if cached
                && newer
                && let Ok(changes) = copy.moved(&since, &filter, limit)
            {
                return Ok(Changes { age, ..changes });
            }
            *given.lock() = Some(now);
            log.moved(&since, &filter, limit)
        })
        .await
    }

    async fn wait(&self, since: &Position, at_most: Duration) {
        self.process.turn().await;
        let (fate, late) = {
            let mut rng = self.process.faults.lock();
            (rng.below(100), rng.millis(1, 300))
        };
        let world = &self.wire.world;
        let name = &self.process.name;
        let faulty = world.shape.faults > 0 && fate < 30 && {
            world.fault(|| {
                let kind = match fate {
                    0..=9 => "lost",
                    10..=19 => "doubled",
                    _ => "late",
                };
                format!("{name} hint: {kind}")
            })
        };
        match fate {
            0..=9 if faulty => sleep(at_most).await,
            10..=19 if faulty => sleep(Duration::from_millis(1)).await,
            late_ones if faulty && late_ones < 30 => {
                self.wire.log.wait(since, at_most).await;
                sleep(late).await;
            }
            _ if self.lags => sleep(at_most).await,
            _ => self.wire.log.wait(since, at_most).await,
        }
        self.process.turn().await;
    }

    async fn pushed(&self, filter: &Filter) -> Pushed {
        let Some(inbox) = &self.inbox else {
            return std::future::pending().await;
        };
        let pushed = inbox.next(filter).await;
        self.process.turn().await;
        pushed
    }
}
