//! The power and the disk fail anywhere, at random; a model says what may be left.

use gleaner::{
    Budget, Claim, Cursor, Draft, Entry, Epoch, ErrorKind, GrainId, Kind, ReplicationLog, Result,
    Writer,
};

use crate::log::FileLog;
use crate::power::{Op, PowerDisk};

const SEEDS: u64 = 300;
const STEPS: u64 = 40;

/// What is known of one grain.
struct Model {
    grain: GrainId,
    /// In the log, for it was acknowledged or read there; those below the floor too.
    sure: Vec<Entry>,
    /// Sent, in order, without an answer.
    unsure: Vec<Entry>,
    /// Where what is left may begin, as places in `sure`.
    floors: Vec<usize>,
    epoch: u64,
    /// Claimed for sure.
    fence: u64,
}

/// How often each thing came up, so that a run that tries nothing does not pass.
#[derive(Debug, Default)]
struct Count {
    appends: u32,
    failures: u32,
    losses: u32,
    truncations: u32,
    landed_unsaid: u32,
    lost_unsaid: u32,
}

struct World {
    disk: PowerDisk,
    log: FileLog<PowerDisk>,
    grains: Vec<Model>,
    dice: u64,
    count: Count,
}

fn writer(epoch: u64) -> Writer {
    Writer::new(100 + epoch)
}

impl Model {
    fn new(key: &str) -> Self {
        Self {
            grain: GrainId::new("plane", key).unwrap(),
            sure: Vec::new(),
            unsure: Vec::new(),
            floors: vec![0],
            epoch: 1,
            fence: 0,
        }
    }

    fn next(&self, full: bool, text: String) -> Entry {
        let last = self.unsure.last().or(self.sure.last());
        let number = last.map_or(1, |last| last.sequence().get() + 1);
        let cursor = Cursor::new(self.epoch, number);
        match last {
            Some(last) if !full && last.epoch() == cursor.epoch => {
                let prev = last.digest();
                Draft::delta(self.grain.clone(), cursor, writer(self.epoch), prev, text)
            }
            _ => Draft::full(self.grain.clone(), cursor, writer(self.epoch), text),
        }
        .seal()
    }

    /// All that is sure is there, from a floor on; of the rest, a beginning.
    fn check(&mut self, found: &[Entry], count: &mut Count) {
        let all: Vec<Entry> = self.sure.iter().chain(&self.unsure).cloned().collect();
        let mut floors = self.floors.clone();
        if self.sure.is_empty() {
            floors = vec![0];
        }
        let floor = floors.iter().copied().find(|floor| {
            let ends = floor + found.len();
            ends >= self.sure.len() && ends <= all.len() && all[*floor..ends] == *found
        });
        let Some(floor) = floor else {
            panic!(
                "{}: found {found:?}; sure are {:?}, unsure {:?}, floors {floors:?}",
                self.grain, self.sure, self.unsure
            );
        };
        let landed = floor + found.len() - self.sure.len();
        count.landed_unsaid += u32::from(landed > 0);
        count.lost_unsaid += u32::from(landed < self.unsure.len());
        self.sure = all[..floor + found.len()].to_vec();
        self.unsure.clear();
        self.floors = vec![floor];
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let disk = PowerDisk::new(seed);
        let log = FileLog::open(disk.clone()).await.unwrap();
        Self {
            disk,
            log,
            grains: vec![Model::new("a"), Model::new("b")],
            dice: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            count: Count::default(),
        }
    }

