//! A replication log in one plain file: how to write a log of one's own and prove it.
//!
//! `cargo run --release --example file_log` (with a seed behind `--`, if you like) appends to the log
//! on a disk whose power fails in the midst of an operation, opens it again, and says what survived;
//! then it does the same, without the power loss, in a folder of this machine.
//!
//! ```text
//! log.rs      FileLog: the trait, over one lock              grain.rs   one grain: core's rules decide
//! journal.rs  what is written, synced and renamed, in order  frames.rs  checksummed frames
//! disk.rs     Disk: the few things asked of a folder         power.rs   a disk that loses power
//! ```
//!
//! # What each line is for
//! `tests/of_file_log` runs the conformance kit on both disks, every reopening on the second one being
//! a power loss, and tests that are named after what they protect. Take a line out, or put it behind
//! the next one, and the test beside it fails:
//!
//! TABLE

mod disk;
mod frames;
mod grain;
mod journal;
mod log;
mod power;

use std::error::Error;

use gleaner::{Budget, Cursor, Draft, GrainId, ReplicationLog, Writer};

use crate::disk::{Disk, RealDisk};
use crate::log::FileLog;
use crate::power::PowerDisk;

const ME: Writer = Writer::new(7);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let seed = std::env::args()
        .nth(1)
        .map_or(Ok(1_u64), |seed| seed.parse())?;

    println!("a disk whose power fails, seed {seed}:");
    let disk = PowerDisk::new(seed);
    drop(FileLog::open(disk.clone()).await?);
    // Opening takes six operations, what follows some seventy: the power fails in one of these.
    disk.fail_power_after(6 + seed.wrapping_mul(37) % 70);
    let acknowledged = append_until_it_fails(disk.clone()).await?;
    println!("  {acknowledged} states were acknowledged; then the power failed");
    disk.lose_power();
    let survived = survivors(disk).await?;
    println!("  opened again: {survived} survived");
    if survived < acknowledged {
        return Err("an acknowledged state is gone".into());
    }
    if survived > acknowledged {
        println!("  (one had reached the disk before its writer could be told)");
    }

    println!("a folder of this machine:");
    let folder = tempfile::tempdir()?;
    let disk = RealDisk::new(folder.path());
    let acknowledged = append_until_it_fails(disk.clone()).await?;
    println!("  {acknowledged} states were acknowledged, each synced; then the log was closed");
    let survived = survivors(disk).await?;
    println!("  opened again: {survived} survived");
    if survived != acknowledged {
        return Err("not what was acknowledged".into());
    }
    Ok(())
}

fn plane() -> Result<GrainId, gleaner::InvalidGrain> {
    GrainId::new("aircraft", "N14228")
}

/// Publishes a plane's states, at most thirty, with a truncation now and then; how many were
/// acknowledged.
async fn append_until_it_fails(disk: impl Disk) -> Result<u64, Box<dyn Error>> {
    let log = FileLog::open(disk).await?;
    for number in 1..=30 {
        let cursor = Cursor::new(1, number);
        let state = format!("waypoint {number}");
        let entry = Draft::full(plane()?, cursor, ME, state).seal();
        if let Err(error) = log.append(entry).await {
            println!("  append {number}: {error}");
            return Ok(number - 1);
        }
        if number % 10 == 0
            && let Err(error) = log.truncate(&plane()?, cursor).await
        {
            println!("  truncate at {number}: {error}");
            return Ok(number);
        }
    }
    Ok(30)
}

/// The number of the newest state that the log of a disk holds, whole.
async fn survivors(disk: impl Disk) -> Result<u64, Box<dyn Error>> {
    let log = FileLog::open(disk).await?;
    let page = log
        .read_from(&plane()?, Cursor::ZERO, Budget::UNBOUNDED)
        .await?;
    let Some(newest) = page.entries.last() else {
        return Ok(0);
    };
    let number = newest.sequence().get();
    if *newest.payload() != format!("waypoint {number}") {
        return Err("the newest state is not the one that was written".into());
    }
    Ok(number)
}
