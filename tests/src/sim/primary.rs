//! The primaries: processes that open grains, publish, take grains over, and die.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gleaner::{
    Compaction, Cursor, DeltaOptions, GrainId, GrainPublisher, Mode, PublishError, Publisher,
    Writer,
};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::log::SimLog;
use super::process::Process;
use super::rng::Rng;
use super::seen::Seen;
use super::states::{KNOWN, NEWER, Writing, delta, state};
use super::wire::Wire;
use super::world::{Phase, World};

/// After how many deltas a publisher is asked for its whole state.
pub(crate) const FULL_EVERY: u64 = 8;

/// One primary: a process that is started again after each end.
pub(crate) struct Primary {
    pub(crate) number: u64,
    wire: Arc<Wire>,
    /// The process of this moment, for those who hold processes up.
    pub(crate) process: Mutex<Option<Arc<Process>>>,
    /// How often all was written in the calm.
    rounds: AtomicU64,
}

/// A grain that this process has open.
#[derive(Clone)]
struct Open {
    handle: GrainPublisher,
    /// The newest cursor that was given out by it.
    last: Cursor,
}

impl Primary {
    pub(crate) fn new(number: u64, wire: Arc<Wire>) -> Self {
        Self {
            number,
            wire,
            process: Mutex::new(None),
            rounds: AtomicU64::new(0),
        }
    }

    fn world(&self) -> &Arc<World> {
        &self.wire.world
    }

    /// Lives, dies and lives again until the world is calm; what is open then is flushed.
    pub(crate) async fn run(&self) {
        let world = self.world().clone();
        let mut lives = Rng::stream(world.shape.seed, "primary lives", self.number);
        let mut incarnation = 0;
        while world.phase() == Phase::Chaos {
            let (life, down) = (lives.millis(500, 6_000), lives.millis(10, 800));
            let graceful = lives.chance(250);
            self.live(incarnation, life, graceful).await;
            incarnation += 1;
            tokio::select! {
                biased;
                () = world.reached(Phase::Calm) => {}
                () = sleep(down) => {}
            }
        }
    }

    pub(crate) fn publisher(&self, process: &Arc<Process>, incarnation: u64) -> Publisher {
        let world = self.world();
        let shape = &world.shape;
        let unique = self.number * 1_000 + incarnation;
        let mut names = Rng::stream(shape.seed, "writers", unique);
        let log = SimLog::primary(self.wire.clone(), process.clone());
        Publisher::builder(Arc::new(log))
            .source(process.name.clone())
            .schema(KNOWN)
            .seed(names.next())
            .writer(Writer::new(names.next()))
            .mode(shape.batched.map_or(Mode::Immediate, Mode::Batched))
            .coalesce(shape.coalesce)
            .max_buffered_bytes(shape.room)
            .compaction(shape.keep.map_or_else(Compaction::never, Compaction::keep))
            .backoff(Duration::from_millis(10), Duration::from_millis(500))
            .call_timeout(Duration::from_millis(1_500))
            .spawn()
    }

    async fn live(&self, incarnation: u64, life: Duration, graceful: bool) {
        let world = self.world().clone();
        let name = format!("primary{}.{incarnation}", self.number);
        let index = self.number * 1_000 + incarnation;
        let faults = Rng::stream(world.shape.seed, "primary faults", index);
        let process = Arc::new(Process::new(name.clone(), faults));
        *self.process.lock() = Some(process.clone());
        world.trace(|| format!("{name} starts"));
        let publisher = self.publisher(&process, incarnation);
        let mut tasks = JoinSet::new();
        let crash = tokio::select! {
            biased;
            () = world.reached(Phase::Calm) => false,
            () = self.work(index, &process, &publisher, &mut tasks) => false,
            () = async {
                sleep(life).await;
                // A crash that is masked is none.
                if !graceful && !world.fault(|| format!("{name} crashes")) {
                    std::future::pending::<()>().await;
                }
            } => !graceful,
        };
        if crash {
            world.count(|counts| counts.crashes += 1);
            process.kill();
            tasks.abort_all();
        } else {
            // What was taken is durable in the end, or its callers are told why not.
            let ended = timeout(Duration::from_secs(20), publisher.shutdown()).await;
            world.trace(|| format!("{name} ends: {ended:?}"));
            process.kill();
            tasks.abort_all();
        }
        drop(publisher);
    }

    async fn work(
        &self,
        index: u64,
        process: &Arc<Process>,
        publisher: &Publisher,
        tasks: &mut JoinSet<()>,
    ) {
        let world = self.world().clone();
        let mut rng = Rng::stream(world.shape.seed, "work", index);
        let mut unique = Rng::stream(world.shape.seed, "states", index);
        let mut open: BTreeMap<GrainId, Open> = BTreeMap::new();
        loop {
            while tasks.try_join_next().is_some() {}
            sleep(rng.millis(1, world.shape.pace)).await;
            process.turn().await;
            let Some(grain) = self.choose(&mut rng) else {
                continue;
            };
            if let Some(known) = open.get(&grain)
                && known.handle.status().stopped.is_some()
            {
                open.remove(&grain);
                // Another has it: mostly let it.
                if rng.chance(700) {
                    continue;
                }
            }
            if !open.contains_key(&grain) {
                let opening = self.open(publisher, &grain, unique.next());
                match timeout(Duration::from_secs(8), opening).await {
                    Ok(Ok(handle)) => {
                        world.opened(&grain, self.number);
                        let last = handle.acked();
                        open.insert(grain.clone(), Open { handle, last });
                    }
                    Ok(Err(error)) => world.trace(|| format!("{} open: {error}", process.name)),
                    Err(_) => world.trace(|| format!("{} open: no answer", process.name)),
                }
                continue;
            }
            if let Some(known) = open.get_mut(&grain) {
                act(&world, process, &mut rng, unique.next(), known, tasks);
            }
            self.measure(&open);
        }
    }

