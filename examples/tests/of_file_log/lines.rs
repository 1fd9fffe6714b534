//! One test for each line that writes, syncs, renames or orders: take the line out, and the test that
//! is named after what it protects fails. The table stands in the example's documentation.

use gleaner::{
    Budget, Claim, Cursor, Draft, Entry, Epoch, Error, ErrorKind, GrainId, Head, ReplicationLog,
    Result, Writer,
};

use crate::disk::{Disk, RealDisk};
use crate::frames::{Record, frame};
use crate::log::FileLog;
use crate::power::{Op, PowerDisk};

/// What is left to chance is tried this often.
const SEEDS: std::ops::Range<u64> = 0..40;

const FILE: &str = "log";
const ME: Writer = Writer::new(7);
const OTHER: Writer = Writer::new(8);

type Log = FileLog<PowerDisk>;

fn plane() -> GrainId {
    GrainId::new("aircraft", "N14228").unwrap()
}

fn at(number: u64) -> Cursor {
    Cursor::new(1, number)
}

/// The plane's whole state of a number.
fn state(number: u64) -> Entry {
    Draft::full(plane(), at(number), ME, format!("waypoint {number}")).seal()
}

async fn open(disk: &PowerDisk) -> Log {
    FileLog::open(disk.clone()).await.unwrap()
}

/// A log with some states, acknowledged.
async fn with_states(disk: &PowerDisk, numbers: std::ops::RangeInclusive<u64>) -> Log {
    let log = open(disk).await;
    for number in numbers {
        log.append(state(number)).await.unwrap();
    }
    log
}

/// The numbers that the log holds, each with its state.
async fn numbers<D: Disk>(log: &FileLog<D>) -> Vec<u64> {
    let plane = plane();
    let page = log.read_from(&plane, Cursor::ZERO, Budget::UNBOUNDED);
    let entries = page.await.unwrap().entries;
    for entry in &entries {
        let number = entry.sequence().get();
        assert_eq!(*entry.payload(), format!("waypoint {number}"));
    }
    let numbers = entries.iter().map(|entry| entry.sequence().get()).collect();
    let heads = log.heads(&[plane]).await.unwrap();
    let head = heads[0].map(|head| (head.cursor, head.digest));
    assert_eq!(
        head,
        entries.last().map(|last| (last.cursor(), last.digest()))
    );
    numbers
}

async fn after_power_loss(disk: &PowerDisk, log: Log) -> Log {
    drop(log);
    disk.lose_power();
    open(disk).await
}

async fn claim(log: &Log, epoch: u64, writer: Writer) -> Result<Option<Head>> {
    let (grain, epoch) = (plane(), Epoch::new(epoch));
    let claims = [Claim {
        grain,
        epoch,
        writer,
    }];
    log.claim(&claims).await?.remove(0)
}

fn is_unknown<T>(result: Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Unknown)
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result
        .map(|_| "it was taken")
        .map_err(|error| error.kind())
        .unwrap_err()
}

#[tokio::test]
async fn an_acknowledged_append_survives_power_loss() {
    for seed in SEEDS {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=3).await;
        let log = after_power_loss(&disk, log).await;
        assert_eq!(numbers(&log).await, [1, 2, 3], "seed {seed}");
    }
}

#[tokio::test]
async fn an_acknowledged_claim_survives_power_loss() {
    for seed in SEEDS {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=1).await;
        claim(&log, 4, ME).await.unwrap();
        let log = after_power_loss(&disk, log).await;
        let taken = kind(claim(&log, 4, OTHER).await);
        assert!(matches!(taken, ErrorKind::Fenced { .. }), "seed {seed}");
    }
}

#[tokio::test]
async fn a_new_log_keeps_its_name_through_power_loss() {
    for seed in SEEDS {
        let disk = PowerDisk::new(seed);
        let log = open(&disk).await;
        let name = log.identity().await.unwrap().log;
        let log = after_power_loss(&disk, log).await;
        assert_eq!(log.identity().await.unwrap().log, name, "seed {seed}");
    }
}

#[tokio::test]
async fn each_opening_is_a_history_of_its_own() {
    let disk = PowerDisk::new(1);
    let log = open(&disk).await;
    let before = log.identity().await.unwrap();
    drop(log);
    let after = open(&disk).await.identity().await.unwrap();
    assert!(before.log == after.log && before.history != after.history);
}

#[tokio::test]
async fn a_truncated_log_is_whole_after_power_loss() {
    for seed in SEEDS {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=5).await;
        log.truncate(&plane(), at(3)).await.unwrap();
        let log = after_power_loss(&disk, log).await;
        assert_eq!(numbers(&log).await, [3, 4, 5], "seed {seed}");
    }
}

#[tokio::test]
async fn appends_after_a_truncation_survive_power_loss() {
    for seed in SEEDS {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=3).await;
        log.truncate(&plane(), at(3)).await.unwrap();
        log.append(state(4)).await.unwrap();
        let log = after_power_loss(&disk, log).await;
        assert_eq!(numbers(&log).await, [3, 4], "seed {seed}");
    }
}

