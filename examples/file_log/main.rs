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
//! # What it promises, and what not
//! An Ok survives the process and the power (L10), as far as the disk does what it says when it is
//! asked to sync; on Unix, for only there can a folder be synced. One process at a time has the
//! folder, and the lock file sees to that. All entries are in memory, a call costs a sync, and a
//! truncation writes the whole file anew: it is a log for small things. There is no feed. Each
//! opening is a history of its own, for a copy put back from elsewhere cannot be told from the file
//! that was left (L11). A last frame that is damaged later looks like one that was never whole, and
//! is dropped; damage before it is said, and nothing is dropped. A file that is deleted while the
//! log is open is not missed.
//!
//! # What each line is for
//! `tests/of_file_log` runs the conformance kit on both disks, every reopening on the second one being
//! a power loss, and tests that are named after what they protect. Each row was tried by hand: with the
//! line taken out, or changed as said, the test beside it fails. Most rows also fail
//! `nothing_acknowledged_or_read_is_lost_wherever_the_disk_fails`, where a model is held against random
//! failures.
//!
//! | in | line | fails |
//! |---|---|---|
//! | `Journal` | `lock` is taken and kept | `a_folder_is_one_logs_at_a_time` |
//! | `append` | `self.file.take()`: the file is not kept after a failure | `a_failed_append_does_not_bury_later_ones` |
//! | | `disk.append` | `an_acknowledged_append_survives_power_loss` |
//! | | `disk.sync`, or before the append | `an_acknowledged_append_survives_power_loss` |
//! | | `self.file = Some(..)` | `an_append_costs_one_write_and_one_sync` |
//! | `Journal::replace` | `self.file = None` | `a_failed_truncation_leaves_no_old_file_to_append_to` |
//! | | `disk.create(NEXT)`, not `NAME` | `a_truncation_is_before_or_after_wherever_the_power_fails` |
//! | | `disk.append` | `a_truncated_log_is_whole_after_power_loss` |
//! | | `disk.sync`, or before the append | `a_truncated_log_is_whole_after_power_loss` |
//! | | `disk.rename` | `a_truncated_log_is_whole_after_power_loss` |
//! | | `disk.rename` before the sync | `a_truncation_is_before_or_after_wherever_the_power_fails` |
//! | | `disk.sync_dir`, or before the rename | `appends_after_a_truncation_survive_power_loss`, `a_new_log_keeps_its_name_through_power_loss` |
//! | | `self.file = Some(..)` | `an_append_costs_one_write_and_one_sync` |
//! | | `self.file = Some(..)` before `sync_dir` | `a_failed_truncation_leaves_no_old_file_to_append_to` |
//! | `open` | the log is loaded at once | `damage_is_said_and_nothing_is_dropped` |
//! | `call` | `load` if the journal is unsure | `a_failed_append_does_not_bury_later_ones` |
//! | `load` | `grains.clear()` | `a_failed_append_is_shown_only_if_it_is_durable` |
//! | | no name: an error | `a_foreign_file_is_left_alone` |
//! | | `self.identity`: the name | `a_new_log_keeps_its_name_through_power_loss` |
//! | | `self.identity`: another history | `each_opening_is_a_history_of_its_own` |
//! | | `self.replace()` | `what_a_killed_process_wrote_is_durable_before_it_is_shown`, `a_torn_tail_does_not_bury_later_appends` |
//! | `State::replace` | the name's record | `a_new_log_keeps_its_name_through_power_loss` |
//! | `write` | nothing to write: return | `an_append_costs_one_write_and_one_sync` |
//! | `append_batch` | `state.write` | `an_acknowledged_append_survives_power_loss` |
//! | `claim` | `state.write` | `an_acknowledged_claim_survives_power_loss` |
//! | `truncate` | `state.replace` | `a_truncated_log_is_whole_after_power_loss` |
//! | | if something was removed | `an_append_costs_one_write_and_one_sync` |
//! | `Grain::records` | the fence; the floor | `a_truncation_keeps_floor_and_fence_through_power_loss` |
//! | | the entries | `a_truncated_log_is_whole_after_power_loss` |
//! | `frames.rs` | the checksum is compared | `a_frame_that_is_not_whole_is_not_read` |
//! | | the frame's place is in it | `a_frame_inside_a_torn_payload_is_none_of_ours` |
//! | | whole frames behind: an error | `damage_is_said_and_nothing_is_dropped` |
//! | `RealDisk` | `try_lock` | `a_folder_is_one_logs_at_a_time` |
//! | | `sync_data`; `sync_all` of the folder | `the_real_disk_asks_the_kernel_to_sync` |

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
