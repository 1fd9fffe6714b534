//! Runs the built example.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Far beyond what any answer takes; one that does not come is a failure and not a hanging test.
const GUARD: Duration = Duration::from_secs(60);

/// The example's program, built by the same cargo call as this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let path = profile.join("examples").join(if cfg!(windows) {
        "collections.exe"
    } else {
        "collections"
    });
    assert!(
        path.is_file(),
        "{} is not built: run `cargo test -p gleaner-examples`",
        path.display()
    );
    path
}

/// Runs it to its end, without input.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null());
    command.output().unwrap()
}

/// A side that is running. Killed if the test ends first.
pub(crate) struct Side {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    complaints: Receiver<String>,
}

/// What was said to a command.
#[derive(Debug, PartialEq)]
pub(crate) struct Said {
    pub(crate) hits: Vec<String>,
    pub(crate) last: String,
}

impl Said {
    /// The cursor in `... at 1:7 ...`.
    pub(crate) fn cursor(&self) -> &str {
        let (_, behind) = self.last.split_once(" at ").unwrap();
        behind.split(' ').next().unwrap()
    }

    /// The number in `ok 7 points ...`.
    pub(crate) fn number(&self) -> u64 {
        self.last.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

impl Side {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            lines: lines(child.stdout.take().unwrap()),
            complaints: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    /// Waits for a line on standard error that says this.
    pub(crate) fn complains(&self, of: &str) -> String {
        loop {
            let line = self.complaints.recv_timeout(GUARD);
            let line = line.unwrap_or_else(|_| panic!("it never complains of {of:?}"));
            if line.contains(of) {
                return line;
            }
        }
    }

    /// The next line.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(GUARD).unwrap()
    }

    /// The rest of the next line, which begins so.
    pub(crate) fn hear(&self, beginning: &str) -> String {
        let line = self.line();
        let rest = line.strip_prefix(beginning);
        rest.unwrap_or_else(|| panic!("{line:?}")).to_owned()
    }

    /// Gives a command without waiting for its answer.
    pub(crate) fn give(&mut self, command: &str) {
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{command}").unwrap();
    }

    /// Gives a command; the answer, whatever it is.
    pub(crate) fn tell(&mut self, command: &str) -> Said {
        self.give(command);
        self.answer()
    }

    /// The next answer.
    pub(crate) fn answer(&self) -> Said {
        let mut hits = Vec::new();
        loop {
            let line = self.line();
            if line.starts_with("hit ") {
                hits.push(line);
            } else {
                return Said { hits, last: line };
            }
        }
    }

    /// Gives a command that must not be refused.
    pub(crate) fn ask(&mut self, command: &str) -> Said {
        let said = self.tell(command);
        assert!(said.last.starts_with("ok"), "{command:?}: {said:?}");
        said
    }

    /// Gives a command that must be refused so.
    pub(crate) fn refused(&mut self, command: &str, why: &str) {
        let said = self.tell(command);
        let refused = said.last.starts_with("refused: ") && said.last.contains(why);
        assert!(refused, "{command:?}: {said:?}");
    }

    /// Ends it by ending its input.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// SIGKILL, on Unix.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The lines of a stream, as they come.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (say, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { return };
            // Nobody may be listening any more; the stream is read on, so that nobody blocks.
            let _ = say.send(line);
        }
    });
    lines
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
