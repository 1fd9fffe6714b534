//! The secondaries: processes that follow, are read from, are told things by operators, and die.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gleaner::memory::MemoryReplicaStore;
use gleaner::{
    Budget, Cursor, Filter, Follower, GrainId, Health, RawReader, ReadError, ReadOptions,
    ReplicaStore,
};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use super::log::SimLog;
use super::process::{Clocks, Process};
use super::rng::Rng;
use super::seen::{Got, Seen, Stage};
use super::shape::Way;
use super::states::Following;
use super::store::SimStore;
use super::wire::Wire;
use super::world::{Phase, World};

/// One secondary: a store that lasts, and a process over it that is started again after each end.
pub(crate) struct Secondary {
    pub(crate) number: u64,
    wire: Arc<Wire>,
    pub(crate) store: MemoryReplicaStore,
    pub(crate) clocks: Arc<Clocks>,
    now: Mutex<Option<Running>>,
}

/// The process of this moment.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) process: Arc<Process>,
    pub(crate) follower: Follower,
    reader: RawReader,
    /// What operators have paused.
    paused: Held,
    /// What they have unfollowed.
    unfollowed: Held,
}

type Held = Arc<Mutex<BTreeSet<GrainId>>>;

/// How long an operator waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);

impl Secondary {
    pub(crate) fn new(number: u64, wire: Arc<Wire>) -> Self {
        Self {
            number,
            wire,
            store: MemoryReplicaStore::new().with_fold(Arc::new(Following)),
            clocks: Arc::new(Clocks::new()),
            now: Mutex::new(None),
        }
    }

    fn world(&self) -> &Arc<World> {
        &self.wire.world
    }

    pub(crate) fn running(&self) -> Option<Running> {
        self.now.lock().clone()
    }

    /// Lives, dies and lives again until the world is calm; the last life goes on.
    pub(crate) async fn run(&self) {
        let world = self.world().clone();
        let mut lives = Rng::stream(world.shape.seed, "secondary lives", self.number);
        for incarnation in 0.. {
            let (life, down) = (lives.millis(500, 8_000), lives.millis(10, 500));
            let graceful = lives.chance(300);
            let running = self.start(incarnation);
            let name = running.process.name.clone();
            tokio::select! {
                biased;
                () = world.reached(Phase::Calm) => return,
                () = async {
                    sleep(life).await;
                    if !world.fault(|| format!("{name} crashes")) {
                        std::future::pending::<()>().await;
                    }
                } => {}
            }
            self.now.lock().take();
            if graceful {
                let ended = timeout(PATIENCE, running.follower.shutdown()).await;
                world.trace(|| format!("{name} ended: {}", ended.is_ok()));
            }
            world.count(|counts| counts.crashes += 1);
            running.process.kill();
            drop(running);
            sleep(down).await;
        }
    }

    fn start(&self, incarnation: u64) -> Running {
        let world = self.world();
        let shape = &world.shape;
        let name = format!("secondary{}.{incarnation}", self.number);
        let index = self.number * 1_000 + incarnation;
        let faults = Rng::stream(shape.seed, "secondary faults", index);
        let process = Arc::new(Process::new(name, faults));
        let log = SimLog::secondary(self.wire.clone(), process.clone());
        let store = SimStore::new(
            world.clone(),
            process.clone(),
            self.number,
            self.store.clone(),
        );
        let seed = Rng::stream(shape.seed, "jitter", index).next();
        let shards = &mut Rng::stream(shape.seed, "shards", index);
        let follower = Follower::builder(Arc::new(log), Arc::new(store))
            .shards(usize::try_from(shards.between(1, 3)).unwrap_or(1))
            .sweep(shards.millis(200, 5_000))
            .poll_interval(shape.poll)
            .backoff(Duration::from_millis(10), Duration::from_millis(500))
            .call_timeout(shape.patience)
            .read_budget(Budget::new(shape.entries, 1 << 20))
            .grains_per_read(3)
            .reads_in_flight(3)
            .hints(shape.hints)
            .seed(u32::try_from(seed >> 32).unwrap_or(0))
            .clock(self.clocks.clone())
            .spawn();
        world.trace(|| format!("{} starts", process.name));
        let running = Running {
            process,
            reader: follower.raw_reader(),
            follower,
            paused: Arc::default(),
            unfollowed: Arc::default(),
        };
        *self.now.lock() = Some(running.clone());
        let (follower, grains) = (running.follower.clone(), shape.grains.clone());
        tokio::spawn(follow(follower, shape.way, shape.rules.clone(), grains));
        running
    }