    /// A number below `sides` (the xorshift64 sequence: other dice than the disk's).
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 20) % sides
    }

    async fn step(&mut self, step: u64) {
        match self.roll(8) {
            0 => {
                let whole = self.roll(8);
                self.disk.fail_power_after(whole);
            }
            1 | 2 => {
                let ops = [
                    Op::Create,
                    Op::Append,
                    Op::Append,
                    Op::Sync,
                    Op::Sync,
                    Op::SyncDir,
                ];
                let op = ops[usize::try_from(self.roll(6)).unwrap()];
                self.disk.refuse(op);
            }
            _ => {}
        }
        let answered = match self.roll(6) {
            0 => self.truncate().await,
            1 => self.claim().await,
            _ => self.append(step).await,
        };
        if let Err(error) = answered {
            assert!(
                matches!(error.kind(), ErrorKind::Unknown | ErrorKind::Transient),
                "{error:?}"
            );
            self.count.failures += 1;
            self.look(step).await;
        } else if self.roll(10) == 0 {
            self.lose_power().await;
            self.look(step).await;
        }
    }

    async fn append(&mut self, step: u64) -> Result<()> {
        let mut batch = Vec::new();
        for _ in 0..=self.roll(3) {
            let (which, full) = (self.roll(2), self.roll(3) == 0);
            let model = &mut self.grains[usize::try_from(which).unwrap()];
            let entry = model.next(full, format!("step {step}"));
            model.unsure.push(entry.clone());
            batch.push(entry);
        }
        let answers = self.log.append_batch(&batch).await?;
        for answer in answers {
            let model = self
                .grains
                .iter_mut()
                .find(|model| model.grain == answer.grain);
            let model = model.unwrap();
            let head = answer.result.unwrap();
            assert_eq!(head.digest, model.unsure.last().unwrap().digest());
            model.sure.append(&mut model.unsure);
            self.count.appends += 1;
        }
        Ok(())
    }

    async fn claim(&mut self) -> Result<()> {
        let which = usize::try_from(self.roll(2)).unwrap();
        let model = &mut self.grains[which];
        // One above, so that whether it landed or not, the model's own next epoch is above both.
        model.epoch += 1;
        let claim = Claim {
            grain: model.grain.clone(),
            epoch: Epoch::new(model.epoch),
            writer: writer(model.epoch),
        };
        self.log.claim(&[claim]).await?.remove(0)?;
        model.fence = model.epoch;
        Ok(())
    }

    async fn truncate(&mut self) -> Result<()> {
        let which = usize::try_from(self.roll(2)).unwrap();
        let model = &mut self.grains[which];
        let Some(last) = model.sure.last() else {
            return Ok(());
        };
        let base = model
            .sure
            .iter()
            .rposition(|entry| entry.kind() != Kind::Delta);
        model.floors.push(base.unwrap());
        let done = self.log.truncate(&model.grain, last.cursor()).await?;
        let floor = model.floors.pop().unwrap();
        assert_eq!(done.removed, (floor - model.floors[0]) as u64);
        model.floors = vec![floor];
        self.count.truncations += 1;
        Ok(())
    }

    async fn lose_power(&mut self) {
        let before = self.log.identity().await.ok();
        self.disk.lose_power();
        // An operation may still be due to fail: then opening fails, and the next try does not.
        let opened = match FileLog::open(self.disk.clone()).await {
            Ok(log) => log,
            Err(_) => FileLog::open(self.disk.clone()).await.unwrap(),
        };
        self.log = opened;
        let after = self.log.identity().await.unwrap();
        assert!(before.is_none_or(|before| before.log == after.log));
        self.count.losses += 1;
    }

    /// Reads everything, and holds the model to it: what was read once never goes away again.
    async fn look(&mut self, step: u64) {
        for which in 0..self.grains.len() {
            let grain = self.grains[which].grain.clone();
            let mut read = self
                .log
                .read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED)
                .await;
            if read.is_err() {
                self.lose_power().await;
                read = self
                    .log
                    .read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED)
                    .await;
            }
            let found = read
                .unwrap_or_else(|error| panic!("step {step}: {error:?}"))
                .entries;
            self.grains[which].check(&found, &mut self.count);
            self.check_fence(which).await;
        }
    }

    /// A claim that was acknowledged keeps another writer of its epoch out.
    async fn check_fence(&self, which: usize) {
        let model = &self.grains[which];
        if model.fence == 0 {
            return;
        }
        let claim = Claim {
            grain: model.grain.clone(),
            epoch: Epoch::new(model.fence),
            writer: Writer::new(1),
        };
        let answer = self.log.claim(&[claim]).await.unwrap().remove(0);
        let kind = answer.expect_err("the epoch is taken").kind();
        assert!(matches!(kind, ErrorKind::Fenced { .. }), "{kind:?}");
    }
}

#[tokio::test]
async fn nothing_acknowledged_or_read_is_lost_wherever_the_disk_fails() {
    let mut total = Count::default();
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut world = World::new(seed).await;
        for step in 0..STEPS {
            world.step(step).await;
        }
        world.lose_power().await;
        world.look(STEPS).await;
        let count = world.count;
        total.appends += count.appends;
        total.failures += count.failures;
        total.losses += count.losses;
        total.truncations += count.truncations;
        total.landed_unsaid += count.landed_unsaid;
        total.lost_unsaid += count.lost_unsaid;
    }
    println!("{total:?}");
    let Count {
        appends,
        failures,
        losses,
        truncations,
        landed_unsaid,
        lost_unsaid,
    } = total;
    let counts = [
        appends,
        failures,
        losses,
        truncations,
        landed_unsaid,
        lost_unsaid,
    ];
    assert!(counts.iter().all(|count| *count > 100), "{total:?}");
}
