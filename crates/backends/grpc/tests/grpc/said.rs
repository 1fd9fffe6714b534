//! [`Said`]: what is said in the log while a test runs, on its thread.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::Level;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

/// Everything of every level, this crate's dependencies included. The tests that use it have a runtime
/// of one thread, so that the leader's tasks are heard too.
pub(crate) struct Said {
    lines: Lines,
    _hears: DefaultGuard,
}

impl Said {
    pub(crate) fn listen() -> Self {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(lines.clone())
            .with_max_level(Level::TRACE)
            .with_ansi(false)
            .finish();
        Self {
            lines,
            _hears: tracing::subscriber::set_default(subscriber),
        }
    }

    /// All of it.
    pub(crate) fn all(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// How many lines of the crate's own say it.
    pub(crate) fn count(&self, phrase: &str) -> usize {
        let all = self.all();
        let ours = all.lines().filter(|line| line.contains("gleaner_grpc"));
        ours.filter(|line| line.contains(phrase)).count()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
