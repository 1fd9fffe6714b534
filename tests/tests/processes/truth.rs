//! What the files hold, read by this process, and what was acknowledged held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gleaner::{Budget, Cursor, Entry, Filter, Head, Kind, Replica};
use gleaner_tests::{News, Payload, Report};

/// A state that a log acknowledged; a tombstone without a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) key: String,
    pub(crate) cursor: Cursor,
    pub(crate) turn: Option<u64>,
}

/// What was acknowledged, of what was said.
pub(crate) fn acked(said: &[Report]) -> Vec<Acked> {
    let acked = said.iter().filter_map(|report| match report {
        Report::Acked { key, cursor, turn } => Some(Acked {
            key: key.clone(),
            cursor: *cursor,
            turn: *turn,
        }),
        _ => None,
    });
    acked.collect()
}

/// What was acknowledged, of news.
pub(crate) fn acked_news(heard: &[News]) -> Vec<Acked> {
    let acked = heard.iter().filter_map(|news| match news {
        News::Acked {
            key, cursor, turn, ..
        } => Some(Acked {
            key: key.clone(),
            cursor: *cursor,
            turn: *turn,
        }),
        _ => None,
    });
    acked.collect()
}

/// In what a follower said: grains in step, grains that stand otherwise, entries read.
pub(crate) fn caught_up(said: &[Report]) -> (usize, usize, u64) {
    let caught_up = said.iter().find_map(|report| match report {
        Report::CaughtUp {
            in_step,
            held,
            entries_read,
        } => Some((*in_step, *held, *entries_read)),
        _ => None,
    });
    caught_up.expect("it was proved in step")
}

/// A log's grains by key: head, and all entries that are left.
pub(crate) type Histories = BTreeMap<String, (Head, Vec<Entry>)>;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Opens a log in a file and reads all of it.
pub(crate) fn histories(path: &Path) -> Histories {
    histories_of(&format!("sqlite:{}", path.display()))
}

/// Opens the log at a URL and reads all of it.
pub(crate) fn histories_of(url: &str) -> Histories {
    run(async {
        let log = gleaner_tests::open(url, Duration::from_secs(60))
            .await
            .unwrap();
        let mut all = Histories::new();
        let mut after = None;
        loop {
            let page = log
                .list_heads(&Filter::all(), after.as_ref(), 1000)
                .await
                .unwrap();
            for (grain, head) in page.heads {
                let history = log
                    .read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED)
                    .await
                    .unwrap();
                assert!(!history.more, "{grain}");
                all.insert(grain.grain_key().to_owned(), (head, history.entries));
            }
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    })
}

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens the store in a file and reads all of it.
pub(crate) fn replicas(path: &Path) -> BTreeMap<String, Replica> {
    replicas_at(&format!("sqlite:{}", path.display()))
}

/// Opens a store and reads all of it.
pub(crate) fn replicas_at(url: &str) -> BTreeMap<String, Replica> {
    run(async {
        let store = gleaner_tests::open_store(url, PATIENCE).await.unwrap();
        let mut all = BTreeMap::new();
        let mut after = None;
        loop {
            let page = store
                .list(&Filter::all(), after.as_ref(), 1000)
                .await
                .unwrap();
            for (grain, replica) in page.replicas {
                all.insert(grain.grain_key().to_owned(), replica);
            }
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    })
}

/// A copy of a file that no process has open, with its WAL as it was left: what is opened there is
/// not mended here.
pub(crate) fn copied(path: &Path) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    for end in ["", "-wal"] {
        if with_end(path, end).exists() {
            fs::copy(with_end(path, end), with_end(&copy, end)).unwrap();
        }
    }
    (folder, copy)
}

