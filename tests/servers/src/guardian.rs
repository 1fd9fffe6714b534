//! [`Guardian`]: a small shell that holds a server, so that the server cannot outlive this process.
//!
//! A destructor is not enough: `kill -9` runs none, and neither does the end of a process for its
//! `static`s. A signal at the parent's death (`PDEATHSIG`) is none either: it falls when the *thread*
//! that spawned ends, and a test is a thread. So the server is a child of a shell whose standard input is
//! a socket that this process alone holds, closed at `exec`. However this process ends, the kernel closes
//! the socket; the shell then kills the server with all its processes, and removes its folder. The shell
//! makes the folder, too, so that there is no moment at which a folder has no guardian.
//!
//! The shell is in a session of its own. An interrupt from a terminal then ends the tests and not the
//! shell. And the kernel leaves it alone: a process group in the session of the tests would be orphaned by
//! their end, and such a group is hung up (`SIGHUP`) if one of its processes is stopped at that moment, as
//! those of a paused server are.
//!
//! The server's processes are found as descendants of its first one, which is stopped before they are
//! counted: PostgreSQL puts each of its backends in a session and process group of its own. Shared memory that
//! the kernel keeps beyond its processes is given back, too.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SCRIPT: &str = include_str!("guardian.sh");

/// How long any one command may take: a base backup is the longest.
const GUARD: Duration = Duration::from_secs(120);

/// Dropping it kills the server, and waits until nothing is left.
#[derive(Debug)]
pub(crate) struct Guardian {
    /// One request and its answer at a time.
    line: Mutex<BufReader<UnixStream>>,
    shell: Child,
    folder: PathBuf,
}

impl Guardian {
    /// A shell with a new folder of its own, and no server yet.
    pub(crate) fn new(name: &str) -> Self {
        Self::within(&std::env::temp_dir(), name)
    }

    /// The same, with its folder within this one.
    pub(crate) fn within(folder: &Path, name: &str) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap_or_else(|error| panic!("{error}"));
        let answers = theirs.try_clone().unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new("setsid");
        command
            .args(["sh", "-c", SCRIPT, "guardian"])
            .arg(folder)
            .arg(format!("gleaner-{name}"))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(answers)))
            // Not ours: whoever reads the tests' output would wait for the guardian to end.
            .stderr(Stdio::null());
        plain_environment(&mut command);
        let shell = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run setsid: {error}"));
        // The only copies of the other end go with it, so that an end of the shell shows here.
        drop(command);
        ours.set_read_timeout(Some(GUARD))
            .unwrap_or_else(|error| panic!("{error}"));
        let mut guardian = Self {
            line: Mutex::new(BufReader::new(ours)),
            shell,
            folder: PathBuf::new(),
        };
        guardian.folder = guardian.answer("its folder").into();
        guardian
    }

    /// What is removed in the end. The server's data and its log are in it.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes this, too, in the end.
    pub(crate) fn also_remove(&self, path: &Path) {
        self.ask(&format!("also {}", text(path)));
    }

    /// Runs a command to its end; panics with the end of the log if it fails.
    ///
    /// By the guardian, and not from here: it would go on writing into the folder after this process was
    /// killed and the folder removed.
    pub(crate) fn run(&self, words: &[String]) {
        let status = self.ask(&format!("run {}", quoted(words)));
        assert!(
            status == "0",
            "{words:?} failed ({status}):\n{}",
            self.log_from(0)
        );
    }

    /// Starts the server; where its log begins.
    pub(crate) fn start(&self, words: &[String]) -> u64 {
        let begins = fs::metadata(self.log()).map_or(0, |log| log.len());
        self.ask(&format!("start {}", quoted(words)));
        begins
    }

    pub(crate) fn is_running(&self) -> bool {
        self.ask("state") == "running"
    }

    /// A signal to the first process of the server alone.
    pub(crate) fn signal(&self, name: &str) {
        self.ask(&format!("signal {name}"));
    }

    /// Stops every process of the server.
    pub(crate) fn pause(&self) {
        self.ask("all STOP");
    }

    /// Lets every process of the server go on.
    pub(crate) fn resume(&self) {
        self.ask("all CONT");
    }

    /// Kills every process of the server, and waits for their end.
    pub(crate) fn kill(&self) {
        self.ask("kill");
    }

    /// The end of what the server has said since the log had this length.
    pub(crate) fn log_from(&self, begins: u64) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let since = usize::try_from(begins)
            .ok()
            .and_then(|begins| log.get(begins..))
            .unwrap_or_default();
        let said = String::from_utf8_lossy(since);
        let lines: Vec<&str> = said.lines().collect();
        let end = lines.len().saturating_sub(40);
        lines.get(end..).unwrap_or_default().join("\n")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn ask(&self, request: &str) -> String {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .unwrap_or_else(|error| panic!("the guardian is gone ({error}): {request}"));
        read(&mut line, request)
    }

    fn answer(&self, request: &str) -> String {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        read(&mut line, request)
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        let line = self.line.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = line.get_mut().shutdown(Shutdown::Both);
        let _ = self.shell.wait();
    }
}

fn read(line: &mut BufReader<UnixStream>, request: &str) -> String {
    let mut answer = String::new();
    let why = match line.read_line(&mut answer) {
        Ok(read) if read > 0 => return answer.trim_end().to_owned(),
        Ok(_) => "it has ended".to_owned(),
        Err(error) => error.to_string(),
    };
    // A late answer would be taken for that to the next request.
    let _ = line.get_mut().shutdown(Shutdown::Both);
    panic!("no answer from the guardian ({why}): {request}")
}

/// Without what would turn the clients and servers of PostgreSQL elsewhere, and in English.
pub(crate) fn plain_environment(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C");
}

/// A path in a shell's words.
pub(crate) fn text(path: &Path) -> &str {
    match path.to_str() {
        Some(text) if !text.contains('\n') => text,
        _ => panic!("{}: a path with a newline, or not in UTF-8", path.display()),
    }
}

fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
        .collect();
    words.join(" ")
}
