//! Catches what is traced on this thread.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// The lines, each with its level.
#[derive(Clone, Default)]
pub(super) struct Traces(Arc<Mutex<Vec<(Level, String)>>>);

impl Traces {
    /// Catches lines until the guard is dropped.
    pub(super) fn catch() -> (Self, DefaultGuard) {
        // With one subscriber alone, a callsite first met on another test's thread is cached as
        // disabled for all; with a second one that stays, every callsite asks all of them.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(Self::default()));
        let traces = Self::default();
        let guard = tracing::subscriber::set_default(traces.clone());
        (traces, guard)
    }

    pub(super) fn at(&self, level: Level) -> Vec<String> {
        let lines = self.0.lock();
        lines
            .iter()
            .filter(|(of, _)| *of == level)
            .map(|(_, line)| line.clone())
            .collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl Subscriber for Traces {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("gleaner_publisher")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().push((*event.metadata().level(), line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
