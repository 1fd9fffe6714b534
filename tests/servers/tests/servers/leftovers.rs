//! Nothing of a server outlives whoever started it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use gleaner_servers::{Missing, Postgres, missing, or_skip};

use crate::wait::until;

/// A process, told from a later one of the same number by when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    number: u32,
    parent: u32,
    began: String,
}

impl Process {
    fn of(number: u32) -> Option<(Self, char)> {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let process = Self {
            number,
            parent: fields[1].parse().unwrap(),
            began: fields[19].to_owned(),
        };
        Some((process, fields[0].chars().next().unwrap()))
    }

    fn state(&self) -> Option<char> {
        let (now, state) = Self::of(self.number)?;
        (now.began == self.began).then_some(state)
    }

    pub(crate) fn lives(&self) -> bool {
        self.state().is_some_and(|state| !"ZX".contains(state))
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state() == Some('T')
    }
}

/// A process and its children.
pub(crate) fn family_of(first: u32) -> Vec<Process> {
    all()
        .into_iter()
        .filter(|process| process.number == first || process.parent == first)
        .collect()
}

fn all() -> Vec<Process> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter_map(|number| Process::of(number).map(|(process, _)| process))
        .collect()
}

/// Everything that descends from a process, itself left out.
fn descendants_of(first: u32) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = Vec::new();
    loop {
        let more: Vec<Process> = all
            .iter()
            .filter(|process| !found.contains(process))
            .filter(|process| {
                process.parent == first || found.iter().any(|one| one.number == process.parent)
            })
            .cloned()
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Segments of System V shared memory that these processes have made.
fn segments_of(processes: &[Process]) -> usize {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let creators = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(4)?.parse().ok());
    creators
        .filter(|&creator: &u32| processes.iter().any(|process| process.number == creator))
        .count()
}

/// What a process that ended in some way has left.
struct Left {
    ended: ExitStatus,
    port: u16,
    folder: PathBuf,
    processes: Vec<Process>,
}

/// Whether it is installed.
fn there_is(server: &str) -> Result<(), Missing> {
    let missing = missing()
        .into_iter()
        .find(|missing| missing.package().starts_with(server));
    missing.map_or(Ok(()), Err)
}

/// Has a process start a server and end.
fn abandon(server: &str, how: &str) -> Left {
    let mut abandoning = Command::new(env!("CARGO_BIN_EXE_abandon"))
        .args([server, how])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(abandoning.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let (port, folder) = line.trim_end().split_once(' ').unwrap();
    let processes = descendants_of(abandoning.id());
    assert!(processes.len() >= 2, "guardian and server: {processes:?}");
    assert!(Path::new(folder).is_dir());
    assert_eq!(
        segments_of(&processes),
        usize::from(server == "postgres"),
        "what else would be left"
    );
    abandoning.stdin.take().unwrap().write_all(b"\n").unwrap();
    Left {
        ended: abandoning.wait().unwrap(),
        port: port.parse().unwrap(),
        folder: folder.into(),
        processes,
    }
}

impl Left {
    /// The guardian works on after the end of what it guarded for.
    fn goes_away(&self) {
        until("its processes are gone", || {
            !self.processes.iter().any(Process::lives)
        });
        until("the guardian has done its work", || {
            !self.folder.parent().unwrap().exists()
        });
        assert_eq!(segments_of(&self.processes), 0);
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err());
    }
}

#[test]
fn a_process_that_is_killed_leaves_nothing() {
    for server in ["postgres", "redis", "nats"] {
        if or_skip(there_is(server)).is_some() {
            let left = abandon(server, "kill");
            assert_eq!(left.ended.signal(), Some(9), "{server}");
            left.goes_away();
        }
    }
}

/// The guardian is at work for it then, and has an answer for nobody.
#[test]
fn a_process_that_is_killed_while_its_server_is_made_leaves_nothing() {
    if or_skip(there_is("postgres")).is_none() {
        return;
    }
    let mut making = Command::new(env!("CARGO_BIN_EXE_abandon"))
        .args(["postgres", "return"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut folder = None;
    until("initdb runs", || {
        folder = descendants_of(making.id()).iter().find_map(data_of_initdb);
        folder.is_some()
    });
    let processes = descendants_of(making.id());
    making.kill().unwrap();
    making.wait().unwrap();
    until("its processes are gone", || {
        !processes.iter().any(Process::lives)
    });
    until("its folder is gone", || !folder.as_ref().unwrap().exists());
}

/// The guardian's folder, if the process is PostgreSQL's `initdb`.
fn data_of_initdb(process: &Process) -> Option<PathBuf> {
    let words = fs::read_to_string(format!("/proc/{}/cmdline", process.number)).ok()?;
    let mut words = words.split('\0');
    words.next()?.ends_with("/initdb").then_some(())?;
    words.find(|word| *word == "--pgdata")?;
    Some(Path::new(words.next()?).parent()?.to_owned())
}

/// Stopped processes in a process group without a parent: the kernel hangs such a group up.
#[test]
fn a_process_that_is_killed_leaves_no_paused_server() {
    if or_skip(there_is("postgres")).is_none() {
        return;
    }
    let left = abandon("postgres", "paused");
    assert_eq!(left.ended.signal(), Some(9));
    left.goes_away();
}

#[test]
fn a_static_that_is_never_dropped_leaves_nothing() {
    if or_skip(there_is("redis")).is_none() {
        return;
    }
    let left = abandon("redis", "return");
    assert_eq!(left.ended.code(), Some(0));
    left.goes_away();
}

#[test]
fn a_process_that_panics_leaves_nothing() {
    if or_skip(there_is("nats")).is_none() {
        return;
    }
    let left = abandon("nats", "panic");
    assert_eq!(left.ended.code(), Some(101));
    left.goes_away();
}

#[test]
fn a_test_that_panics_leaves_nothing() {
    let Some(server) = or_skip(Postgres::start()) else {
        return;
    };
    let folder = server.folder().to_owned();
    let guarded = descendants_of(std::process::id())
        .into_iter()
        .find(|process| {
            let words = fs::read_to_string(format!("/proc/{}/cmdline", process.number));
            words.is_ok_and(|words| words.contains(folder.to_str().unwrap()))
        })
        .unwrap();
    let test = std::thread::spawn(move || {
        assert_eq!(server.sql("SELECT 1"), "2");
    });
    test.join().unwrap_err();
    assert!(!guarded.lives(), "by the end of the test");
    assert!(!folder.parent().unwrap().exists());
}
