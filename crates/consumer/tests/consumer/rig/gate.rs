//! [`Gate`]: what passes may be held back, refused or counted.

use std::sync::atomic::{AtomicUsize, Ordering};

use gleaner_core::{Error, Result};
use tokio::sync::watch;

/// One kind of call.
pub(crate) struct Gate {
    held: watch::Sender<bool>,
    waiting: AtomicUsize,
    failing: AtomicUsize,
    /// Calls that succeed before the failing begins.
    sparing: AtomicUsize,
    calls: AtomicUsize,
}

impl Gate {
    pub(super) fn new() -> Self {
        Self {
            held: watch::Sender::new(false),
            waiting: AtomicUsize::new(0),
            failing: AtomicUsize::new(0),
            sparing: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
        }
    }

    /// From now on, answers wait.
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    /// What waits goes on, and what comes later does not wait.
    pub(crate) fn release(&self) {
        self.held.send_replace(false);
    }

    /// The next so many calls fail; `usize::MAX` for all.
    pub(crate) fn fail(&self, calls: usize) {
        self.failing.store(calls, Ordering::SeqCst);
    }

    /// The next so many calls succeed, and all after them fail.
    pub(crate) fn fail_after(&self, calls: usize) {
        self.sparing.store(calls, Ordering::SeqCst);
        self.fail(usize::MAX);
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// A call begins: fails if told to.
    pub(super) fn enter(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let spared = self.sparing.load(Ordering::SeqCst);
        if spared > 0 {
            self.sparing.store(spared - 1, Ordering::SeqCst);
            return Ok(());
        }
        let left = self.failing.load(Ordering::SeqCst);
        if left == 0 {
            return Ok(());
        }
        if left != usize::MAX {
            self.failing.store(left - 1, Ordering::SeqCst);
        }
        Err(Error::transient("rig", "told to fail"))
    }

    /// Counts as waiting until dropped.
    pub(super) fn count(&self) -> impl Send + '_ {
        Counted::new(&self.waiting)
    }

    /// Waits while held.
    pub(super) async fn pass(&self) {
        let mut held = self.held.subscribe();
        if !*held.borrow() {
            return;
        }
        let _counted = Counted::new(&self.waiting);
        held.wait_for(|held| !held).await.unwrap();
    }
}

/// Counts itself, and off again however the wait ends.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
