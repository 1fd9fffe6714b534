//! What befalls the log and the machines: truncation, lost tails, restored copies, held-up processes,
//! clocks that go wrong.

use std::sync::Arc;
use std::time::Duration;

use gleaner::memory::MemoryLog;
use gleaner::{Cursor, Fence, GrainId};
use tokio::time::sleep;

use super::primary::Primary;
use super::rng::Rng;
use super::secondary::Secondary;
use super::seen::{FenceLeft, Seen};
use super::wire::Wire;
use super::world::{Phase, World};

/// A copy of the log, and the fences that it has.
struct Backup {
    log: MemoryLog,
    fences: Vec<(GrainId, Option<Fence>)>,
}

/// What befalls a world.
pub(crate) struct Disasters {
    pub(crate) wire: Arc<Wire>,
    pub(crate) primaries: Vec<Arc<Primary>>,
    pub(crate) secondaries: Vec<Arc<Secondary>>,
}

impl Disasters {
    fn world(&self) -> &World {
        &self.wire.world
    }

    /// Until the world is calm; an asynchronous copy goes on catching up until the end.
    pub(crate) async fn run(&self) {
        let world = self.wire.world.clone();
        let seed = world.shape.seed;
        let mut moments = Rng::stream(seed, "moments", 0);
        let mut rng = Rng::stream(seed, "disasters", 0);
        let mut backup = None;
        let mut anew = world.shape.anew;
        while world.phase() == Phase::Chaos {
            sleep(moments.millis(20, 600)).await;
            let draws = [rng.next(), rng.next(), rng.next()];
            self.strike(draws, &mut backup, &mut anew);
        }
        while world.phase() < Phase::Over {
            self.wire.refresh();
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn strike(&self, draws: [u64; 3], backup: &mut Option<Backup>, anew: &mut bool) {
        let world = self.world();
        let [kind, which, how] = draws;
        let Some(grain) = nth(&world.shape.grains, which) else {
            return;
        };
        let loses = world.shape.loses;
        match kind % 24 {
            0..=4 => self.wire.refresh(),
            5..=8 => {
                let before = self.some_cursor(grain, how);
                if world.fault(|| format!("truncate {grain} before {before}")) {
                    let _ = self.wire.truncate(grain, before);
                }
            }
            9 | 10 => {
                let process = self
                    .secondaries
                    .get(index(which, self.secondaries.len()))
                    .and_then(|secondary| secondary.running())
                    .map(|running| running.process);
                let time = Duration::from_millis(how % 3_000);
                if let Some(process) = process
                    && world.fault(|| format!("{} held for {time:?}", process.name))
                {
                    process.hold(time);
                }
            }
            11 | 12 => {
                let process = self
                    .primaries
                    .get(index(which, self.primaries.len()))
                    .and_then(|primary| primary.process.lock().clone());
                let time = Duration::from_millis(how % 5_000);
                if let Some(process) = process
                    && world.fault(|| format!("{} held for {time:?}", process.name))
                {
                    process.hold(time);
                }
            }
            13 | 14 => self.clock(which, how),
            15 | 16 if loses && world.fault(|| "a copy is taken".to_owned()) => {
                let fences = world.truth(|truth| {
                    let fence = |grain: &GrainId| truth.grain(grain).and_then(|it| it.fence);
                    let grains = world.shape.grains.iter();
                    grains.map(|grain| (grain.clone(), fence(grain))).collect()
                });
                *backup = Some(Backup {
                    log: self.wire.log.copied(),
                    fences,
                });
            }
            17 if loses => {
                if let Some(backup) = backup
                    && world.fault(|| "the copy is restored".to_owned())
                {
                    self.wire.log.restore(&backup.log);
                    for (grain, fence) in &backup.fences {
                        self.rewound(grain, FenceLeft::Was(*fence));
                    }
                    world.count(|counts| counts.lost_tails += 1);
                }
            }
            18 | 19 if loses => {
                let above = self.some_cursor(grain, how).predecessor();
                if world.fault(|| format!("{grain} loses what lies above {above}"))
                    && self.wire.log.lose_tail(grain, above)
                {
                    self.rewound(grain, FenceLeft::Kept);
                    world.count(|counts| counts.lost_tails += 1);
                }
            }
            20 if world.fault(|| "the history forks, without a loss".to_owned()) => {
                self.wire.log.fork_history();
            }
            21 if *anew && world.fault(|| "the log is begun anew".to_owned()) => {
                *anew = false;
                *backup = None;
                self.wire.log.begin_anew();
                world.saw(&Seen::Anew);
                for grain in &world.shape.grains {
                    self.rewound(grain, FenceLeft::Was(None));
                }
                world.count(|counts| counts.lost_tails += 1);
            }
            _ => {}
        }
    }

    fn rewound(&self, grain: &GrainId, fence: FenceLeft) {
        self.world().saw(&Seen::Rewound {
            grain: grain.clone(),
            holds: self.wire.holds(grain),
            fence,
        });
    }

    fn clock(&self, which: u64, how: u64) {
        let world = self.world();
        let Some(secondary) = self.secondaries.get(index(which, self.secondaries.len())) else {
            return;
        };
        let time = Duration::from_millis(how % 4_000);
        let number = secondary.number;
        if world.shape.suspends {
            if let Some(running) = secondary.running()
                && !running.process.is_held()
                && world.fault(|| format!("secondary{number} suspended for {time:?}"))
            {
                secondary.clocks.suspend(time);
                running.process.hold(time);
            }
        } else if world.fault(|| format!("secondary{number}: wall clock set back by {time:?}")) {
            secondary.clocks.set_back(time);
        }
    }

    fn some_cursor(&self, grain: &GrainId, how: u64) -> Cursor {
        let holds = self.wire.holds(grain);
        holds
            .get(index(how, holds.len()))
            .map_or(Cursor::ZERO, |(cursor, _)| *cursor)
    }
}

fn nth<T>(of: &[T], drawn: u64) -> Option<&T> {
    of.get(index(drawn, of.len()))
}

fn index(drawn: u64, many: usize) -> usize {
    drawn
        .checked_rem(many as u64)
        .and_then(|at| usize::try_from(at).ok())
        .unwrap_or(0)
}
