//! [`Journal`]: the file, and the order in which it is written, synced and renamed. All that decides
//! what a power loss leaves stands here.

use std::io;

use crate::disk::Disk;
use crate::frames::{Record, frame};

/// The log's file.
const NAME: &str = "log";
/// The next one, while it is written.
const NEXT: &str = "log.next";

/// The file of one log.
///
/// A call that fails leaves the journal *unsure*: bytes may be there that nobody was told of, a
/// failed sync may have dropped others for good, a name may stand for the former file. It writes
/// nothing more then, until the file was read again and replaced by one that is durable as a whole.
pub(crate) struct Journal<D: Disk> {
    disk: D,
    /// The open file and its length; none while unsure.
    file: Option<(D::File, usize)>,
    _lock: D::Lock,
}

impl<D: Disk> Journal<D> {
    /// Takes the folder for as long as the journal lives, and is unsure.
    pub(crate) fn open(disk: D) -> io::Result<Self> {
        let lock = disk.lock()?;
        Ok(Self {
            disk,
            file: None,
            _lock: lock,
        })
    }

    /// Whether the file says what it was told, and can be appended to.
    pub(crate) fn is_sure(&self) -> bool {
        self.file.is_some()
    }

    /// The file as it is; none if there is none yet. What it shows need not be durable.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(NAME)
    }

    /// Writes records as one frame; they are durable when it returns Ok.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        // Taken out, and put back when all went well: `?` leaves the journal unsure.
        let (mut file, length) = self.file.take().ok_or_else(unsure)?;
        let frame = frame(length, records);
        self.disk.append(&mut file, &frame)?;
        self.disk.sync(&file)?;
        self.file = Some((file, length + frame.len()));
        Ok(())
    }

    /// Puts a new file with these records in place of the old one; it is durable when it returns Ok.
    /// At every moment before, a power loss leaves the one or the other, whole.
    pub(crate) fn replace(&mut self, records: &[Record]) -> io::Result<()> {
        self.file = None;
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend(frame(bytes.len(), std::slice::from_ref(record)));
        }
        let mut file = self.disk.create(NEXT)?;
        self.disk.append(&mut file, &bytes)?;
        self.disk.sync(&file)?;
        self.disk.rename(NEXT, NAME)?;
        self.disk.sync_dir()?;
        self.file = Some((file, bytes.len()));
        Ok(())
    }
}

fn unsure() -> io::Error {
    io::Error::other("the file must be read again first")
}
