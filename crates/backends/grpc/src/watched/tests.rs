use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;

/// The number in a file, and how often it was read.
struct Number {
    folder: TempDir,
    readings: Arc<AtomicUsize>,
    watched: Watched<u32, io::Error>,
}

impl Number {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        fs::write(&path, "1").unwrap();
        let readings = Arc::new(AtomicUsize::new(0));
        let (from, count) = (path.clone(), Arc::clone(&readings));
        let watched = Watched::open("the number", vec![path], move || {
            count.fetch_add(1, Ordering::SeqCst);
            let text = fs::read_to_string(&from)?;
            text.parse().map_err(io::Error::other)
        });
        Self {
            folder,
            readings,
            watched: watched.unwrap(),
        }
    }

    fn path(&self) -> &Path {
        &self.watched.paths()[0]
    }

    fn readings(&self) -> usize {
        self.readings.load(Ordering::SeqCst)
    }

    async fn later(&self) -> u32 {
        tokio::time::advance(PAUSE).await;
        *self.watched.current()
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_is_seen_after_the_pause_and_not_before() {
    let number = Number::new();
    fs::write(number.path(), "2").unwrap();
    assert_eq!(*number.watched.current(), 1);
    assert_eq!(number.later().await, 2);
}

#[tokio::test(start_paused = true)]
async fn files_that_stay_are_read_twice_and_then_only_looked_at() {
    let number = Number::new();
    for _ in 0..5 {
        assert_eq!(number.later().await, 1);
    }
    assert_eq!(number.readings(), 2);
    fs::write(number.path(), "30").unwrap();
    for _ in 0..5 {
        assert_eq!(number.later().await, 30);
    }
    assert_eq!(number.readings(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_second_writing_that_looks_like_the_first_is_seen() {
    let number = Number::new();
    // What a writing within the grain of the file's times looks like: the marks are those of now.
    fs::write(number.path(), "2").unwrap();
    number.watched.seen.lock().marks = marks(&number.watched.paths);
    assert_eq!(number.later().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_time_that_was_set_back_hides_no_change() {
    let number = Number::new();
    number.later().await;
    let file = fs::File::options().write(true).open(number.path()).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let before = marks(&number.watched.paths);
    let guard = std::time::Instant::now();
    // Until the file system's clock has moved on.
    while marks(&number.watched.paths) == before {
        assert!(guard.elapsed() < Duration::from_secs(60));
        fs::write(number.path(), "2").unwrap();
        file.set_modified(modified).unwrap();
    }
    let after = marks(&number.watched.paths);
    assert_eq!(
        before[0].map(|mark| mark.modified),
        after[0].map(|mark| mark.modified)
    );
    assert_eq!(number.later().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_leaves_the_former_value_and_is_said_once() {
    let number = Number::new();
    fs::write(number.path(), "two").unwrap();
    assert_eq!(number.later().await, 1);
    let said = number.watched.seen.lock().said.clone();
    assert!(said.is_some());
    assert_eq!(number.later().await, 1);
    assert_eq!(number.watched.seen.lock().said, said);
    fs::remove_file(number.path()).unwrap();
    assert_eq!(number.later().await, 1);
    assert_ne!(number.watched.seen.lock().said, said);

    // Put in its place by a rename, as it should be.
    let new = number.folder.path().join("new");
    fs::write(&new, "3").unwrap();
    fs::rename(&new, number.path()).unwrap();
    assert_eq!(number.later().await, 3);
    assert_eq!(number.watched.seen.lock().said, None);
}

#[tokio::test(start_paused = true)]
async fn a_reload_does_not_wait_for_the_pause() {
    let number = Number::new();
    assert!(!number.watched.reload().unwrap());
    fs::write(number.path(), "2").unwrap();
    assert!(number.watched.reload().unwrap());
    assert_eq!(*number.watched.current(), 2);
    fs::write(number.path(), "").unwrap();
    assert!(number.watched.reload().is_err());
    assert_eq!(*number.watched.current(), 2);
    // Who asked was told: the log need not be.
    assert!(number.watched.seen.lock().said.is_some());
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_another_s_look() {
    let number = Number::new();
    fs::write(number.path(), "2").unwrap();
    tokio::time::advance(PAUSE).await;
    let looking = number.watched.seen.lock();
    assert_eq!(*number.watched.current(), 1);
    drop(looking);
    assert_eq!(*number.watched.current(), 2);
}
