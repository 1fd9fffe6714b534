//! A wall clock that is set back and forth, under a follower that is cut off at times.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gleaner::{
    Clock, Cursor, Filter, Follower, GrainId, RawReader, ReadOptions, Reading, SystemClock,
};
use gleaner_tests::{GRAIN_TYPE, Report};

use crate::chance::Chance;
use crate::child::LONG;
use crate::place::folder;
use crate::world::{GRAINS, World};

/// The machine's clocks, the wall one set back by some seconds.
#[derive(Default)]
struct SetClock {
    machine: SystemClock,
    back: AtomicU64,
}

impl Clock for SetClock {
    fn read(&self) -> Reading {
        let mut reading = self.machine.read();
        let back = Duration::from_secs(self.back.load(Ordering::Relaxed));
        reading.wall = reading.wall.minus(back);
        reading
    }
}

/// A day: it begins that far back, and is set to less or more.
const DAY: u64 = 86_400;

/// What was acknowledged, and when this process heard of it: later than it was.
#[derive(Default)]
struct Heard {
    acked: BTreeMap<String, Vec<(Cursor, Instant)>>,
}

impl Heard {
    fn hear(&mut self, said: Vec<Report>) {
        let now = Instant::now();
        for report in said {
            if let Report::Acked { key, cursor, .. } = report {
                self.acked.entry(key).or_default().push((cursor, now));
            }
        }
    }

    /// Every replica holds all that was acknowledged longer ago than its age (C5). How many reads
    /// were of a replica that lacks something, so that a smaller age would have been a lie.
    fn check(&self, reader: &RawReader) -> (usize, usize) {
        let (mut read, mut behind) = (0, 0);
        for (key, acked) in &self.acked {
            let grain = GrainId::new(GRAIN_TYPE, key.as_str()).unwrap();
            let asked = Instant::now();
            let Ok(answer) = reader.get(&grain, ReadOptions::default()) else {
                continue;
            };
            let Some(age) = answer.age else { continue };
            read += 1;
            let missing = acked.iter().find(|(cursor, _)| *cursor > answer.cursor);
            let Some((cursor, heard)) = missing else {
                continue;
            };
            behind += 1;
            let truth = asked.saturating_duration_since(*heard);
            assert!(
                age >= truth,
                "{key}: {cursor} was acknowledged {truth:?} ago and is not in an answer of age {age:?}"
            );
        }
        (read, behind)
    }
}

/// Looks at every age for so long.
async fn look(world: &mut World, heard: &mut Heard, reader: &RawReader, during: Duration) -> usize {
    let began = Instant::now();
    let mut behind = 0;
    while began.elapsed() < during {
        heard.hear(world.said_by_publisher());
        let (read, lacking) = heard.check(reader);
        world.tally.add("ages_checked", read);
        behind += lacking;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    behind
}

#[test]
fn c5_no_age_is_smaller_than_the_truth_whatever_the_wall_clock_says() {
    let folder = folder();
    let mut world = World::running(folder.path(), folder.path());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(with_a_set_clock(&mut world, folder.path()));
    world.goes_on();
    world.close(0);
}

/// A follower of this process. It finds the log by a link: without it, it alone is cut off.
async fn with_a_set_clock(world: &mut World, folder: &Path) {
    let mut chance = Chance::new();
    let link = folder.join("link.db");
    symlink(&world.log, &link).unwrap();
    let log = gleaner::open(&format!("sqlite:{}", link.display())).await;
    let store = gleaner::open_store("memory:", None).await.unwrap();
    let clock = Arc::new(SetClock::default());
    clock.back.store(DAY, Ordering::Relaxed);
    let follower = Follower::builder(log.unwrap(), store)
        .poll_interval(Duration::from_millis(10))
        .backoff(Duration::from_millis(5), Duration::from_millis(20))
        .clock(clock.clone())
        .spawn();
    follower
        .follow_all(Filter::grain_type(GRAIN_TYPE))
        .await
        .unwrap();
    assert_eq!(follower.caught_up().await.unwrap().in_step, GRAINS);
    let reader = follower.raw_reader();
    let mut heard = Heard::default();
    let set = |clock: &SetClock, back: u64| clock.back.store(back, Ordering::Relaxed);
    for turn in 0..4 {
        look(world, &mut heard, &reader, Duration::from_millis(60)).await;
        fs::remove_file(&link).unwrap();
        let while_cut_off = Duration::from_millis(40 + chance.below(120));
        look(world, &mut heard, &reader, while_cut_off).await;
        // Back at first; then anywhere.
        let now = clock.back.load(Ordering::Relaxed);
        set(
            &clock,
            if turn == 0 {
                now + 1 + chance.below(DAY)
            } else {
                chance.below(3 * DAY)
            },
        );
        world.tally.add("clocks_set", 1);
        let (began, mut behind) = (Instant::now(), 0);
        while behind == 0 {
            behind = look(world, &mut heard, &reader, while_cut_off).await;
            assert!(began.elapsed() < LONG, "nothing is written any more");
        }
        symlink(&world.log, &link).unwrap();
        // Once it is proved in step again, ages are small again, whatever the clock says.
        for key in heard.acked.keys() {
            let grain = GrainId::new(GRAIN_TYPE, key.as_str()).unwrap();
            let fresh = ReadOptions::max_age(Duration::from_secs(2)).wait(LONG);
            let answer = reader.get_when(&grain, fresh).await.unwrap();
            assert!(answer.age.unwrap() <= Duration::from_secs(2));
        }
    }
    follower.shutdown().await;
}