#[tokio::test]
async fn a_truncation_is_before_or_after_wherever_the_power_fails() {
    let mut seen = [false; 2];
    for seed in SEEDS {
        for whole in 0..6 {
            let disk = PowerDisk::new(seed);
            let log = with_states(&disk, 1..=3).await;
            disk.fail_power_after(whole);
            let told = log.truncate(&plane(), at(3)).await;
            let log = after_power_loss(&disk, log).await;
            let left = numbers(&log).await;
            let (before, after) = (left == [1, 2, 3], left == [3]);
            assert!(
                before || after,
                "{left:?} after {whole} operations, seed {seed}"
            );
            assert!(told.is_err() || after, "seed {seed}");
            seen[usize::from(after)] = true;
        }
    }
    assert_eq!(seen, [true; 2], "both were seen");
}

#[tokio::test]
async fn a_truncation_keeps_floor_and_fence_through_power_loss() {
    for seed in SEEDS {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=3).await;
        claim(&log, 4, ME).await.unwrap();
        log.truncate(&plane(), at(3)).await.unwrap();
        let log = after_power_loss(&disk, log).await;
        let below = log.read_from(&plane(), at(1), Budget::UNBOUNDED).await;
        assert_eq!(kind(below), ErrorKind::Truncated { floor: at(3) });
        let taken = kind(claim(&log, 4, OTHER).await);
        assert!(matches!(taken, ErrorKind::Fenced { .. }), "seed {seed}");
    }
}

#[tokio::test]
async fn what_a_killed_process_wrote_is_durable_before_it_is_shown() {
    for seed in SEEDS {
        let disk = PowerDisk::new(seed);
        drop(with_states(&disk, 1..=1).await);
        let frame = frame(disk.shown(FILE).len(), &[Record::Entry(state(2))]);
        disk.put_unsynced(FILE, &frame);
        let log = open(&disk).await;
        assert_eq!(numbers(&log).await, [1, 2], "seed {seed}");
        let log = after_power_loss(&disk, log).await;
        assert_eq!(numbers(&log).await, [1, 2], "seed {seed}");
    }
}

#[tokio::test]
async fn a_torn_tail_does_not_bury_later_appends() {
    for cut in [1, 5, 20, 60] {
        let disk = PowerDisk::new(cut);
        drop(with_states(&disk, 1..=1).await);
        let frame = frame(disk.shown(FILE).len(), &[Record::Entry(state(2))]);
        disk.put_unsynced(FILE, &frame[..usize::try_from(cut).unwrap()]);
        let log = open(&disk).await;
        assert_eq!(numbers(&log).await, [1], "cut to {cut}");
        log.append(state(2)).await.unwrap();
        drop(log);
        assert_eq!(numbers(&open(&disk).await).await, [1, 2], "cut to {cut}");
    }
}

#[tokio::test]
async fn a_frame_that_is_not_whole_is_not_read() {
    let disk = PowerDisk::new(1);
    drop(with_states(&disk, 1..=1).await);
    let mut frame = frame(disk.shown(FILE).len(), &[Record::Entry(state(2))]);
    // A label that the entry's own digest does not cover.
    let written_at = frame.iter().rposition(|byte| *byte == b'w').unwrap() - 8 - 4 - 8 - 8;
    frame[written_at] ^= 1;
    disk.put_unsynced(FILE, &frame);
    assert_eq!(numbers(&open(&disk).await).await, [1]);
}

#[tokio::test]
async fn a_frame_inside_a_torn_payload_is_none_of_ours() {
    let disk = PowerDisk::new(1);
    drop(with_states(&disk, 1..=1).await);
    let mut carrier = Draft::full(plane(), at(2), ME, frame(0, &[Record::Entry(state(9))]));
    carrier.source = gleaner::Source::new("a log's file, replicated");
    let mut frame = frame(disk.shown(FILE).len(), &[Record::Entry(carrier.seal())]);
    frame[20] ^= 1;
    disk.put_unsynced(FILE, &frame);
    assert_eq!(numbers(&open(&disk).await).await, [1]);
}

#[tokio::test]
async fn damage_is_said_and_nothing_is_dropped() {
    let disk = PowerDisk::new(1);
    drop(with_states(&disk, 1..=3).await);
    let mut file = disk.shown(FILE);
    let middle = file.len() / 2;
    file[middle] ^= 1;
    disk.put(FILE, &file);
    let opened = FileLog::open(disk.clone()).await;
    assert_eq!(opened.err().map(|e| e.kind()), Some(ErrorKind::Permanent));
    assert_eq!(disk.shown(FILE), file);
}

#[tokio::test]
async fn a_foreign_file_is_left_alone() {
    let disk = PowerDisk::new(1);
    disk.put(FILE, b"somebody's notes");
    let opened = FileLog::open(disk.clone()).await;
    assert_eq!(opened.err().map(|e| e.kind()), Some(ErrorKind::Permanent));
    assert_eq!(disk.shown(FILE), b"somebody's notes");
}

