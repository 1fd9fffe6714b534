//! [`Traces`]: the lines that a follower says, taken down for this thread.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

/// Takes down every line above debug level that is said on this thread while it lives.
pub(crate) struct Traces(Lines);

type Lines = Arc<Mutex<Vec<String>>>;

thread_local! {
    static TAKING: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// One subscriber for the whole process, before anything is said: one that comes while another thread
/// says its first line may miss that line for good.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(Registry::default().with(Taking)).unwrap();
    });
}

impl Traces {
    pub(crate) fn take() -> Self {
        install();
        let lines = Lines::default();
        TAKING.with(|taking| *taking.borrow_mut() = Some(lines.clone()));
        Self(lines)
    }

    /// Level, message and fields of every line so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// The lines that contain all of the words.
    pub(crate) fn with(&self, words: &[&str]) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| words.iter().all(|word| line.contains(word)));
        lines
    }
}

struct Taking;

impl<S: Subscriber> Layer<S> for Taking {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        let ours = event.metadata().target().starts_with("gleaner_consumer");
        if level > Level::INFO || !ours {
            return;
        }
        TAKING.with(|taking| {
            if let Some(lines) = &*taking.borrow() {
                let mut line = Line(level.to_string());
                event.record(&mut line);
                lines.lock().push(line.0);
            }
        });
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        TAKING.with(|taking| *taking.borrow_mut() = None);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}
