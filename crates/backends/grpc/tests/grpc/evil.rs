//! A leader that lies: its follower keeps the last good state that it has, and is right again as soon as
//! the leader is honest.

mod answers;
mod lies;
mod middle;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gleaner_consumer::{Follower, Health, RawReader, ReadOptions};
use gleaner_core::{
    Cursor, Digest, Draft, Entry, Filter, Fold, FoldError, GrainId, ReplicationLog, Writer,
};
use gleaner_grpc::{GrpcLog, Leader};
use gleaner_memory::{MemoryLog, MemoryReplicaStore};
use tokio::time::{Instant, sleep};

use self::lies::Lie;
use self::middle::Middle;
use crate::leaders;

/// Long beyond anything that is waited for.
const LONG: Duration = Duration::from_secs(60);
const GRAINS: usize = 4;
/// How often a lie is told before the leader is honest again.
const TOLD: usize = 3;

/// A state is a list of the numbers of its entries.
struct Listed;

impl Fold for Listed {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        Ok([state, delta.payload()].concat().into())
    }
}

/// The log as it is, and every state that any of its grains ever had.
struct World {
    log: MemoryLog,
    middle: Middle,
    _leader: Leader,
    states: BTreeMap<GrainId, Vec<(Cursor, Digest, Vec<u8>)>>,
}

impl World {
    async fn new() -> Self {
        let log = MemoryLog::new();
        let leader = leaders::plain(Arc::new(log.clone())).await;
        let mut world = Self {
            middle: Middle::before(leader.local_addr()).await,
            log,
            _leader: leader,
            states: BTreeMap::new(),
        };
        for at in 0..GRAINS {
            let id = GrainId::new("told", format!("grain-{at}")).unwrap();
            world.states.insert(id, Vec::new());
        }
        world.goes_on().await;
        world
    }

    /// Each grain moves by Deltas or begins anew: by three entries in one append, or by one.
    async fn goes_on(&mut self) {
        for (at, (grain, states)) in self.states.iter_mut().enumerate() {
            let mut entries = Vec::new();
            let count = if (states.len() / 3).is_multiple_of(2) {
                3
            } else {
                1
            };
            for _ in 0..count {
                let next = states.len() as u64 + 1;
                let (cursor, writer) = (Cursor::new(1, next), Writer::new(5));
                let word = format!("{at}-{next:03} ").into_bytes();
                let (draft, state) = match states.last() {
                    Some((_, digest, state)) if !next.is_multiple_of(7) => (
                        Draft::delta(grain.clone(), cursor, writer, *digest, word.clone()),
                        [state.clone(), word].concat(),
                    ),
                    _ => (
                        Draft::full(grain.clone(), cursor, writer, word.clone()),
                        word,
                    ),
                };
                let entry = draft.seal();
                states.push((cursor, entry.digest(), state));
                entries.push(entry);
            }
            let answers = self.log.append_batch(&entries).await.unwrap();
            assert!(answers[0].result.is_ok());
        }
    }

    fn at_the_end(&self) -> BTreeMap<GrainId, Cursor> {
        let ends = self.states.iter();
        ends.map(|(grain, states)| (grain.clone(), states.last().unwrap().0))
            .collect()
    }

    /// Where every grain stands at the follower. What it serves is what the log had there.
    fn stands(&self, reader: &RawReader) -> BTreeMap<GrainId, (Cursor, Health)> {
        let mut found = BTreeMap::new();
        for (grain, states) in &self.states {
            let Ok(answer) = reader.get(grain, ReadOptions::default()) else {
                continue;
            };
            let state = states.iter().find(|(cursor, ..)| *cursor == answer.cursor);
            let (_, _, state) = state.expect("a state that the log never had");
            assert_eq!(answer.state[..], state[..], "{grain} at {}", answer.cursor);
            found.insert(grain.clone(), (answer.cursor, answer.health));
        }
        found
    }

    fn are_right(&self, found: &BTreeMap<GrainId, (Cursor, Health)>) -> bool {
        let wanted = self.at_the_end().into_iter();
        let wanted = wanted.map(|(grain, cursor)| (grain, (cursor, Health::Live)));
        *found == wanted.collect()
    }

