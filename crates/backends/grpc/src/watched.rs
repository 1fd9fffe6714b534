//! [`Watched`]: what was made of files, and is made again when they change.

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The pause between two looks at the files. A look is a `stat` each, a few microseconds.
const PAUSE: Duration = Duration::from_secs(1);

/// A value made of files. Whoever asks for it looks whether they have changed, at most once a second.
///
/// Files that cannot be made into a value leave the former one, and are said once as an error.
///
/// # Concurrency
/// One caller looks at a time, under a lock that is never waited for: the others go on with the value
/// that there is. So is a caller that stands in a file system that hangs alone in it. No lock is held
/// when the call returns. The look is synchronous: small local files, once a second.
///
/// A file may be written twice within the grain of its times, and look the same after both. So
/// whatever was read is read once more at the next look, a second later: what is written behind that
/// reading has another time.
pub(crate) struct Watched<T, E> {
    /// For the log: `the token file`.
    what: &'static str,
    paths: Box<[PathBuf]>,
    make: Box<dyn Fn() -> Result<T, E> + Send + Sync>,
    value: ArcSwap<T>,
    seen: Mutex<Seen>,
}

/// What the last look saw.
struct Seen {
    at: Instant,
    marks: Vec<Option<Mark>>,
    /// Whether the files were read again with these marks.
    settled: bool,
    /// The error that was said last, if the value is not of the files as they are.
    said: Option<String>,
}

/// What changes with a file. `changed` cannot be set back, as `modified` can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl<T: PartialEq, E: Error + 'static> Watched<T, E> {
    /// Makes the value, from these files.
    pub(crate) fn open(
        what: &'static str,
        paths: impl Into<Box<[PathBuf]>>,
        make: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E> {
        let paths = paths.into();
        // The marks first: what is written between is another mark, or the same one and read again.
        let marks = marks(&paths);
        Ok(Self {
            value: ArcSwap::from_pointee(make()?),
            seen: Mutex::new(Seen {
                at: Instant::now(),
                marks,
                settled: false,
                said: None,
            }),
            what,
            paths,
            make: Box::new(make),
        })
    }

    /// The files.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// The value, no more than a second and the time of a reading behind the files if they are good
    /// and somebody asks.
    pub(crate) fn current(&self) -> Arc<T> {
        self.look();
        self.value.load_full()
    }

    /// Reads the files now, changed or not; whether the value is another. Waits for a look that is
    /// under way.
    ///
    /// # Errors
    /// As `make`: the former value stays.
    pub(crate) fn reload(&self) -> Result<bool, E> {
        let mut seen = self.seen.lock();
        seen.at = Instant::now();
        seen.marks = marks(&self.paths);
        seen.settled = false;
        let outcome = self.make_again();
        // The caller is told, and the log is not.
        seen.said = outcome.as_ref().err().map(in_full);
        outcome
    }

    fn look(&self) {
        let Some(mut seen) = self.seen.try_lock() else {
            return;
        };
        if seen.at.elapsed() < PAUSE {
            return;
        }
        seen.at = Instant::now();
        let marks = marks(&self.paths);
        let same = marks == seen.marks;
        if same && seen.settled {
            return;
        }
        seen.settled = same;
        seen.marks = marks;
        match self.make_again() {
            Ok(changed) => {
                let mended = seen.said.take().is_some();
                if changed || mended {
                    tracing::info!(paths = ?self.paths, "read {} again", self.what);
                }
            }
            Err(error) => {
                let said = in_full(&error);
                if seen.said.as_ref() != Some(&said) {
                    tracing::error!(
                        error = &error as &(dyn Error + 'static),
                        "{} cannot be used as changed; what it said before stays in force",
                        self.what
                    );
                    seen.said = Some(said);
                }
            }
        }
    }

    fn make_again(&self) -> Result<bool, E> {
        let made = (self.make)()?;
        let changed = made != **self.value.load();
        if changed {
            self.value.store(Arc::new(made));
        }
        Ok(changed)
    }
}

/// None for a file that cannot be looked at.
fn marks(paths: &[PathBuf]) -> Vec<Option<Mark>> {
    let mark = |path: &PathBuf| {
        let found = fs::metadata(path).ok()?;
        Some(Mark {
            device: found.dev(),
            inode: found.ino(),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    };
    paths.iter().map(mark).collect()
}

/// An error and what caused it, for comparison.
fn in_full(error: &impl Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

#[cfg(test)]
mod tests;
