//! The kit's tests of L1 to L12 on both disks. No feed: a log without one is followed by listing.

use std::sync::atomic::{AtomicU64, Ordering};

use gleaner_conformance::LogFactory;
use tempfile::TempDir;

use crate::disk::RealDisk;
use crate::log::FileLog;
use crate::power::PowerDisk;

struct InFolders;

impl LogFactory for InFolders {
    type Guard = TempDir;
    type Log = FileLog<RealDisk>;

    async fn open(&self) -> (TempDir, FileLog<RealDisk>) {
        let folder = tempfile::tempdir().unwrap();
        let log = FileLog::open(RealDisk::new(folder.path())).await.unwrap();
        (folder, log)
    }

    async fn reopen(&self, folder: &TempDir) -> Option<FileLog<RealDisk>> {
        Some(FileLog::open(RealDisk::new(folder.path())).await.unwrap())
    }
}

/// Opened anew after a power loss, each time.
struct WithoutPower;

impl LogFactory for WithoutPower {
    type Guard = PowerDisk;
    type Log = FileLog<PowerDisk>;

    async fn open(&self) -> (PowerDisk, FileLog<PowerDisk>) {
        static SEEDS: AtomicU64 = AtomicU64::new(0);
        let disk = PowerDisk::new(SEEDS.fetch_add(1, Ordering::Relaxed));
        (disk.clone(), FileLog::open(disk).await.unwrap())
    }

    async fn reopen(&self, disk: &PowerDisk) -> Option<FileLog<PowerDisk>> {
        disk.lose_power();
        Some(FileLog::open(disk.clone()).await.unwrap())
    }
}

mod in_folders {
    gleaner_conformance::log_conformance!(super::InFolders);
}

mod without_power {
    gleaner_conformance::log_conformance!(super::WithoutPower);
}
