//! [`Metrics`]: a follower's numbers through the `metrics` facade; owns their names, units and
//! descriptions, and the handles.
//!
//! Nothing here is on a hot path. The driver counts in [`Counts`] as it does without the feature, and a
//! sample tells the facade by how much each count has risen since the last one. Ages are found by a walk
//! over the cells ([`survey`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gleaner_actor::Health;
use metrics::{Counter, Gauge, Label, Unit};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::clock::Reading;
use crate::counts::{Counts, KINDS, Side};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::survey::{self, Seen};

/// What a metric is called and says.
struct Named(&'static str, Unit, &'static str);

const GRAINS: Named = Named(
    "gleaner_follower_grains",
    Unit::Count,
    "Followed grains, by the health of their replicas",
);
const IN_STEP: Named = Named(
    "gleaner_follower_grains_in_step",
    Unit::Count,
    "Grains that rest in step with the log",
);
const PENDING: Named = Named(
    "gleaner_follower_grains_pending",
    Unit::Count,
    "Grains on their way: not in step, and live or bootstrapping",
);
const STALLED: Named = Named(
    "gleaner_follower_grains_stalled",
    Unit::Count,
    "Pending grains of which nothing has changed for ten poll intervals, at least a second",
);
const UNCONFIRMED: Named = Named(
    "gleaner_follower_grains_unconfirmed",
    Unit::Count,
    "Grains that were never proved in step since they were followed, and so have no age",
);
const BY_AGE: Named = Named(
    "gleaner_follower_grains_by_age",
    Unit::Count,
    "Grains that are at most `le` seconds old now; +Inf counts those without an age, too",
);
const OLDEST: Named = Named(
    "gleaner_follower_oldest_age_seconds",
    Unit::Seconds,
    "The greatest age of a grain; 0 if none has one",
);
const SILENCE: Named = Named(
    "gleaner_follower_last_confirmation_age_seconds",
    Unit::Seconds,
    "Time since the request whose answer last proved anything in step; before that, since the start",
);
const ERRORS: Named = Named(
    "gleaner_follower_errors_total",
    Unit::Count,
    "Calls of log or store that failed, and grains that they answered an error for, by kind",
);

/// Where a number is counted.
type Count = fn(&Counts) -> &AtomicU64;

/// What is counted, and where.
const COUNTED: [(Named, Count); 9] = [
    (
        Named(
            "gleaner_follower_polls_total",
            Unit::Count,
            "Grains asked for in reads of entries",
        ),
        |counts| &counts.polls,
    ),
    (
        Named(
            "gleaner_follower_reads_total",
            Unit::Count,
            "Reads of entries from the log",
        ),
        |counts| &counts.reads,
    ),
    (
        Named(
            "gleaner_follower_pages_total",
            Unit::Count,
            "Pages of feeds and listings",
        ),
        |counts| &counts.pages,
    ),
    (
        Named(
            "gleaner_follower_entries_read_total",
            Unit::Count,
            "Entries that came from the log",
        ),
        |counts| &counts.entries_read,
    ),
    (
        Named(
            "gleaner_follower_payload_bytes_read_total",
            Unit::Bytes,
            "Bytes of payload that came from the log",
        ),
        |counts| &counts.bytes_read,
    ),
    (
        Named(
            "gleaner_follower_entries_applied_total",
            Unit::Count,
            "Entries that moved a replica",
        ),
        |counts| &counts.entries_applied,
    ),
    (
        Named(
            "gleaner_follower_applies_total",
            Unit::Count,
            "Runs of entries given to the store",
        ),
        |counts| &counts.runs_applied,
    ),
    (
        Named(
            "gleaner_follower_pushes_applied_total",
            Unit::Count,
            "Runs of entries that the log had sent unasked and that were given to the store",
        ),
        |counts| &counts.pushes_applied,
    ),
    (
        Named(
            "gleaner_follower_pushes_dropped_total",
            Unit::Count,
            "Runs of entries that the log sent unasked and that were of no use",
        ),
        |counts| &counts.pushes_dropped,
    ),
];

