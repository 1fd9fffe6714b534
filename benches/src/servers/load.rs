//! Processor time of other processes, from `/proc`.

use std::fs;

use crate::Outcome;

/// Nanoseconds that processors have spent in a process: in all threads that it has now.
pub(crate) fn process_nanos(pid: u32) -> Outcome<u64> {
    let mut nanos = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that has ended meanwhile is no error.
        if let Ok(spent) = fs::read_to_string(task?.path().join("schedstat")) {
            nanos += spent
                .split(' ')
                .next()
                .and_then(|spent| spent.parse::<u64>().ok())
                .ok_or("a schedstat has no time spent")?;
        }
    }
    Ok(nanos)
}

/// Nanoseconds spent in a process and its children, those that have ended since included.
pub(crate) fn family_nanos(parent: u32) -> Outcome<u64> {
    let mut nanos = process_nanos(parent)?;
    let stat = Stat::of(parent).ok_or("a process is gone")?;
    let tick = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
    nanos += stat.ended_ticks * tick;
    for entry in fs::read_dir("/proc")? {
        let pid = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = pid else { continue };
        if Stat::of(pid).is_some_and(|stat| stat.parent == parent) {
            nanos += process_nanos(pid).unwrap_or(0);
        }
    }
    Ok(nanos)
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// Time spent in children that have ended and were waited for.
    ended_ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The name of the program stands in brackets, and may itself hold spaces and brackets.
        let (_, rest) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            ended_ticks: number(13)? + number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_is_read_behind_a_name_with_brackets() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 50 60 70 80 20 0 1 0 99 1 1";
        let wanted = Stat {
            parent: 3,
            ended_ticks: 150,
        };
        assert_eq!(Stat::parse(stat), Some(wanted));
        assert_eq!(Stat::parse("7 (a"), None);
    }

    #[test]
    fn what_this_process_spends_is_seen() {
        let own = std::process::id();
        let before = process_nanos(own).unwrap();
        let mut draws = gleaner_measure::Draw::new(1);
        while process_nanos(own).unwrap() < before + 20_000_000 {
            std::hint::black_box(draws.draw());
        }
        assert!(family_nanos(own).unwrap() >= before + 20_000_000);
    }

    #[test]
    fn a_child_counts_while_it_runs_and_after_it_ended() {
        let own = std::process::id();
        let busy = || {
            let mut command = std::process::Command::new("sh");
            command.args([
                "-c",
                "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; read line",
            ]);
            command.stdin(std::process::Stdio::piped());
            command.spawn().unwrap()
        };
        let mut child = busy();
        while process_nanos(child.id()).unwrap() < 30_000_000 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let running = family_nanos(own).unwrap();
        assert!(running >= process_nanos(own).unwrap());
        assert!(running >= 30_000_000);
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(Stat::of(own).unwrap().ended_ticks > 0);
    }
}
