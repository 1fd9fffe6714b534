//! [`Server`]: what all servers have in common.

use std::fmt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::guardian::Guardian;
use crate::port;

/// How long a server may take to come up or to go down.
const GUARD: Duration = Duration::from_secs(60);

/// How long to wait before it is looked at again: the second time, and at most. Each question that it
/// cannot answer yet costs it time, and lines of its log.
const PACE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// How one kind of server is started, asked and ended.
pub trait Program: fmt::Debug {
    /// The command that serves on this port, its options included.
    fn words(&self, port: u16) -> Vec<String>;

    /// One question that this server alone can answer, and answers only if it serves.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask(&self, port: u16) -> Result<(), String>;

    /// The signal that asks it to end in good order, without waiting for clients.
    fn good_night(&self) -> &'static str;

    /// Where its data is.
    fn data(&self) -> &Path;
}

/// A running server, or one that was killed or shut down and can be restarted.
///
/// All calls may come from any thread. A call waits for the one before it.
#[derive(Debug)]
pub struct Server<P> {
    pub(crate) program: P,
    pub(crate) guardian: Guardian,
    port: u16,
}

/// What came of a start.
enum Started {
    Answers,
    PortTaken,
}

impl<P: Program> Server<P> {
    /// Starts it on a free port.
    pub(crate) fn on_a_free_port(program: P, guardian: Guardian) -> Self {
        let began = Instant::now();
        let mut server = Self {
            program,
            guardian,
            port: port::free(),
        };
        while let Started::PortTaken = server.try_start() {
            assert!(began.elapsed() < GUARD, "no port stays free");
            server.port = port::free();
        }
        server
    }

    /// The port of 127.0.0.1 that it has, for as long as it exists.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data is.
    pub fn folder(&self) -> &Path {
        self.program.data()
    }

    /// Whether its first process runs, be it stopped.
    pub fn is_running(&self) -> bool {
        self.guardian.is_running()
    }

    /// The end of its log, for the message of a failed test.
    pub fn log(&self) -> String {
        self.guardian.log_from(0)
    }

    /// `kill -9` of all its processes, and waits for their end. Its data stays.
    pub fn kill(&mut self) {
        self.guardian.kill();
    }

    /// Stops all its processes (`SIGSTOP`): its connections stay, and nobody answers.
    pub fn pause(&self) {
        self.guardian.pause();
    }

    /// Lets all its processes go on (`SIGCONT`).
    pub fn resume(&self) {
        self.guardian.resume();
    }

    /// Ends it in good order, without waiting for its clients; returns when it has ended.
    ///
    /// # Panics
    /// If it takes a minute.
    pub fn shut_down(&mut self) {
        self.guardian.resume();
        self.guardian.signal(self.program.good_night());
        let began = Instant::now();
        while self.guardian.is_running() {
            assert!(
                began.elapsed() < GUARD,
                "it does not end:\n{}",
                self.guardian.log_from(0)
            );
            sleep(PACE.0);
        }
        // What it may have left behind.
        self.guardian.kill();
    }

    /// Starts it again on the same port and data, after [`kill`](Self::kill) or
    /// [`shut_down`](Self::shut_down); returns when it answers, recovery included.
    ///
    /// # Panics
    /// If it is running, or does not come up.
    pub fn restart(&mut self) {
        assert!(!self.is_running(), "it is running");
        let began = Instant::now();
        while let Started::PortTaken = self.try_start() {
            assert!(
                began.elapsed() < GUARD,
                "port {} is taken:\n{}",
                self.port,
                self.guardian.log_from(0)
            );
            sleep(Duration::from_millis(100));
        }
    }

    fn try_start(&self) -> Started {
        let log = self.guardian.start(&self.program.words(self.port));
        let began = Instant::now();
        let mut pace = PACE.0;
        loop {
            // Its end is looked for first: whoever answers after it is somebody else.
            let ended = !self.guardian.is_running();
            let said = || self.guardian.log_from(log);
            if ended && said().to_lowercase().contains("address already in use") {
                self.guardian.kill();
                return Started::PortTaken;
            }
            assert!(!ended, "it has ended:\n{}", said());
            match self.program.ask(self.port) {
                Ok(()) => return Started::Answers,
                Err(why) => assert!(
                    began.elapsed() < GUARD,
                    "it does not come up ({why}):\n{}",
                    said()
                ),
            }
            sleep(pace);
            pace = (pace * 2).min(PACE.1);
        }
    }
}