    async fn until_right(&self, follower: &Follower, lie: Option<(&str, Lie)>) {
        let (began, reader) = (Instant::now(), follower.raw_reader());
        loop {
            let found = self.stands(&reader);
            if self.are_right(&found) && follower.progress().in_step == GRAINS {
                return;
            }
            assert!(began.elapsed() < LONG, "after {lie:?}: {found:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    fn follower(&self, pushed: usize) -> Follower {
        let log = GrpcLog::builder(format!("grpc://{}", self.middle.address))
            .insecure(true)
            .max_pushed(pushed)
            .backoff(Duration::from_millis(5), Duration::from_millis(20))
            .open()
            .unwrap();
        let store = MemoryReplicaStore::new().with_fold(Arc::new(Listed));
        Follower::builder(Arc::new(log), Arc::new(store))
            .poll_interval(Duration::from_millis(20))
            .backoff(Duration::from_millis(5), Duration::from_millis(20))
            .spawn()
    }

    /// Tells a lie for a while, under writes. Where the grains stood before, and what was worst.
    async fn lied_to(&mut self, follower: &Follower, lie: (&'static str, Lie)) -> Seen {
        let reader = follower.raw_reader();
        let before = self.at_the_end();
        let mut seen = Seen::default();
        self.middle.lie(Some(lie));
        let began = Instant::now();
        while self.middle.told() < TOLD {
            assert!(began.elapsed() < LONG, "there is no room for {lie:?}");
            self.goes_on().await;
            for _ in 0..4 {
                sleep(Duration::from_millis(5)).await;
                let found = self.stands(&reader);
                seen.moved |= found.iter().any(|(grain, it)| it.0 > before[grain]);
                let worst = follower.progress().quarantined;
                seen.quarantined = seen.quarantined.max(worst);
            }
        }
        self.middle.lie(None);
        seen
    }
}

#[derive(Debug, Default)]
struct Seen {
    moved: bool,
    quarantined: usize,
}

/// Lies about one call after the other, to one follower.
async fn are_overcome(
    pushed: usize,
    lies: &[(&'static str, Lie)],
    check: impl Fn(&str, Lie, Seen),
) {
    let mut world = World::new().await;
    let follower = world.follower(pushed);
    follower
        .follow_all(Filter::grain_type("told"))
        .await
        .unwrap();
    world.until_right(&follower, None).await;
    for (call, lie) in lies {
        let seen = world.lied_to(&follower, (call, *lie)).await;
        println!("{call}, {lie:?}: {seen:?}");
        check(call, *lie, seen);
        world.until_right(&follower, Some((call, *lie))).await;
    }
    follower.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_to_who_asks_for_entries_leave_the_last_good_states() {
    let lies = [
        Lie::Digests,
        Lie::Payloads,
        Lie::Exchanged,
        Lie::Reordered,
        Lie::Gap,
        Lie::HeadBelow,
        Lie::HeadElsewhere,
        Lie::Impossible,
        Lie::Fewer,
        Lie::Lengths,
        Lie::Names,
        Lie::Never,
        Lie::Failed,
        Lie::Endless,
        Lie::Empty,
    ];
    // Nothing is sent unasked: there is no other way to what the grains are.
    are_overcome(0, &lies.map(|lie| ("catch_up", lie)), |_, lie, seen| {
        // Some lies there is room for in some answers alone, and they say nothing of the other grains.
        let of_all = matches!(
            lie,
            Lie::Digests
                | Lie::Payloads
                | Lie::Fewer
                | Lie::Lengths
                | Lie::Names
                | Lie::Never
                | Lie::Failed
                | Lie::Empty
        );
        assert!(!(of_all && seen.moved), "{lie:?}: {seen:?}");
    })
    .await;
}

/// It says which log it is: nobody else can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_under_another_log_s_name_are_not_taken_in_until_that_is_asked_for() {
    let mut world = World::new().await;
    let follower = world.follower(0);
    follower
        .follow_all(Filter::grain_type("told"))
        .await
        .unwrap();
    world.until_right(&follower, None).await;
    let lie = ("catch_up", Lie::AnotherLog);
    let seen = world.lied_to(&follower, lie).await;
    assert!(!seen.moved);
    // Served on, and marked.
    let found = world.stands(&follower.raw_reader());
    assert_eq!(found.len(), GRAINS);
    let began = Instant::now();
    while follower.rebase_foreign().await.unwrap().1 > 0 {
        assert!(began.elapsed() < LONG);
        sleep(Duration::from_millis(5)).await;
    }
    world.until_right(&follower, Some(lie)).await;
    follower.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_to_who_asks_what_moved_leave_the_last_good_states() {
    let lies = [
        Lie::Back,
        Lie::Endless,
        Lie::AnotherLog,
        Lie::Empty,
        Lie::Outside,
        Lie::Names,
        Lie::Lengths,
        Lie::Fewer,
        Lie::Impossible,
    ];
    are_overcome(0, &lies.map(|lie| ("changes", lie)), |_, lie, seen| {
        assert_eq!(seen.quarantined, 0, "{lie:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_of_the_stream_quarantine_nothing_and_hold_nothing_up() {
    let lies = [
        Lie::Digests,
        Lie::Payloads,
        Lie::Exchanged,
        Lie::Reordered,
        Lie::Gap,
        Lie::HeadBelow,
        Lie::Impossible,
        Lie::Fewer,
        Lie::Lengths,
        Lie::Names,
        Lie::Outside,
        Lie::Back,
        Lie::Empty,
    ];
    for lie in lies {
        // A new one each time: a stream that is given up over and over is begun again ever later.
        are_overcome(16 << 10, &[("watch", lie)], |_, lie, seen| {
            assert_eq!(seen.quarantined, 0, "{lie:?}");
            // The poll goes on beside it.
            assert!(seen.moved, "{lie:?}");
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lies_at_the_beginning_only_delay_it() {
    for lie in [
        ("list_heads", Lie::Reordered),
        ("list_heads", Lie::Outside),
        ("list_heads", Lie::Back),
        ("list_heads", Lie::Fewer),
        ("list_heads", Lie::Empty),
        ("list_heads", Lie::Names),
        ("list_heads", Lie::Lengths),
        ("list_heads", Lie::Impossible),
        ("start", Lie::Empty),
        ("start", Lie::Lengths),
        ("describe", Lie::Empty),
    ] {
        let world = World::new().await;
        world.middle.lie(Some(lie));
        let follower = world.follower(0);
        let following = follower.clone();
        let listed =
            tokio::spawn(async move { following.follow_all(Filter::grain_type("told")).await });
        let began = Instant::now();
        while world.middle.told() < TOLD {
            assert!(began.elapsed() < LONG, "there is no room for {lie:?}");
            sleep(Duration::from_millis(2)).await;
            // Nothing is taken in on such a word.
            assert_eq!(world.stands(&follower.raw_reader()), BTreeMap::new());
        }
        assert!(!listed.is_finished(), "{lie:?}");
        world.middle.lie(None);
        listed.await.unwrap().unwrap();
        world.until_right(&follower, Some(lie)).await;
        follower.shutdown().await;
    }
}