    /// Mostly one of its own; now and then another's, to take it over.
    fn choose(&self, rng: &mut Rng) -> Option<GrainId> {
        let shape = &self.world().shape;
        let at = rng.below(shape.grains.len() as u64);
        let stranger = rng.chance(60);
        let grain = shape.grains.get(usize::try_from(at).ok()?)?;
        (stranger || at % shape.primaries == self.number).then(|| grain.clone())
    }

    async fn open(
        &self,
        publisher: &Publisher,
        grain: &GrainId,
        unique: u64,
    ) -> Result<GrainPublisher, PublishError> {
        if self.world().shape.deltas == 0 {
            return publisher.open(grain.clone()).await;
        }
        let options = DeltaOptions::new(Arc::new(Writing), state(unique)).full_every(FULL_EVERY);
        publisher.delta_grain(grain.clone(), options).await
    }

    fn measure(&self, open: &BTreeMap<GrainId, Open>) {
        let entries = open.values().map(|open| open.handle.status().pending).sum();
        self.world().saw(&Seen::Buffered {
            primary: self.number,
            entries,
            room: self.world().shape.room,
        });
    }

    /// In a calm world: opens every grain and writes it whole.
    pub(crate) async fn write_all(&self) -> Result<(), String> {
        let world = self.world().clone();
        let round = self.rounds.fetch_add(1, Ordering::Relaxed);
        let faults = Rng::stream(world.shape.seed, "last primary", round);
        let process = Arc::new(Process::new(format!("last primary {round}"), faults));
        let publisher = self.publisher(&process, 900 + round);
        let mut unique = Rng::stream(world.shape.seed, "last states", round);
        for grain in &world.shape.grains {
            let handle = publisher
                .open(grain.clone())
                .await
                .map_err(|error| format!("{grain} cannot be opened: {error}"))?;
            let cursor = handle
                .publish_bytes(state(unique.next()))
                .await
                .map_err(|error| format!("{grain} cannot be written: {error}"))?;
            world.saw(&Seen::Acked {
                grain: grain.clone(),
                cursor,
            });
        }
        publisher
            .shutdown()
            .await
            .map_err(|error| error.to_string())
    }
}

/// One act of a publisher on one grain.
fn act(
    world: &Arc<World>,
    process: &Arc<Process>,
    rng: &mut Rng,
    unique: u64,
    open: &mut Open,
    tasks: &mut JoinSet<()>,
) {
    let (kind, how, bad, patience) = (
        rng.below(1000),
        rng.below(100),
        rng.chance(world.shape.bad),
        rng.millis(1, 60),
    );
    let deltas = world.shape.deltas * 9 / 10;
    let mut handle = open.handle.clone();
    if bad && kind >= deltas {
        handle = handle.with_schema(NEWER);
    }
    let what = if kind < deltas {
        Act::Delta(delta(unique, bad))
    } else if kind >= 950 {
        Act::Delete
    } else {
        Act::Full(state(unique))
    };
    // Without waiting, so that numbers are known in the order of the acts.
    if how < 15
        && let Act::Full(state) = &what
    {
        if let Ok(cursor) = handle.try_enqueue_bytes(state.clone()) {
            open.last = open.last.max(cursor);
            world.saw(&Seen::Given {
                process: process.name.clone(),
                writer: handle.writer(),
                grain: handle.id().clone(),
                cursor,
            });
        }
        return;
    }
    if (15..25).contains(&how) {
        let (world, last) = (world.clone(), open.last);
        tasks.spawn(async move {
            if handle.flush().await.is_ok() {
                acked(&world, &handle, last);
            }
        });
        return;
    }
    let impatient = how >= 85;
    let (world, process) = (world.clone(), process.clone());
    tasks.spawn(async move {
        let publishing = async {
            match what {
                Act::Full(state) => handle.publish_bytes(state).await,
                Act::Delta(delta) => handle.publish_delta(delta).await,
                Act::Delete => handle.delete().await,
            }
        };
        let answer = if impatient {
            // P7: the caller gives up.
            match timeout(patience, publishing).await {
                Ok(answer) => answer,
                Err(_) => return,
            }
        } else {
            publishing.await
        };
        match answer {
            Ok(cursor) => {
                world.saw(&Seen::Given {
                    process: process.name.clone(),
                    writer: handle.writer(),
                    grain: handle.id().clone(),
                    cursor,
                });
                acked(&world, &handle, cursor);
            }
            Err(error) => world.trace(|| format!("caller {} told: {error}", handle.id())),
        }
    });
}

enum Act {
    Full(bytes::Bytes),
    Delta(bytes::Bytes),
    Delete,
}

fn acked(world: &World, handle: &GrainPublisher, cursor: Cursor) {
    // A flush of nothing acknowledges nothing.
    if cursor != Cursor::ZERO && cursor.epoch == handle.epoch() {
        world.saw(&Seen::Acked {
            grain: handle.id().clone(),
            cursor,
        });
    }
}