    /// Reads, as long as the world lasts.
    pub(crate) async fn read(&self) {
        let world = self.world().clone();
        let mut rng = Rng::stream(world.shape.seed, "reads", self.number);
        loop {
            sleep(rng.millis(2, 120)).await;
            let (Some(grain), kind, age, wait) = (
                rng.pick(&world.shape.grains).cloned(),
                rng.below(100),
                rng.millis(1, 2_000),
                rng.millis(1, 500),
            ) else {
                continue;
            };
            let Some(running) = self.running().filter(|running| !running.process.is_held()) else {
                continue;
            };
            let at_least = (kind >= 60)
                .then(|| self.some_cursor(&grain, &mut rng))
                .flatten();
            let max_age = (kind % 3 == 0).then_some(age);
            let mut options = ReadOptions::default();
            if let Some(at_least) = at_least {
                options = options.and_at_least(at_least);
            }
            if let Some(max_age) = max_age {
                options = options.and_max_age(max_age);
            }
            if world.shape.resident && kind < 50 {
                let answer = if kind < 20 {
                    running
                        .reader
                        .handle(&grain)
                        .and_then(|handle| handle.get(options))
                } else {
                    running.reader.get(&grain, options)
                };
                self.tell(&grain, at_least, max_age, answer);
            } else {
                let options = options.wait(if kind % 2 == 0 { wait } else { Duration::ZERO });
                let reading = running.reader.get_when(&grain, options);
                // A process that is gone, or held up, gives its reader no answer.
                if let Ok(answer) = timeout(PATIENCE, reading).await {
                    self.tell(&grain, at_least, max_age, answer);
                }
            }
        }
    }

    /// A cursor that somebody may ask for: of what was written, lost or not.
    fn some_cursor(&self, grain: &GrainId, rng: &mut Rng) -> Option<Cursor> {
        let draw = rng.next();
        self.world().truth(|truth| {
            let written = &truth.grain(grain)?.written;
            let back = usize::try_from(draw % 4).ok()?;
            let at = written.len().checked_sub(1 + back)?;
            written.get(at).map(|written| written.cursor)
        })
    }

    fn tell(
        &self,
        grain: &GrainId,
        at_least: Option<Cursor>,
        max_age: Option<Duration>,
        answer: Result<gleaner::Answer<gleaner::RawState>, ReadError>,
    ) {
        let got = match answer {
            Ok(answer) => Got::Answer {
                state: Some(answer.state.into()),
                cursor: answer.cursor,
                age: answer.age,
                health: Some(answer.health),
            },
            Err(ReadError::Absent { cursor, age }) => Got::Answer {
                state: None,
                cursor,
                age,
                health: None,
            },
            Err(ReadError::Lost { wanted, cursor }) => Got::Lost { wanted, cursor },
            Err(_) => return,
        };
        self.world().saw(&Seen::Read {
            follower: self.number,
            grain: grain.clone(),
            at_least,
            max_age,
            got,
        });
    }

    /// Tells grains things, as operators do, until the world is calm.
    pub(crate) async fn operate(&self) {
        let world = self.world().clone();
        let mut rng = Rng::stream(world.shape.seed, "operators", self.number);
        let mut moments = Rng::stream(world.shape.seed, "operators' moments", self.number);
        while world.phase() == Phase::Chaos {
            sleep(moments.millis(50, world.shape.operators)).await;
            let (grain, kind, back) = (
                rng.pick(&world.shape.grains).cloned(),
                rng.below(9),
                rng.below(6),
            );
            let (Some(grain), Some(running)) = (grain, self.running()) else {
                continue;
            };
            if !world.fault(|| format!("operator{} {grain}: {}", self.number, name(kind))) {
                continue;
            }
            let act = self.act(&running, &grain, kind, back);
            if timeout(PATIENCE, act).await.is_err() {
                world.trace(|| format!("operator{} {grain}: no answer", self.number));
            }
        }
    }

    async fn act(&self, running: &Running, grain: &GrainId, kind: u64, back: u64) {
        let control = running.follower.control(grain.clone());
        let cursor = self.store.peek(grain).map(|replica| replica.cursor());
        let told = match kind {
            0 => {
                running.paused.lock().insert(grain.clone());
                format!("{:?}", control.pause().await)
            }
            1 | 2 => {
                let told = control.resume().await;
                running.paused.lock().remove(grain);
                format!("{told:?}")
            }
            3 => {
                // The quarantined entry is the first behind the replica that cannot be applied.
                let bad = self.world().truth(|truth| {
                    truth
                        .grain(grain)?
                        .present()
                        .filter(|written| Some(written.cursor) > cursor && !written.applies)
                        .map(|written| written.cursor)
                        .min()
                });
                format!("{:?}", control.skip(bad.unwrap_or_default()).await)
            }
            4 => {
                let to = self.world().truth(|truth| {
                    let grain = truth.grain(grain)?;
                    let mut present: Vec<_> = grain.present().map(|it| it.cursor).collect();
                    present.sort_unstable();
                    let at = present.len().checked_sub(1 + usize::try_from(back).ok()?)?;
                    present.get(at).copied()
                });
                let (expected, to) = (cursor.unwrap_or_default(), to.unwrap_or_default());
                format!("{:?}", control.seek(expected, to).await)
            }
            5 => format!("{:?}", control.rebase(cursor.unwrap_or_default()).await),
            6 => format!("{:?}", control.poll_now().await),
            7 => {
                running.unfollowed.lock().insert(grain.clone());
                format!("{:?}", running.follower.unfollow(grain).await)
            }
            _ => {
                let told = running.follower.follow(grain.clone()).await.map(|_| ());
                running.unfollowed.lock().remove(grain);
                format!("{told:?}")
            }
        };
        let number = self.number;
        self.world()
            .trace(|| format!("operator{number} {grain} {}: {told}", name(kind)));
    }

