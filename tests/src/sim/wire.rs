//! [`Wire`]: the log itself, and all that can go wrong on the way to it and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use gleaner::memory::MemoryLog;
use gleaner::{
    Appended, Budget, CatchUp, ChangeFeed, Changes, Claim, Cursor, Digest, Entry, Error, Fence,
    Filter, GrainId, Head, HeadPage, Identity, Page, Position, ReplicationLog, Result, Truncation,
};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::process::Process;
use super::pushes::Outbox;
use super::seen::Seen;
use super::world::World;

/// The log of a world. Each call is one moment of it, seen by the invariants.
pub(crate) struct Wire {
    pub(crate) world: Arc<World>,
    pub(crate) log: MemoryLog,
    pub(crate) outbox: Outbox,
    /// What answers from a cache, or from an asynchronous copy, are read from; and since when.
    lagging: Mutex<(MemoryLog, Instant)>,
}

impl Wire {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let log = MemoryLog::seeded(world.shape.seed);
        let lagging = Mutex::new((log.copied(), Instant::now()));
        let outbox = Outbox::new(world.clone());
        Self {
            world,
            log,
            outbox,
            lagging,
        }
    }

    /// The copy catches up.
    pub(crate) fn refresh(&self) {
        let copy = self.log.copied();
        *self.lagging.lock() = (copy.clone(), Instant::now());
        self.outbox.copied(&copy);
    }

    /// The copy as it is, and its age.
    pub(crate) fn lagging(&self) -> (MemoryLog, Duration) {
        let lagging = self.lagging.lock();
        (lagging.0.clone(), lagging.1.elapsed())
    }

    pub(crate) fn append(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        let mut before: BTreeMap<GrainId, Option<Head>> = BTreeMap::new();
        for entry in entries {
            let grain = entry.grain();
            if !before.contains_key(grain) {
                let head = done(self.log.heads(std::slice::from_ref(grain)))?
                    .into_iter()
                    .next()
                    .flatten();
                before.insert(grain.clone(), head);
            }
        }
        let answers = done(self.log.append_batch(entries))?;
        let mut appended = Vec::new();
        for answer in &answers {
            let was = before.get(&answer.grain).copied().flatten();
            let at = was.map_or(Cursor::ZERO, |head| head.cursor);
            let ours = entries
                .iter()
                .filter(|entry| *entry.grain() == answer.grain)
                .take(answer.landed);
            for entry in ours.clone().filter(|entry| entry.cursor() > at) {
                appended.push(entry.clone());
                self.world.saw(&Seen::Landed {
                    entry: entry.clone(),
                });
            }
            if let (Ok(_), Some(last)) = (&answer.result, ours.last()) {
                self.world.saw(&Seen::Accepted {
                    grain: answer.grain.clone(),
                    epoch: last.epoch(),
                    writer: last.writer(),
                });
            }
        }
        self.outbox.appended(&self.log, appended);
        Ok(answers)
    }

    pub(crate) fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        let answers = done(self.log.claim(claims))?;
        for (claim, answer) in claims.iter().zip(&answers) {
            if answer.is_ok() {
                let fence = Fence {
                    epoch: claim.epoch,
                    writer: claim.writer,
                };
                self.world.saw(&Seen::Claimed {
                    grain: claim.grain.clone(),
                    fence,
                });
            }
        }
        Ok(answers)
    }

    pub(crate) fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let truncation = done(self.log.truncate(grain, before))?;
        if truncation.removed > 0 {
            self.world.count(|counts| counts.truncations += 1);
            self.world.saw(&Seen::Cut {
                grain: grain.clone(),
                floor: truncation.floor,
            });
        }
        Ok(truncation)
    }

    /// All that the log holds of a grain.
    pub(crate) fn holds(&self, grain: &GrainId) -> Vec<(Cursor, Digest)> {
        done(self.log.read_from(grain, Cursor::ZERO, Budget::UNBOUNDED))
            .unwrap_or_default()
            .entries
            .iter()
            .map(|entry| (entry.cursor(), entry.digest()))
            .collect()
    }
}

/// A log in memory answers at once.
pub(crate) fn done<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    call.now_or_never().unwrap_or_else(|| {
        Err(Error::permanent(
            "simulation",
            "the log did not answer at once",
        ))
    })
}

