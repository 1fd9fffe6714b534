//! [`World`]: a publishing process, a following one, and all that they were told to be durable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gleaner::Cursor;
use gleaner_tests::Report;

use crate::child::Worker;
use crate::place::until;
use crate::tally::Tally;
use crate::truth::{
    Acked, Histories, acked, assert_at_rest, assert_equal, caught_up, copied, histories, is_sound,
    lost, replicas,
};

/// Grains that the publisher owns.
pub(crate) const GRAINS: usize = 6;

/// Grains that a follower asks for in one read.
const A_READ: u64 = 4;

pub(crate) struct World {
    pub(crate) log: PathBuf,
    pub(crate) store: PathBuf,
    pub(crate) tally: Tally,
    publisher: Option<Worker>,
    follower: Option<Worker>,
    acked: Vec<Acked>,
    /// Where the store has answered that a replica stands.
    applied: BTreeMap<String, Cursor>,
}

impl World {
    /// With nobody running.
    pub(crate) fn new(log_folder: &Path, store_folder: &Path) -> Self {
        Self {
            log: log_folder.join("log.db"),
            store: store_folder.join("store.db"),
            tally: Tally::default(),
            publisher: None,
            follower: None,
            acked: Vec::new(),
            applied: BTreeMap::new(),
        }
    }

    /// With both running and at work.
    pub(crate) fn running(log_folder: &Path, store_folder: &Path) -> Self {
        let mut world = Self::new(log_folder, store_folder);
        world.start_publisher();
        world.start_follower();
        world.goes_on();
        world
    }

    /// A publisher over the log, whether it can open it or not.
    pub(crate) fn new_publisher(&self) -> Worker {
        Worker::appender(&self.log, "plane", GRAINS as u64, "persist", 0)
    }

    /// A follower likewise.
    pub(crate) fn new_follower(&self) -> Worker {
        Worker::follower(&self.log, &self.store, A_READ)
    }

    pub(crate) fn start_publisher(&mut self) {
        self.publisher = Some(self.new_publisher());
    }

    pub(crate) fn start_follower(&mut self) {
        self.follower = Some(self.new_follower());
    }

    /// What the publisher has complained of.
    pub(crate) fn publisher_errors(&self) -> String {
        self.publisher.as_ref().unwrap().errors()
    }

    /// What the follower has complained of.
    pub(crate) fn follower_errors(&self) -> String {
        self.follower.as_ref().unwrap().errors()
    }

    pub(crate) fn heard(&mut self, said: &[Report]) {
        self.acked.extend(acked(said));
        for report in said {
            if let Report::Applied { key, cursor } = report {
                let newest = self.applied.entry(key.clone()).or_default();
                *newest = (*newest).max(*cursor);
            }
        }
    }

    /// Takes down what was acknowledged to somebody else.
    pub(crate) fn also_acked(&mut self, acked: Vec<Acked>) {
        self.acked.extend(acked);
    }

    /// SIGKILL.
    pub(crate) fn kill_publisher(&mut self) {
        let said = self.publisher.take().unwrap().kill();
        self.heard(&said);
    }

    /// SIGKILL. What the store had answered is in it.
    pub(crate) fn kill_follower(&mut self) {
        let said = self.follower.take().unwrap().kill();
        self.heard(&said);
    }

    /// Each grain is written again, and followed: by what begins after this call.
    pub(crate) fn goes_on(&mut self) {
        let newest = self.is_written();
        let mut heard = Vec::new();
        let follower = self.follower.as_mut().unwrap();
        for (key, cursor) in newest {
            until(&format!("{key} is followed to {cursor}"), || {
                follower.ask(&format!("stands {key}"), |report| match report {
                    Report::Stands {
                        health, cursor: at, ..
                    } => Some(health == "live" && at >= cursor),
                    Report::Refused { .. } => Some(false),
                    other => {
                        heard.push(other);
                        None
                    }
                })
            });
        }
        self.heard(&heard);
    }

