//! Runs the built command.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Far beyond what any run takes: a run that hangs is a failure and not a hanging test.
pub(crate) const GUARD: Duration = Duration::from_secs(60);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_gleaner");

/// A folder of a test's own.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A run that has not ended yet. Killed if the test ends first.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The command, with this folder as working directory.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// Starts the command.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running::of(child)
    }

    /// Runs the command to its end.
    pub(crate) fn run(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Ended {
        let mut running = self.start(arguments);
        let mut stdin = running.stdin.take().unwrap();
        // A command that reads no input closes it, which is no failure of this one.
        let _ = stdin.write_all(input.as_ref());
        drop(stdin);
        running.end()
    }

    /// Runs it to a good end, without a word on standard error.
    pub(crate) fn good(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Ended {
        let ended = self.run(arguments, input);
        assert!(ended.status.success(), "{arguments:?}: {ended:#?}");
        assert_eq!(ended.stderr, "", "{arguments:?}");
        ended
    }

    /// Runs it twice, as people and as scripts do, to a failure of that exit code and kind; its
    /// message.
    pub(crate) fn bad(
        &self,
        arguments: &[&str],
        input: impl AsRef<[u8]>,
        code: i32,
        kind: &str,
    ) -> String {
        let ended = self.run(arguments, &input);
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {ended:#?}");
        let said = ended.stderr.lines().last().unwrap_or_default().to_owned();
        let mut with_json = vec!["--json"];
        with_json.extend(arguments);
        let ended = self.run(&with_json, &input);
        assert_eq!(ended.status.code(), Some(code), "{with_json:?}: {ended:#?}");
        let told = objects(&ended.stderr);
        let error = &told.last().unwrap()["error"];
        assert_eq!(error["kind"], kind, "{with_json:?}: {ended:#?}");
        let message = error["message"].as_str().unwrap().to_owned();
        // Usage is told to people at length.
        let prefix = if kind == "usage" { "" } else { "gleaner: " };
        assert!(said.starts_with(prefix), "{said}");
        message
    }

    /// Runs it to an end for want of an answer within its `--timeout`; what stood in the way, if an
    /// answer came at all.
    pub(crate) fn unreachable(&self, arguments: &[&str]) -> String {
        let mut with_json = vec!["--json"];
        with_json.extend(arguments);
        let ended = self.run(&with_json, "");
        assert_eq!(ended.status.code(), Some(5), "{with_json:?}: {ended:#?}");
        let told = objects(&ended.stderr);
        let error = &told.last().unwrap()["error"];
        assert!(
            ["transient", "unknown"].contains(&error["kind"].as_str().unwrap()),
            "{ended:#?}"
        );
        error["message"].as_str().unwrap().to_owned()
    }

    /// Appends one state.
    pub(crate) fn append(&self, grain_type: &str, key: &str, state: impl AsRef<[u8]>) -> Ended {
        let arguments = [
            "append", "--log", LOG, "--type", grain_type, "--key", key, "--json",
        ];
        self.good(&arguments, state)
    }
}

/// The log of most tests, in the test's folder.
pub(crate) const LOG: &str = "sqlite:grains.db";

impl Ended {
    /// Standard output as an object a line.
    pub(crate) fn objects(&self) -> Vec<Value> {
        objects(&self.stdout)
    }

    /// The one object of standard output.
    pub(crate) fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "{self:#?}");
        objects.remove(0)
    }
}

pub(crate) fn objects(text: &str) -> Vec<Value> {
    let objects: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(objects.iter().all(Value::is_object), "{text}");
    objects
}

impl Running {
    /// A process whose inputs and outputs are pipes.
    pub(crate) fn of(mut child: Child) -> Self {
        Self {
            stdin: child.stdin.take(),
            lines: lines(child.stdout.take().unwrap()),
            errors: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(GUARD) {
            Ok(line) => line,
            Err(error) => {
                let _ = self.child.kill();
                let said: Vec<String> = self.errors.iter().collect();
                panic!("no further line ({error}); on standard error: {said:#?}")
            }
        }
    }

    /// The next line, as an object.
    pub(crate) fn object(&mut self) -> Value {
        let line = self.line();
        objects(&line).remove(0)
    }

    /// Objects up to the one that is meant, which is returned.
    pub(crate) fn until(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        loop {
            let object = self.object();
            if is_meant(&object) {
                return object;
            }
        }
    }

    /// Sends it a signal, such as `INT`.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &process])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; what it said that was not taken yet.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let status = self.status();
        let rest =
            |lines: &Receiver<String>| -> String { lines.iter().map(|line| line + "\n").collect() };
        Ended {
            status,
            stdout: rest(&self.lines),
            stderr: rest(&self.errors),
        }
    }

    pub(crate) fn status(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < GUARD, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe, which a thread empties.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (lines, taken) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    taken
}
