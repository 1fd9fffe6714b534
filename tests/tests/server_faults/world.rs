//! [`World`]: a server, the processes that publish to its log and the one that follows it, and all that
//! they have said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use gleaner::{Cursor, Identity};
use gleaner_servers::Server;
use gleaner_tests::{News, monotonic};
use tempfile::TempDir;

use crate::ages;
use crate::kind::Kind;
use crate::peer::{LONG, Peer};
use crate::place::{folder, until};
use crate::probe::Probe;
use crate::tally::Tally;
use crate::truth::{
    acked_news, assert_at_rest, assert_equal, histories_of, is_sound, lost, replicas, replicas_at,
};
use crate::verdict::{
    ages_grow_in_silence, assert_no_way_back, assert_nothing_is_there_twice, is_held, parted,
};

/// Grains of each publisher.
pub(crate) const GRAINS: usize = 6;

/// The publisher whose grains the follower reads all the while.
pub(crate) const LOAD: &str = "load";

/// How long processes wait for an answer, unless a test says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct World<K: Kind> {
    pub(crate) server: Server<K>,
    pub(crate) tally: Tally,
    /// Where the processes find the log.
    pub(crate) url: String,
    pub(crate) patience: Duration,
    store: PathBuf,
    _folder: TempDir,
    publishers: BTreeMap<&'static str, Peer>,
    follower: Option<Peer>,
    /// One whose replicas are on the server too.
    second: Option<Peer>,
    /// All grains that were ever published.
    keys: BTreeSet<String>,
    acked: Vec<News>,
    /// What followers have read, each in its life.
    readings: Vec<Vec<News>>,
    /// From when to when the server answered nobody.
    silences: Vec<(Duration, Duration)>,
    /// Grains that probes write.
    beside: usize,
    /// From when to when what was acknowledged is not there any more, by what an operator did.
    given_up: Option<(Duration, Duration)>,
}

impl<K: Kind> World<K> {
    /// With nobody running but the server.
    pub(crate) fn new(server: Server<K>) -> Self {
        let folder = folder();
        Self {
            url: K::url(&server),
            tally: Tally::default(),
            patience: PATIENCE,
            store: folder.path().join("store.db"),
            _folder: folder,
            server,
            publishers: BTreeMap::new(),
            follower: None,
            second: None,
            keys: BTreeSet::new(),
            acked: Vec::new(),
            readings: Vec::new(),
            silences: Vec::new(),
            beside: 0,
            given_up: None,
        }
    }

    /// With a publisher and a follower at work.
    pub(crate) fn running(server: Server<K>) -> Self {
        let mut world = Self::new(server);
        world.run();
        world
    }

    /// Starts a publisher and a follower, and waits until both are at work.
    pub(crate) fn run(&mut self) {
        self.start_publisher(LOAD);
        self.start_follower();
        self.goes_on();
    }

    pub(crate) fn start_publisher(&mut self, name: &'static str) {
        let keys = (0..GRAINS).map(|at| format!("{name}-{at}"));
        self.keys.extend(keys);
        let publisher = Peer::writer_to(&self.url, name, GRAINS, self.patience);
        assert!(self.publishers.insert(name, publisher).is_none(), "{name}");
    }

    pub(crate) fn start_follower(&mut self) {
        let store = format!("sqlite:{}", self.store.display());
        let follower = Peer::follower_of(&self.url, &store, GRAINS, self.patience);
        assert!(self.follower.replace(follower).is_none());
    }

    /// Starts a follower that has its replicas in a store on the server itself.
    pub(crate) fn start_second_follower(&mut self) {
        let follower = Peer::follower_of(&self.url, &self.url, GRAINS, self.patience);
        assert!(self.second.replace(follower).is_none());
    }

    pub(crate) fn publisher(&mut self, name: &str) -> &mut Peer {
        self.publishers.get_mut(name).unwrap()
    }