/// The bounds of [`BY_AGE`], in seconds: from a hint that comes at once to half an hour of silence.
const BOUNDS: [(&str, f64); 13] = [
    ("0.01", 0.01),
    ("0.1", 0.1),
    ("0.25", 0.25),
    ("0.5", 0.5),
    ("1", 1.0),
    ("2.5", 2.5),
    ("5", 5.0),
    ("10", 10.0),
    ("30", 30.0),
    ("60", 60.0),
    ("300", 300.0),
    ("1800", 1800.0),
    ("+Inf", f64::INFINITY),
];

/// How many poll intervals a pending grain may stand still before it counts as stalled.
const STALLED_AFTER: u32 = 10;

/// However short the interval: below this it is no stall but a busy machine.
const STALLED_AT_LEAST: Duration = Duration::from_secs(1);

/// The metrics of one follower.
pub(crate) struct Metrics {
    name: String,
    /// After how long a pending grain that stands still is stalled.
    stalled_after: Duration,
    began: Reading,
    /// None before the first sample: whoever samples has installed a recorder.
    handles: Mutex<Option<Handles>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Metrics {
    pub(crate) fn new(settings: &Settings) -> Self {
        let interval = settings.policy.poll_interval();
        Self {
            name: settings.name.clone(),
            stalled_after: interval.saturating_mul(STALLED_AFTER).max(STALLED_AT_LEAST),
            began: settings.clock.read(),
            handles: Mutex::default(),
        }
    }

    /// Tells the facade how the follower stands now. One sample at a time, so that no count is told twice.
    pub(crate) fn sample(&self, shared: &Shared) {
        let mut handles = self.handles.lock();
        let handles = handles.get_or_insert_with(|| Handles::register(&self.name));
        let found = self.survey(shared);
        handles.set(&found, &shared.counts);
        handles.count(&shared.counts);
    }

    fn survey(&self, shared: &Shared) -> Found {
        let mut found = Found {
            latest: shared.feeds.latest(),
            ..Found::default()
        };
        survey::each(shared, |seen| {
            // After the standings were taken, so that no age is too small (C5).
            let now = shared.clock.read();
            for one in seen {
                self.note(&mut found, one, now);
            }
        });
        if shared.is_closed() {
            // Nothing is on its way any more. The ages go on, as readers are told them.
            (found.pending, found.stalled) = (0, 0);
        }
        let since = found.latest.unwrap_or(self.began);
        found.silence = shared.clock.read().since(since);
        found
    }

    fn note(&self, found: &mut Found, one: &Seen, now: Reading) {
        if let Some(t0) = one.standing.confirmed {
            let age = now.since(t0);
            let seconds = age.as_secs_f64();
            let bound = BOUNDS.iter().position(|(_, bound)| seconds <= *bound);
            if let Some(count) = bound.and_then(|bound| found.by_age.get_mut(bound)) {
                *count += 1;
            }
            found.oldest = found.oldest.max(age);
            found.latest = later(found.latest, Some(t0));
        } else {
            found.unconfirmed += 1;
        }
        if one.pending && one.standing.health.is_moving() {
            found.pending += 1;
            found.stalled += usize::from(one.still_for > self.stalled_after);
        }
    }
}

/// The later of two readings.
fn later(one: Option<Reading>, other: Option<Reading>) -> Option<Reading> {
    let time = |reading: &Reading| reading.monotonic;
    one.into_iter().chain(other).max_by_key(time)
}

/// What a walk found.
#[derive(Default)]
struct Found {
    pending: usize,
    stalled: usize,
    unconfirmed: usize,
    /// How many fit each bound and none below it.
    by_age: [usize; BOUNDS.len()],
    oldest: Duration,
    latest: Option<Reading>,
    silence: Duration,
}

/// Every handle of one follower, registered once.
struct Handles {
    by_health: Vec<(Health, Gauge)>,
    in_step: Gauge,
    pending: Gauge,
    stalled: Gauge,
    unconfirmed: Gauge,
    by_age: Vec<Gauge>,
    oldest: Gauge,
    silence: Gauge,
    counted: Vec<(Count, Mirrored)>,
    errors: Vec<(Side, usize, Mirrored)>,
}

/// A counter, and what it has been told already.
struct Mirrored {
    counter: Counter,
    told: u64,
}

impl Mirrored {
    const fn new(counter: Counter) -> Self {
        Self { counter, told: 0 }
    }

