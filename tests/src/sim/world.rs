//! [`World`]: what everything in one simulated world shares.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::invariants::{Invariant, all};
use super::seen::Seen;
use super::shape::Shape;
use super::truth::Truth;

/// Which faults of a world happen. Each fault that would happen is numbered, and asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mask {
    /// All of them.
    All,
    /// The first so many.
    First(u64),
    /// These.
    Only(BTreeSet<u64>),
}

impl Mask {
    fn allows(&self, number: u64) -> bool {
        match self {
            Self::All => true,
            Self::First(many) => number < *many,
            Self::Only(these) => these.contains(&number),
        }
    }
}

/// What is counted over the worlds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes that were killed.
    pub crashes: u64,
    /// Faults of all kinds that were injected.
    pub faults: u64,
    /// Truncations that removed something.
    pub truncations: u64,
    /// Grains opened by another process than the one that held them.
    pub takeovers: u64,
    /// Tails that the log has lost.
    pub lost_tails: u64,
    /// Deltas that were folded into replicas.
    pub deltas_folded: u64,
    /// Reads whose answers were checked.
    pub reads_checked: u64,
    /// Everything that the invariants were told.
    pub steps: u64,
}

impl Counts {
    /// Adds another world's.
    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.faults += other.faults;
        self.truncations += other.truncations;
        self.takeovers += other.takeovers;
        self.lost_tails += other.lost_tails;
        self.deltas_folded += other.deltas_folded;
        self.reads_checked += other.reads_checked;
        self.steps += other.steps;
    }
}

/// A clause that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Of which world.
    pub seed: u64,
    /// At which step: how many things had been seen by then.
    pub step: u64,
    /// When, in the world's time.
    pub at: Duration,
    /// Which promise, by the invariant that holds it.
    pub invariant: &'static str,
    /// The clauses that it stands for.
    pub clauses: &'static str,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            step,
            at,
            invariant,
            clauses,
            what,
        } = self;
        write!(
            f,
            "violation seed={seed} step={step} at={at:?} clause={clauses} invariant={invariant}: {what}"
        )
    }
}

/// What everything in one world shares: its truth, its invariants, its faults and its trace.
///
/// # Concurrency
/// One thread. The lock is there because logs and stores must be shareable; nothing is called and
/// nothing awaited under it.
pub(crate) struct World {
    pub(crate) shape: Shape,
    start: Instant,
    mask: Mask,
    inner: Mutex<Inner>,
    phase: Mutex<Phase>,
    /// Wakes in the order of the waits.
    entered: Notify,
    tracing: bool,
}

/// How far a world has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Faults happen.
    Chaos,
    /// No new fault happens.
    Calm,
    /// The world ends.
    Over,
}

struct Inner {
    truth: Truth,
    invariants: Vec<Box<dyn Invariant>>,
    counts: Counts,
    faults_asked: u64,
    injected: Vec<(u64, Duration, String)>,
    trace: Vec<String>,
    owners: BTreeMap<gleaner::GrainId, u64>,
    violation: Option<Violation>,
}

/// How a world ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// What was counted.
    pub counts: Counts,
    /// The first clause that did not hold, if one did not.
    pub violation: Option<Violation>,
    /// The faults that happened: number, time, what.
    pub injected: Vec<(u64, Duration, String)>,
    /// What happened, a line each; empty unless it was asked for.
    pub trace: Vec<String>,
}

impl World {
    pub(crate) fn new(shape: Shape, mask: Mask, tracing: bool) -> Self {
        let truth = Truth {
            confirms: shape.confirms,
            every_state: !shape.coalesce && !shape.loses && !shape.anew,
            ..Truth::default()
        };
        let inner = Inner {
            truth,
            invariants: all(),
            counts: Counts::default(),
            faults_asked: 0,
            injected: Vec::new(),
            trace: Vec::new(),
            owners: BTreeMap::new(),
            violation: None,
        };
        Self {
            shape,
            start: Instant::now(),
            mask,
            inner: Mutex::new(inner),
            phase: Mutex::new(Phase::Chaos),
            entered: Notify::new(),
            tracing,
        }
    }

    /// Time in this world.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.lock()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.trace(|| format!("--- {phase:?}"));
        *self.phase.lock() = phase;
        self.entered.notify_waiters();
    }

    /// Returns when that phase has been reached.
    pub(crate) async fn reached(&self, phase: Phase) {
        loop {
            let mut entered = pin!(self.entered.notified());
            entered.as_mut().enable();
            if self.phase() >= phase {
                return;
            }
            entered.await;
        }
    }

    /// Asks whether a fault may happen. None do once the world is calm.
    pub(crate) fn fault(&self, what: impl FnOnce() -> String) -> bool {
        if self.phase() > Phase::Chaos {
            return false;
        }
        let at = self.now();
        let mut inner = self.inner.lock();
        let number = inner.faults_asked;
        inner.faults_asked += 1;
        if !self.mask.allows(number) {
            return false;
        }
        inner.counts.faults += 1;
        if self.tracing {
            let what = what();
            inner
                .trace
                .push(format!("{at:>12.3?} fault #{number} {what}"));
            inner.injected.push((number, at, what));
        }
        true
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.tracing {
            let at = self.now();
            let line = line();
            self.inner.lock().trace.push(format!("{at:>12.3?} {line}"));
        }
    }

    pub(crate) fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(&mut self.inner.lock().counts);
    }

    /// A process has opened a grain; whether another held it before.
    pub(crate) fn opened(&self, grain: &gleaner::GrainId, primary: u64) {
        let mut inner = self.inner.lock();
        let former = inner.owners.insert(grain.clone(), primary);
        if former.is_some_and(|former| former != primary) {
            inner.counts.takeovers += 1;
        }
    }

    /// Asks the truth.
    pub(crate) fn truth<T>(&self, ask: impl FnOnce(&Truth) -> T) -> T {
        ask(&self.inner.lock().truth)
    }

    /// Tells the invariants, then the truth. The first violation ends the world.
    pub(crate) fn saw(&self, seen: &Seen) {
        let at = self.now();
        if self.tracing {
            self.trace(|| super::trace::line(seen));
        }
        let mut inner = self.inner.lock();
        let Inner {
            truth,
            invariants,
            counts,
            violation,
            ..
        } = &mut *inner;
        if violation.is_some() {
            return;
        }
        counts.steps += 1;
        if matches!(seen, Seen::Read { .. }) {
            counts.reads_checked += 1;
        }
        if let Seen::Stored {
            grain,
            before,
            after: Some(after),
            ..
        } = seen
            && before.as_ref() != Some(after)
        {
            let entry = truth
                .grain(grain)
                .and_then(|grain| grain.find(after.cursor(), after.digest()));
            let folded = entry.is_some_and(|entry| entry.kind == gleaner::Kind::Delta);
            counts.deltas_folded += u64::from(folded);
        }
        for invariant in invariants {
            if let Err(what) = invariant.on(truth, at, seen) {
                *violation = Some(Violation {
                    seed: self.shape.seed,
                    step: counts.steps,
                    at,
                    invariant: invariant.name(),
                    clauses: invariant.clauses(),
                    what,
                });
                break;
            }
        }
        let over = violation.is_some();
        truth.take(at, seen);
        drop(inner);
        if over {
            self.enter(Phase::Over);
        }
    }

    pub(crate) fn ending(&self) -> Ending {
        let mut inner = self.inner.lock();
        Ending {
            counts: inner.counts,
            violation: inner.violation.clone(),
            injected: std::mem::take(&mut inner.injected),
            trace: std::mem::take(&mut inner.trace),
        }
    }
}
