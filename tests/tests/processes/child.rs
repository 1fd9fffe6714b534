//! [`Worker`]: a process under test, and what it has said.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use gleaner_tests::Report;

/// Long beyond anything that is waited for.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// SIGKILL.
const KILL: i32 = 9;

/// A running worker. Dropping it kills and reaps it.
pub(crate) struct Worker {
    name: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    reports: Receiver<Report>,
    /// What it has written to standard error, and what ends when it is all of it.
    errors: (Arc<Mutex<String>>, Option<JoinHandle<()>>),
}

impl Worker {
    /// An appender of grains `PREFIX-0..` that was told to begin; see the program for the rest.
    pub(crate) fn appender(log: &Path, prefix: &str, grains: u64, how: &str, turns: u64) -> Self {
        let (grains, turns) = (grains.to_string(), turns.to_string());
        let args = [&url(log), prefix, &grains, how, &turns];
        let mut worker = Self::start("appender", env!("CARGO_BIN_EXE_appender"), &args);
        worker.order("begin");
        worker
    }

    /// A follower of a log into a store.
    pub(crate) fn follower(log: &Path, store: &Path, grains_a_read: u64) -> Self {
        let args = [&url(log), &url(store), &*grains_a_read.to_string()];
        Self::start("follower", env!("CARGO_BIN_EXE_follower"), &args)
    }

    fn start(name: &'static str, program: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, reports) = channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let line = line.unwrap();
                let report = line
                    .parse()
                    .unwrap_or_else(|_| panic!("{name} said {line:?}"));
                if sender.send(report).is_err() {
                    return;
                }
            }
        });
        let err = child.stderr.take().unwrap();
        let errors = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&errors);
        let listening = std::thread::spawn(move || {
            for line in BufReader::new(err).lines() {
                let line = line.unwrap();
                // Shown with the test if it fails.
                println!("{name}: {line}");
                let mut all = all.lock().unwrap();
                all.push_str(&line);
                all.push('\n');
            }
        });
        let orders = child.stdin.take();
        Self {
            name,
            child,
            orders,
            reports,
            errors: (errors, Some(listening)),
        }
    }

    /// Gives an order. One that has ended takes none, which shows elsewhere.
    pub(crate) fn order(&mut self, order: &str) {
        if let Some(orders) = &mut self.orders {
            let _ = writeln!(orders, "{order}");
        }
    }

    /// The next line; none once it has ended and all was read.
    pub(crate) fn next(&mut self) -> Option<Report> {
        match self.reports.recv_timeout(LONG) {
            Ok(report) => Some(report),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the {} says nothing any more", self.name),
        }
    }

    /// What it has said and was not looked at yet.
    pub(crate) fn said(&mut self) -> Vec<Report> {
        self.reports.try_iter().collect()
    }

    /// Gives an order and returns the first line that answers it.
    pub(crate) fn ask<T>(&mut self, order: &str, mut answer: impl FnMut(Report) -> Option<T>) -> T {
        self.order(order);
        loop {
            let report = self.next();
            let report = report.unwrap_or_else(|| panic!("the {} ended early", self.name));
            if let Some(answer) = answer(report) {
                return answer;
            }
        }
    }

    /// SIGKILL, and all that it had said before and was not looked at yet.
    pub(crate) fn kill(mut self) -> Vec<Report> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(KILL), "the {} ended", self.name);
        self.reports.iter().collect()
    }

    /// Tells it to come to an end, and waits for it; the rest of what it said, and its standard error.
    pub(crate) fn finish(mut self) -> (Vec<Report>, String) {
        drop(self.orders.take());
        let mut rest = Vec::new();
        while let Some(report) = self.next() {
            rest.push(report);
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the {}: {status}", self.name);
        assert_eq!(rest.last(), Some(&Report::Ended), "the {}", self.name);
        (rest, self.all_errors())
    }

    /// Waits until it has ended by itself, in failure; its standard error.
    pub(crate) fn failed(mut self) -> String {
        while self.next().is_some() {}
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(1), "the {}", self.name);
        self.all_errors()
    }

    /// Its standard error up to now.
    pub(crate) fn errors(&self) -> String {
        self.errors.0.lock().unwrap().clone()
    }

    fn all_errors(&mut self) -> String {
        self.errors.1.take().unwrap().join().unwrap();
        self.errors()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended and was waited for is not killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}
