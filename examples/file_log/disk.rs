//! [`Disk`]: the few things that the log asks of a folder; and the folder itself, [`RealDisk`].

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;

/// A folder, with what each call promises about a power loss. Nothing is promised beyond that:
/// what was not synced may be lost, kept, or kept in part, whatever came before or after it.
pub(crate) trait Disk: Send + Sync + 'static {
    /// A file that is open for appending.
    type File: Send;
    /// Held while one log has the folder; given back when dropped or when its process ends.
    type Lock: Send;

    /// Takes the folder, or fails at once with `WouldBlock` while somebody else has it.
    fn lock(&self) -> io::Result<Self::Lock>;

    /// All bytes of a file as they are shown now, synced or not; none if there is no such name.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// An empty file of this name; one that is there is emptied. Its name is not durable yet.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Writes behind the last byte. If it fails, any part may have been written.
    fn append(&self, file: &mut Self::File, bytes: &[u8]) -> io::Result<()>;

    /// Returns when all bytes of the file are durable. Its name is not. After a failure it is
    /// unknown which bytes are, and syncing the same file again does not tell.
    fn sync(&self, file: &Self::File) -> io::Result<()>;

    /// Gives a file another name, in place of the file that has it; a power loss leaves it with the
    /// one or the other.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Returns when the names in the folder are durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// A folder of the operating system. It must exist; only Unix lets a folder be synced.
#[derive(Debug, Clone)]
pub(crate) struct RealDisk {
    folder: PathBuf,
}

impl RealDisk {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }
}

impl Disk for RealDisk {
    type File = File;
    type Lock = File;

    fn lock(&self) -> io::Result<File> {
        let file = File::create(self.folder.join("lock"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        Ok(file)
    }

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    fn create(&self, name: &str) -> io::Result<File> {
        File::create(self.folder.join(name))
    }

    fn append(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        // The file's length counts as data: it is synced where it is needed to read the bytes.
        file.sync_data()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}