    /// Each grain is written again, by what begins after this call; up to where.
    pub(crate) fn is_written(&mut self) -> BTreeMap<String, Cursor> {
        let mut said = Vec::new();
        let publisher = self.publisher.as_mut().unwrap();
        publisher.ask("mark", |report| match report {
            Report::Heard => Some(()),
            other => {
                said.push(other);
                None
            }
        });
        let mut newest = BTreeMap::new();
        while newest.len() < GRAINS {
            let report = publisher.next().expect("the publisher ended");
            if let Report::Acked { key, cursor, .. } = &report {
                newest.insert(key.clone(), *cursor);
            }
            said.push(report);
        }
        self.heard(&said);
        newest
    }

    /// What was said and not looked at yet.
    pub(crate) fn said_by_publisher(&mut self) -> Vec<Report> {
        let said = self.publisher.as_mut().unwrap().said();
        self.heard(&said);
        said
    }

    /// How many of the acknowledged entries a log does not hold.
    fn lost(&self, histories: &Histories) -> usize {
        lost(histories, &self.acked)
    }

    /// How many replicas are behind what a store had answered.
    fn fallen_back(&self, store: &Path) -> usize {
        let found = replicas(store);
        let mut fallen = 0;
        for (key, cursor) in &self.applied {
            if found.get(key).is_none_or(|found| found.cursor() < *cursor) {
                println!("LOST: the replica of {key} at {cursor}");
                fallen += 1;
            }
        }
        fallen
    }

    /// Looks at copies of the files of those who do not run, so that the next ones find what was left.
    pub(crate) fn look_at_what_was_left(&mut self) {
        if self.follower.is_none() && self.store.exists() {
            let (_folder, copy) = copied(&self.store);
            is_sound(&copy);
            let fallen = self.fallen_back(&copy);
            self.tally.add("lost", fallen);
            assert_eq!(fallen, 0, "replicas fell back");
        }
        if self.follower.is_none() && self.publisher.is_none() && self.log.exists() {
            let (_folder, copy) = copied(&self.log);
            is_sound(&copy);
            let histories = histories(&copy);
            assert_at_rest(&histories);
            let lost = self.lost(&histories);
            self.tally.add("lost", lost);
            assert_eq!(lost, 0, "acknowledged entries are lost");
        }
    }

    /// Ends both, and holds the files against all that was ever said. `others` are grains that
    /// somebody else wrote.
    pub(crate) fn close(mut self, others: usize) {
        let (said, _) = self.publisher.take().unwrap().finish();
        self.heard(&said);
        let (said, _) = self.follower.take().unwrap().finish();
        self.heard(&said);
        let (in_step, held, _) = caught_up(&said);
        let histories = histories(&self.log);
        let lost = self.lost(&histories) + self.fallen_back(&self.store);
        self.tally.add("acknowledged", self.acked.len());
        self.tally.add("lost", lost);
        assert_eq!(lost, 0, "what was acknowledged is lost");
        assert!(!self.acked.is_empty());
        assert_eq!((in_step, held), (GRAINS + others, 0));
        assert_at_rest(&histories);
        assert_equal(&histories, &replicas(&self.store));
        is_sound(&self.log);
        is_sound(&self.store);
    }
}

#[test]
fn what_is_not_there_is_counted_as_lost() {
    let folder = crate::place::folder();
    let mut world = World::running(folder.path(), folder.path());
    world.kill_publisher();
    world.kill_follower();
    let histories = histories(&world.log);
    assert_eq!(world.lost(&histories), 0);
    assert_eq!(world.fallen_back(&world.store), 0);
    // A number that was never given out, a state that is not the one under its number, and a replica
    // that is not where it was said to be.
    let first = world.acked[0].clone();
    let (key, cursor) = (first.key.clone(), Cursor::new(9, 9));
    let turn = first.turn.map(|turn| turn + 1);
    world.heard(&[
        Report::Acked {
            key: key.clone(),
            cursor,
            turn: first.turn,
        },
        Report::Acked {
            key: key.clone(),
            cursor: first.cursor,
            turn,
        },
        Report::Applied { key, cursor },
    ]);
    assert_eq!(world.lost(&histories), 2);
    assert_eq!(world.fallen_back(&world.store), 1);
}
