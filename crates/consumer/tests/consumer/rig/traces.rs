//! [`Traces`]: the lines that a follower says, taken down for this thread.

use std::fmt::{Debug, Write as _};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// Takes down every line above debug level that is said on this thread while it lives.
pub(crate) struct Traces {
    lines: Arc<Mutex<Vec<String>>>,
    _guard: DefaultGuard,
}

impl Traces {
    pub(crate) fn take() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let subscriber = Registry::default().with(Taking(lines.clone()));
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Level, message and fields of every line so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// The lines that contain all of the words.
    pub(crate) fn with(&self, words: &[&str]) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| words.iter().all(|word| line.contains(word)));
        lines
    }
}

struct Taking(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Taking {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let ours = event.metadata().target().starts_with("gleaner_consumer");
        if level > Level::INFO || !ours {
            return;
        }
        let mut line = Line(level.to_string());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}