/// Deletes a file, and what SQLite keeps beside it.
pub(crate) fn delete(path: &Path) {
    for end in ["", "-wal", "-shm"] {
        if with_end(path, end).exists() {
            fs::remove_file(with_end(path, end)).unwrap();
        }
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// What SQLite itself says of a file.
pub(crate) fn is_sound(path: &Path) {
    let conn = rusqlite::Connection::open(path).unwrap();
    let said: String = conn
        .query_row("PRAGMA integrity_check", (), |row| row.get(0))
        .unwrap();
    assert_eq!(said, "ok", "{}", path.display());
}

/// The turn that an entry is of; none for a tombstone. Its payload must be whole.
pub(crate) fn turn(entry: &Entry) -> Option<u64> {
    if entry.kind() == Kind::Tombstone {
        return None;
    }
    let key = entry.grain().grain_key();
    let payload = Payload::read(key, entry.payload());
    let payload = payload.unwrap_or_else(|| panic!("{key} at {}: a torn state", entry.cursor()));
    Some(payload.turn())
}

/// Every history is in order and whole, and holds its head: heads were read first, and a log that is
/// written to meanwhile has gone on since.
pub(crate) fn assert_in_order(histories: &Histories) {
    for (key, (head, entries)) in histories {
        let mut before = Cursor::ZERO;
        for entry in entries {
            let at = entry.cursor();
            assert!(
                at.sequence > before.sequence && at.epoch >= before.epoch,
                "{key}: {at} after {before}"
            );
            before = at;
            turn(entry);
        }
        let held = entries.iter().any(|entry| entry.cursor() == head.cursor);
        assert!(held, "{key}: the head {} is not there", head.cursor);
    }
}

/// [`assert_in_order`] of a log that nobody writes to: every history ends at its head and begins with
/// a base.
pub(crate) fn assert_at_rest(histories: &Histories) {
    assert_in_order(histories);
    for (key, (head, entries)) in histories {
        let newest = entries.last().map(Entry::cursor);
        assert_eq!(newest, Some(head.cursor), "{key}");
        assert!(entries[0].kind().is_base(), "{key}");
    }
}

/// Every acknowledged state stands in the log under its number.
pub(crate) fn assert_kept(histories: &Histories, acked: &[Acked]) {
    for Acked {
        key,
        cursor,
        turn: wanted,
    } in acked
    {
        let entries = histories.get(key).map(|(_, entries)| entries.as_slice());
        let found = entries
            .unwrap_or_default()
            .iter()
            .find(|entry| entry.cursor() == *cursor)
            .unwrap_or_else(|| panic!("{key} at {cursor} was acknowledged and is lost"));
        assert_eq!(turn(found), *wanted, "{key} at {cursor}");
    }
}

/// How many of the acknowledged entries a log does not hold, under their number and with their state;
/// each is said.
pub(crate) fn lost(histories: &Histories, acked: &[Acked]) -> usize {
    let held: BTreeMap<(&str, Cursor), Option<u64>> = histories
        .iter()
        .flat_map(|(key, (_, entries))| entries.iter().map(move |entry| (key, entry)))
        .map(|(key, entry)| ((key.as_str(), entry.cursor()), turn(entry)))
        .collect();
    let is_lost = |acked: &&Acked| {
        let is_lost = held.get(&(acked.key.as_str(), acked.cursor)) != Some(&acked.turn);
        if is_lost {
            println!("LOST: {} at {}", acked.key, acked.cursor);
        }
        is_lost
    };
    acked.iter().filter(is_lost).count()
}

/// The entries that nobody was told of.
pub(crate) fn unacked<'a>(histories: &'a Histories, acked: &[Acked]) -> Vec<&'a Entry> {
    let known: BTreeSet<(&str, Cursor)> = acked
        .iter()
        .map(|acked| (acked.key.as_str(), acked.cursor))
        .collect();
    let entries = histories.values().flat_map(|(_, entries)| entries);
    entries
        .filter(|entry| !known.contains(&(entry.grain().grain_key(), entry.cursor())))
        .collect()
}

/// A store holds, of every grain, what the log's own fold gives: its head, and nothing else.
pub(crate) fn assert_equal(histories: &Histories, replicas: &BTreeMap<String, Replica>) {
    let keys = |left: Vec<&String>| left.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(replicas.keys().collect()),
        keys(histories.keys().collect())
    );
    for (key, (head, entries)) in histories {
        let newest = entries.last().unwrap();
        let replica = &replicas[key];
        assert_eq!(
            (replica.cursor(), replica.digest()),
            (head.cursor, head.digest),
            "{key}"
        );
        let state = newest.kind().is_base().then(|| newest.payload());
        let state = state.expect("no deltas are published here");
        let wanted = (newest.kind() == Kind::FullState).then_some(state);
        assert_eq!(replica.state(), wanted.map(|state| &state[..]), "{key}");
    }
}
