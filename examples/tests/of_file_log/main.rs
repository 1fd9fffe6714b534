//! The `file_log` example: the conformance kit on both of its disks, and what a power loss leaves.

#[cfg(test)]
#[path = "../../file_log/disk.rs"]
mod disk;
#[cfg(test)]
#[path = "../../file_log/frames.rs"]
mod frames;
#[cfg(test)]
#[path = "../../file_log/grain.rs"]
mod grain;
#[cfg(test)]
#[path = "../../file_log/journal.rs"]
mod journal;
#[cfg(test)]
#[path = "../../file_log/log.rs"]
mod log;
#[cfg(test)]
#[path = "../../file_log/power.rs"]
mod power;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod everywhere;
#[cfg(test)]
mod lines;