    /// Tells the invariants how every grain stands.
    pub(crate) fn look(&self, stage: Stage) {
        let Some(running) = self.running() else {
            return;
        };
        let world = self.world();
        for grain in &world.shape.grains {
            let control = running.follower.control(grain.clone());
            let age = match running.reader.get(grain, ReadOptions::default()) {
                Ok(answer) => answer.age,
                Err(ReadError::Absent { age, .. }) => age,
                Err(_) => None,
            };
            world.saw(&Seen::Stands {
                follower: self.number,
                grain: grain.clone(),
                stage,
                health: control.health(),
                age: age.or_else(|| self.age_elsewhere()),
                replica: self.store.peek(grain),
                held: running.paused.lock().contains(grain)
                    || running.unfollowed.lock().contains(grain),
            });
        }
    }

    /// Replicas that are not resident are read with an await; at rest their age is not asked for.
    fn age_elsewhere(&self) -> Option<Duration> {
        (!self.world().shape.resident && self.world().shape.confirms).then_some(Duration::ZERO)
    }

    /// Waits until everything that the log holds at this moment has been proved in step.
    pub(crate) async fn catch_up(&self) -> Result<(), String> {
        let Some(running) = self.running().filter(|_| self.world().shape.confirms) else {
            return Ok(());
        };
        let caught = running.follower.caught_up().await;
        self.world().trace(|| format!("caught up: {caught:?}"));
        match caught {
            Ok(caught) if caught.held == 0 => Ok(()),
            other => Err(format!("after all was healed: {other:?}")),
        }
    }

    /// Heals what waits for an operator.
    pub(crate) async fn heal(&self) -> Result<(), String> {
        let Some(running) = self.running() else {
            return Err("the follower is not running".to_owned());
        };
        let rebased = running.follower.rebase_foreign().await;
        self.world()
            .trace(|| format!("heal: rebase_foreign {rebased:?}"));
        for grain in &self.world().shape.grains {
            let followed = running.follower.follow(grain.clone()).await;
            let control =
                followed.map_err(|error| format!("{grain} cannot be followed: {error}"))?;
            let resumed = control.resume().await;
            if let Some(Health::Ahead | Health::Diverged | Health::Missing) = control.health() {
                let cursor = self.store.peek(grain).map(|replica| replica.cursor());
                let rebased = control.rebase(cursor.unwrap_or_default()).await;
                self.world()
                    .trace(|| format!("heal: {grain} rebase {rebased:?}"));
            }
            self.world()
                .trace(|| format!("heal: {grain} resume {resumed:?}"));
        }
        Ok(())
    }
}

/// Follows what the world is told to. What is not answered is followed all the same.
async fn follow(follower: Follower, way: Way, rules: Vec<Filter>, grains: Vec<GrainId>) {
    let named = |grains: Vec<GrainId>| async {
        for grain in grains {
            let _ = timeout(PATIENCE, follower.follow(grain)).await;
        }
    };
    let all = |filter| async {
        let _ = timeout(PATIENCE, follower.follow_all(filter)).await;
    };
    let by_rule = async {
        for rule in rules {
            all(rule).await;
        }
    };
    match way {
        Way::ByType => by_rule.await,
        Way::All => all(Filter::all()).await,
        Way::ByName => named(grains).await,
        Way::Widened => {
            named(grains.iter().take(2).cloned().collect()).await;
            by_rule.await;
            all(Filter::all()).await;
        }
        Way::Narrowed => {
            all(Filter::all()).await;
            by_rule.await;
            named(grains).await;
        }
    }
}

const fn name(kind: u64) -> &'static str {
    match kind {
        0 => "pause",
        1 | 2 => "resume",
        3 => "skip",
        4 => "seek",
        5 => "rebase",
        6 => "poll now",
        7 => "unfollow",
        _ => "follow",
    }
}