/// What happens to one call.
#[derive(Debug, Clone, Copy)]
enum Way {
    Plain,
    /// Refused before anything happened.
    Refused,
    /// Carried out, and answered with an error.
    Doubtful,
    /// Not carried out, and never answered.
    Lost,
    /// Carried out, and never answered.
    Unanswered,
    /// Under way for so long, both ways; carried out even if the caller gives up.
    Slow(Duration, Duration),
    /// Carried out now and once more later.
    Twice(Duration),
    /// Answered with an error now, and carried out later.
    Late(Duration),
}

/// Draws what happens. The same number of draws for every call, whatever comes of it.
fn way(world: &World, process: &Process, what: &str, writes: bool) -> Way {
    let (fate, kind, first, second) = {
        let mut rng = process.faults.lock();
        (
            rng.below(1000),
            rng.below(100),
            rng.millis(1, 40),
            rng.millis(1, 40),
        )
    };
    if fate >= world.shape.faults * 3 {
        return Way::Plain;
    }
    let long = first * 40;
    // What a store was given up on, and does later, is what generations are for.
    let kind = if what == "apply" && kind < 25 {
        99
    } else {
        kind
    };
    let way = match kind {
        0..=44 => Way::Slow(first, second),
        45..=54 => Way::Slow(long, second),
        55..=66 => Way::Refused,
        67..=78 => Way::Doubtful,
        79..=83 => Way::Lost,
        84..=88 => Way::Unanswered,
        89..=94 if writes => Way::Twice(long),
        _ if writes => Way::Late(long),
        _ => Way::Refused,
    };
    let name = &process.name;
    if world.fault(|| format!("{name} {what}: {way:?}")) {
        way
    } else {
        Way::Plain
    }
}

/// Makes a call for a process, through its gate and over the wire.
pub(crate) async fn call<T: Send + 'static>(
    world: &World,
    process: &Process,
    what: &str,
    writes: bool,
    mut exec: impl FnMut() -> Result<T> + Send + 'static,
) -> Result<T> {
    process.turn().await;
    let result = match way(world, process, what, writes) {
        Way::Plain => exec(),
        Way::Refused => Err(Error::transient("simulation", "refused")),
        Way::Doubtful => {
            let _ = exec();
            Err(Error::unknown(
                "simulation",
                "carried out, and not answered",
            ))
        }
        Way::Lost => std::future::pending().await,
        Way::Unanswered => {
            let _ = exec();
            std::future::pending().await
        }
        Way::Slow(there, back) => {
            let (tell, answer) = oneshot::channel();
            tokio::spawn(async move {
                sleep(there).await;
                let result = exec();
                sleep(back).await;
                // Whoever gave up does not hear of it.
                let _ = tell.send(result);
            });
            answer
                .await
                .unwrap_or_else(|_| Err(Error::unknown("simulation", "the world has ended")))
        }
        Way::Twice(later) => {
            let result = exec();
            tokio::spawn(async move {
                sleep(later).await;
                let _ = exec();
            });
            result
        }
        Way::Late(later) => {
            tokio::spawn(async move {
                sleep(later).await;
                let _ = exec();
            });
            Err(Error::unknown("simulation", "not answered in time"))
        }
    };
    process.turn().await;
    result
}

/// Reads, of the log itself or of a copy that lags.
pub(crate) trait Reads {
    fn heads_of(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>>;
    fn list(&self, filter: &Filter, after: Option<&GrainId>, limit: usize) -> Result<HeadPage>;
    fn read(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page>;
    fn caught_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp>;
    fn name(&self) -> Result<Identity>;
    fn begin(&self, filter: &Filter) -> Result<Position>;
    fn moved(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes>;
}

impl Reads for MemoryLog {
    fn heads_of(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        done(self.heads(grains))
    }

    fn list(&self, filter: &Filter, after: Option<&GrainId>, limit: usize) -> Result<HeadPage> {
        done(self.list_heads(filter, after, limit))
    }

    fn read(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        done(self.read_from(grain, after, budget))
    }

    fn caught_up(&self, wants: &[(GrainId, Cursor)], budget: Budget) -> Result<CatchUp> {
        done(self.catch_up(wants, budget))
    }

    fn name(&self) -> Result<Identity> {
        done(self.identity())
    }

    fn begin(&self, filter: &Filter) -> Result<Position> {
        done(self.start(filter))
    }

    fn moved(&self, since: &Position, filter: &Filter, limit: usize) -> Result<Changes> {
        done(self.changes(since, filter, limit))
    }
}
