//! [`Peer`]: a process at one end of a wire, and what it has said.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gleaner_tests::{News, monotonic};
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpSocket;

/// Long beyond anything that is waited for.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long a peer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A port that is nobody's, and stays it while no leader listens there: a dial that is refused does not
/// take it for its own end by chance, and a leader that comes back finds it free.
pub(crate) struct Reserved {
    _bound: TcpSocket,
    pub(crate) at: SocketAddr,
}

impl Reserved {
    pub(crate) fn port() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // With this a leader may listen where this one is bound and does not.
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self {
            at: socket.local_addr().unwrap(),
            _bound: socket,
        }
    }
}

/// SIGKILL.
const KILL: i32 = 9;

/// A running peer. Dropping it kills and reaps it.
pub(crate) struct Peer {
    name: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    news: Receiver<News>,
    heard: Vec<News>,
    /// What it has written to standard error.
    complaints: Arc<Mutex<String>>,
}

impl Peer {
    /// A leader over an SQLite log, and where it listens: on a free port, or where another did before.
    pub(crate) fn leader(log: &Path, listen: Option<SocketAddr>) -> (Self, SocketAddr) {
        Self::leader_of_batches(log, listen, 4_096)
    }

    /// As [`Self::leader`], over a log that takes larger batches.
    pub(crate) fn leader_of_batches(
        log: &Path,
        listen: Option<SocketAddr>,
        max_batch: usize,
    ) -> (Self, SocketAddr) {
        let listen = listen.map_or_else(|| "127.0.0.1:0".to_owned(), |at| at.to_string());
        let path = log.display().to_string();
        let mut peer = Self::start("leader", &[&path, &listen, &max_batch.to_string()]);
        let at = peer.until(|news| match news {
            News::Listening { at } => Some(*at),
            _ => None,
        });
        (peer, at)
    }

    /// A follower into a store at a URL, which reads the ages of so many grains under load.
    pub(crate) fn follower(leader: SocketAddr, store: &str, sampled: usize) -> Self {
        Self::follower_of(&url(leader), store, sampled, PATIENCE)
    }

    /// As [`Self::follower`], of the log at a URL.
    pub(crate) fn follower_of(log: &str, store: &str, sampled: usize, patience: Duration) -> Self {
        let (sampled, patience) = (sampled.to_string(), patience.as_millis().to_string());
        Self::start("follower", &[log, store, &sampled, &patience])
    }

    pub(crate) fn writer(leader: SocketAddr, prefix: &str, grains: usize) -> Self {
        Self::writer_to(&url(leader), prefix, grains, PATIENCE)
    }

    /// As [`Self::writer`], to the log at a URL.
    pub(crate) fn writer_to(log: &str, prefix: &str, grains: usize, patience: Duration) -> Self {
        let (grains, patience) = (grains.to_string(), patience.as_millis().to_string());
        Self::start("writer", &[log, prefix, &grains, &patience])
    }

    fn start(name: &'static str, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wire_peer"))
            .arg(name)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, news) = channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let line = line.unwrap();
                let said = line.parse();
                let said = said.unwrap_or_else(|_| panic!("the {name} said {line:?}"));
                if sender.send(said).is_err() {
                    return;
                }
            }
        });
        let err = child.stderr.take().unwrap();
        let complaints = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&complaints);
        std::thread::spawn(move || {
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
            news,
            heard: Vec::new(),
            complaints,
        }
    }

    /// Waits for news, and keeps all that comes before it.
    pub(crate) fn until<T>(&mut self, wanted: impl Fn(&News) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            let left = LONG.saturating_sub(began.elapsed());
            match self.news.recv_timeout(left) {
                Ok(news) => {
                    let found = wanted(&news);
                    self.heard.push(news);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => panic!("the {} ended early", self.name),
                Err(RecvTimeoutError::Timeout) => panic!("the {} does not go on", self.name),
            }
        }
    }

    /// Waits until so many states were acknowledged to a writer after a moment.
    pub(crate) fn writes_after(&mut self, after: Duration, count: usize) {
        for _ in 0..count {
            self.until(|news| match news {
                News::Acked { at, .. } if *at > after => Some(()),
                _ => None,
            });
        }
    }

    /// Waits until a follower was proved in step with what the log held when it was asked: how many
    /// grains are, and how many entries it had asked for since its start.
    pub(crate) fn caught_up(&mut self) -> (usize, u64) {
        let (in_step, held, read) = self.stands();
        assert_eq!(held, 0, "grains that stand otherwise");
        (in_step, read)
    }

    /// As [`Self::caught_up`], where some may stand otherwise: in step, otherwise, entries.
    pub(crate) fn stands(&mut self) -> (usize, usize, u64) {
        writeln!(self.orders.as_mut().unwrap(), "caught-up").unwrap();
        self.until(|news| match news {
            News::CaughtUp {
                in_step,
                held,
                entries_read,
            } => Some((*in_step, *held, *entries_read)),
            _ => None,
        })
    }

    /// Has a follower read a replica now: how it is served, or that it has no age.
    pub(crate) fn reads(&mut self, key: &str) -> News {
        let asked = monotonic();
        writeln!(self.orders.as_mut().unwrap(), "read {key}").unwrap();
        self.until(|news| match news {
            News::Ageless { key: read } => (read == key).then(|| news.clone()),
            // Or by chance one that nobody asked for, which is as new.
            News::Aged { key: read, at, .. } => (read == key && *at > asked).then(|| news.clone()),
            _ => None,
        })
    }

    /// What it has complained of up to now.
    pub(crate) fn complaints(&self) -> String {
        self.complaints.lock().unwrap().clone()
    }

    pub(crate) fn stop(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub(crate) fn go_on(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it has of the machine's memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() << 10
    }

    /// SIGKILL; all that it had said.
    pub(crate) fn kill(mut self) -> Vec<News> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(KILL), "the {} ended", self.name);
        let mut heard = std::mem::take(&mut self.heard);
        heard.extend(self.news.iter());
        heard
    }

    /// Tells it to come to an end and waits for that; all that it said.
    pub(crate) fn finish(mut self) -> Vec<News> {
        drop(self.orders.take());
        self.until(|news| (*news == News::Ended).then_some(()));
        let status = self.child.wait().unwrap();
        assert!(status.success(), "the {}: {status}", self.name);
        std::mem::take(&mut self.heard)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // One that was stopped ends all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn url(leader: SocketAddr) -> String {
    format!("grpc://{leader}")
}