    fn tell(&mut self, count: u64) {
        self.counter.increment(count.saturating_sub(self.told));
        self.told = self.told.max(count);
    }
}

impl Handles {
    /// Describes and registers them with the recorder that is installed now.
    fn register(follower: &str) -> Self {
        let labels = |more: &[(&'static str, &'static str)]| {
            let follower = Label::new("follower", follower.to_owned());
            let more = more.iter().map(|(name, value)| Label::new(*name, *value));
            std::iter::once(follower).chain(more).collect::<Vec<_>>()
        };
        let gauge = |named: &Named, more: &[(&'static str, &'static str)]| {
            let Named(name, unit, says) = *named;
            metrics::describe_gauge!(name, unit, says);
            metrics::gauge!(name, labels(more))
        };
        let counter = |named: &Named, more: &[(&'static str, &'static str)]| {
            let Named(name, unit, says) = *named;
            metrics::describe_counter!(name, unit, says);
            Mirrored::new(metrics::counter!(name, labels(more)))
        };
        let of_kind = |side: Side| {
            let counter = &counter;
            KINDS.into_iter().enumerate().map(move |(index, kind)| {
                let labels = [("side", side.name()), ("kind", kind)];
                (side, index, counter(&ERRORS, &labels))
            })
        };
        Self {
            by_health: Health::ALL
                .into_iter()
                .map(|health| (health, gauge(&GRAINS, &[("health", health.name())])))
                .collect(),
            in_step: gauge(&IN_STEP, &[]),
            pending: gauge(&PENDING, &[]),
            stalled: gauge(&STALLED, &[]),
            unconfirmed: gauge(&UNCONFIRMED, &[]),
            by_age: BOUNDS
                .into_iter()
                .map(|(bound, _)| gauge(&BY_AGE, &[("le", bound)]))
                .collect(),
            oldest: gauge(&OLDEST, &[]),
            silence: gauge(&SILENCE, &[]),
            counted: COUNTED
                .into_iter()
                .map(|(named, of)| (of, counter(&named, &[])))
                .collect(),
            errors: Side::ALL.into_iter().flat_map(of_kind).collect(),
        }
    }

    fn set(&self, found: &Found, counts: &Counts) {
        for (health, gauge) in &self.by_health {
            gauge.set(float(counts.of(*health)));
        }
        self.in_step
            .set(float(counts.in_step.load(Ordering::Relaxed)));
        self.pending.set(float(found.pending));
        self.stalled.set(float(found.stalled));
        self.unconfirmed.set(float(found.unconfirmed));
        let mut fitting = 0;
        for (count, gauge) in found.by_age.iter().zip(&self.by_age) {
            fitting += count;
            gauge.set(float(fitting));
        }
        if let Some(all) = self.by_age.last() {
            all.set(float(fitting + found.unconfirmed));
        }
        self.oldest.set(found.oldest.as_secs_f64());
        self.silence.set(found.silence.as_secs_f64());
    }

    fn count(&mut self, counts: &Counts) {
        for (of, mirrored) in &mut self.counted {
            mirrored.tell(of(counts).load(Ordering::Relaxed));
        }
        for (side, kind, mirrored) in &mut self.errors {
            mirrored.tell(counts.errors(*side, *kind));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "nobody follows 2^53 grains, and a gauge is a float"
)]
const fn float(count: usize) -> f64 {
    count as f64
}

/// A follower's own task that samples; ends with it.
#[derive(Debug)]
pub(crate) struct Sampler(AbortHandle);

impl Sampler {
    /// Samples each `period`, for the first time after one.
    pub(crate) fn spawn(period: Duration, metrics: Arc<Metrics>, shared: Arc<Shared>) -> Self {
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                metrics.sample(&shared);
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.0.abort();
    }
}