    pub(crate) fn follower(&mut self) -> &mut Peer {
        self.follower.as_mut().unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill_publisher(&mut self, name: &str) {
        let said = self.publishers.remove(name).unwrap().kill();
        self.acked.extend(said);
        self.tally.add("publisher_kills", 1);
    }

    /// SIGKILL, of all there are.
    pub(crate) fn kill_followers(&mut self) {
        let all = [self.follower.take(), self.second.take()];
        for follower in all.into_iter().flatten() {
            self.readings.push(follower.kill());
            self.tally.add("follower_kills", 1);
        }
    }

    /// Has a publisher come to its end: all it published is acknowledged.
    pub(crate) fn finish_publisher(&mut self, name: &str) {
        let said = self.publishers.remove(name).unwrap().finish();
        self.acked.extend(said);
    }

    /// Begins a time in which the server answers nobody, which has begun.
    pub(crate) fn silent_from_now(&mut self) {
        self.silences.push((monotonic(), Duration::MAX));
    }

    /// Ends it, before the server is let on. Somebody has read meanwhile.
    pub(crate) fn no_longer_silent(&mut self) {
        if self.follower.is_some() {
            self.follower().reads("load-0");
        }
        self.silences.last_mut().unwrap().1 = monotonic();
    }

    /// `kill -9` of the server.
    pub(crate) fn kill_server(&mut self) {
        self.server.kill();
        self.silent_from_now();
        self.tally.add("server_kills", 1);
    }

    /// Has it come up again.
    pub(crate) fn restart_server(&mut self) {
        self.no_longer_silent();
        self.server.restart();
    }

    /// Gives up what was acknowledged from a moment to now, while no server runs that could acknowledge more.
    /// Every publisher has met that by now, and so has said all that it was answered before.
    pub(crate) fn gives_up_since(&mut self, from: Duration) {
        for (name, publisher) in &self.publishers {
            until(&format!("{name} meets a log that is gone"), || {
                let complaints = publisher.complaints();
                let times = |line| complaints.matches(line).count();
                times("the log takes no entries") > times("the log takes entries again")
            });
        }
        self.given_up = Some((from, monotonic()));
    }

    /// Waits until each grain that has a publisher is acknowledged again, twice: by what begins after this
    /// call.
    pub(crate) fn is_written(&mut self) {
        let now = monotonic();
        for (name, publisher) in &mut self.publishers {
            let mut wanted: BTreeMap<String, u32> =
                (0..GRAINS).map(|at| (format!("{name}-{at}"), 2)).collect();
            while !wanted.is_empty() {
                let key = publisher.until(|news| match news {
                    News::Acked { key, at, .. } if *at > now => Some(key.clone()),
                    _ => None,
                });
                match wanted.get_mut(&key) {
                    Some(1) => drop(wanted.remove(&key)),
                    Some(more) => *more -= 1,
                    None => {}
                }
            }
        }
    }

    /// Waits until all grains are in step.
    pub(crate) fn is_in_step(&mut self) {
        let all = self.keys.len() + self.beside;
        until("all are in step", || {
            let (in_step, held, _) = self.follower().stands();
            (in_step, held) == (all, 0)
        });
    }

    /// Waits until each grain is written and followed again.
    pub(crate) fn goes_on(&mut self) {
        self.is_written();
        self.is_followed();
    }

    /// Waits until every grain is in step, at all followers.
    fn is_followed(&mut self) {
        let all = self.keys.len() + self.beside;
        assert_eq!(self.follower().caught_up().0, all);
        if let Some(second) = &mut self.second {
            assert_eq!(second.caught_up().0, all, "of those on the server");
        }
    }

    /// One who writes a grain of its own from the test itself, and awaits an answer so long.
    pub(crate) fn probe(&mut self, key: &'static str, patience: Duration) -> Probe {
        self.beside += 1;
        let mut probe = Probe::of(&self.url, key, patience);
        probe.works();
        probe
    }

    /// The identity of the log.
    pub(crate) fn identity(&self) -> Identity {
        let asked = async {
            let log = gleaner_tests::open(&self.url, LONG).await.unwrap();
            log.identity().await.unwrap()
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(asked)
    }

    /// Where the replicas of a publisher's grains stand, which are in step.
    pub(crate) fn stand(&mut self, name: &str) -> BTreeMap<String, Cursor> {
        let keys = (0..GRAINS).map(|at| format!("{name}-{at}"));
        keys.map(|key| {
            let (health, cursor, _) = self.standing(&key);
            assert_eq!(health, "live", "{key}");
            (key, cursor)
        })
        .collect()
    }

    /// Waits until replicas are marked, and holds them to stay where they stood, served, and confirmed by
    /// nothing since a moment.
    pub(crate) fn stand_marked(
        &mut self,
        health: &str,
        stood: &BTreeMap<String, Cursor>,
        since: Duration,
    ) {
        for (key, cursor) in stood {
            until(&format!("{key} is {health}"), || {
                let (is, at, since_when) = self.standing(key);
                assert_eq!(at, *cursor, "{key}");
                assert!(since_when <= since, "{key} is {is}, and was confirmed");
                is == health
            });
        }
    }

    /// How a replica is served, where it stands, and since when at most.
    fn standing(&mut self, key: &str) -> (String, Cursor, Duration) {
        match self.follower().reads(key) {
            News::Aged {
                health,
                cursor,
                age,
                at,
                ..
            } => (health, cursor, at.saturating_sub(age)),
            other => panic!("{key} is not served: {other:?}"),
        }
    }

    /// Ends everybody, and holds the log and the store against all that was ever said, and against what
    /// probes were told. Nothing that was acknowledged is missing but what was given up; how much is.
    pub(crate) fn close(mut self, probes: Vec<Probe>) -> usize {
        let names: Vec<&'static str> = self.publishers.keys().copied().collect();
        for name in names {
            self.finish_publisher(name);
        }
        self.is_followed();
        let said = self.follower.take().unwrap().finish();
        self.readings.push(said);
        let second = self.second.take().map(Peer::finish);
        let is_second = second.is_some();
        self.readings.extend(second);

        let histories = histories_of(&self.url);
        let (given_up, kept) = parted(&self.acked, self.given_up);
        let mut kept = acked_news(&kept);
        kept.extend(probes.into_iter().flat_map(|probe| probe.acked));
        let lost = lost(&histories, &kept);
        self.tally.add("acknowledged", kept.len());
        self.tally.add("lost", lost);
        assert_eq!(lost, 0, "what was acknowledged is lost");
        assert!(!kept.is_empty());
        assert_at_rest(&histories);
        assert_nothing_is_there_twice(&histories);
        assert_equal(&histories, &replicas(&self.store));
        is_sound(&self.store);
        if is_second {
            assert_equal(&histories, &replicas_at(&self.url));
        }
        self.check_ages();
        let gone = acked_news(&given_up)
            .iter()
            .filter(|acked| !is_held(&histories, acked))
            .count();
        self.tally.add("given_up", gone);
        gone
    }

    /// Every age was true, none was counted from what nobody can have answered, and no replica went back.
    fn check_ages(&mut self) {
        let (mut read, mut behind, mut in_silence) = (0, 0, 0);
        for readings in &self.readings {
            let ages = ages::are_true(&self.acked, readings);
            read += ages.read;
            behind += ages.behind;
            in_silence += ages_grow_in_silence(readings, &self.silences);
            assert_no_way_back(readings);
        }
        println!("{read} ages, {behind} of replicas that lacked something");
        self.tally.add("ages_checked", read);
        assert!(read > 0);
        let met = self.silences.len();
        assert!(in_silence > 0 || met == 0, "nobody read in {met} silences");
    }
}