#[tokio::test]
async fn a_failed_append_is_shown_only_if_it_is_durable() {
    let mut seen = [false; 2];
    for (seed, op) in SEEDS.flat_map(|seed| [(seed, Op::Append), (seed, Op::Sync)]) {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=1).await;
        disk.refuse(op);
        assert!(is_unknown(log.append(state(2)).await));
        let shown = numbers(&log).await;
        assert!(
            shown == [1] || shown == [1, 2],
            "{shown:?}, {op:?}, seed {seed}"
        );
        let log = after_power_loss(&disk, log).await;
        assert_eq!(numbers(&log).await, shown, "{op:?}, seed {seed}");
        seen[shown.len() - 1] = true;
    }
    assert_eq!(seen, [true; 2], "both were seen");
}

#[tokio::test]
async fn a_failed_append_does_not_bury_later_ones() {
    for (seed, op) in SEEDS.flat_map(|seed| [(seed, Op::Append), (seed, Op::Sync)]) {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=1).await;
        disk.refuse(op);
        assert!(is_unknown(log.append(state(2)).await));
        // The same bytes again, as a publisher does.
        log.append(state(2)).await.unwrap();
        log.append(state(3)).await.unwrap();
        let log = after_power_loss(&disk, log).await;
        assert_eq!(numbers(&log).await, [1, 2, 3], "{op:?}, seed {seed}");
    }
}

#[tokio::test]
async fn a_failed_truncation_leaves_no_old_file_to_append_to() {
    let ops = [Op::Create, Op::Append, Op::Sync, Op::Rename, Op::SyncDir];
    for (seed, op) in SEEDS.flat_map(|seed| ops.map(|op| (seed, op))) {
        let disk = PowerDisk::new(seed);
        let log = with_states(&disk, 1..=3).await;
        disk.refuse(op);
        assert!(is_unknown(log.truncate(&plane(), at(3)).await));
        log.append(state(4)).await.unwrap();
        let log = after_power_loss(&disk, log).await;
        let left = numbers(&log).await;
        assert!(left.ends_with(&[3, 4]), "{left:?}, {op:?}, seed {seed}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_again_answers_nothing() {
    let disk = PowerDisk::new(1);
    let log = with_states(&disk, 1..=1).await;
    disk.refuse(Op::Append);
    assert!(is_unknown(log.append(state(2)).await));
    disk.refuse(Op::Read);
    assert_eq!(kind(log.heads(&[plane()]).await), ErrorKind::Transient);
    disk.refuse(Op::Rename);
    assert_eq!(kind(log.heads(&[plane()]).await), ErrorKind::Transient);
    assert!(numbers(&log).await.starts_with(&[1]));
}

#[tokio::test]
async fn an_append_costs_one_write_and_one_sync() {
    let disk = PowerDisk::new(1);
    let log = with_states(&disk, 1..=2).await;
    disk.asked();
    log.append(state(3)).await.unwrap();
    log.append(state(4)).await.unwrap();
    assert_eq!(disk.asked(), 4, "a write and a sync each");
    // A retry is answered from memory, and so is a refusal.
    log.append(state(4)).await.unwrap();
    assert!(log.append(state(1)).await.is_err());
    numbers(&log).await;
    assert_eq!(disk.asked(), 0, "nothing was to be written");
    log.truncate(&plane(), at(4)).await.unwrap();
    assert_eq!(
        disk.asked(),
        5,
        "create, write, sync, rename, sync the folder"
    );
    log.truncate(&plane(), at(4)).await.unwrap();
    assert_eq!(disk.asked(), 0, "nothing was to be removed");
    log.append(state(5)).await.unwrap();
    assert_eq!(disk.asked(), 2, "a write and a sync, to the new file");
}

#[tokio::test]
async fn a_folder_is_one_logs_at_a_time() {
    fn refused(again: &Result<FileLog<impl Disk>>) -> bool {
        let error = again.as_ref().err().map(Error::kind);
        error == Some(ErrorKind::Transient)
    }
    let disk = PowerDisk::new(1);
    let log = open(&disk).await;
    assert!(refused(&FileLog::open(disk.clone()).await));
    log.append(state(1)).await.unwrap();
    drop(log);
    assert_eq!(numbers(&open(&disk).await).await, [1]);

    let folder = tempfile::tempdir().unwrap();
    let disk = RealDisk::new(folder.path());
    let log = FileLog::open(disk.clone()).await.unwrap();
    assert!(refused(&FileLog::open(disk.clone()).await));
    log.append(state(1)).await.unwrap();
    drop(log);
    let log = FileLog::open(disk).await.unwrap();
    assert_eq!(numbers(&log).await, [1]);
}

/// Nobody can cut this machine's power here. But the kernel refuses to sync what cannot be synced,
/// so that a call which reaches it can be told from one that was left out.
#[cfg(target_os = "linux")]
#[test]
fn the_real_disk_asks_the_kernel_to_sync() {
    use std::io::ErrorKind::InvalidInput;
    let disk = RealDisk::new("/dev");
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null");
    let synced = disk.sync(&null.unwrap());
    assert_eq!(synced.unwrap_err().kind(), InvalidInput);
    let synced = RealDisk::new("/proc/self").sync_dir();
    assert_eq!(synced.unwrap_err().kind(), InvalidInput);
}
