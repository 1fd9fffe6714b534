//! [`FileId`]: which file lies at a path at this moment.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use gleaner_core::{Error, Result};

use crate::error::BACKEND;

/// Device and inode of a file: while a connection holds a file open, no other has the same.
///
/// Learned by `stat` alone. Opening and closing the file by other means than SQLite would drop the
/// POSIX locks that every connection of this process holds on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file at a path; none if there is none.
    pub(crate) fn at(path: &Path) -> Result<Option<Self>> {
        match std::fs::metadata(path) {
            Ok(found) => Ok(Some(Self {
                device: found.dev(),
                inode: found.ino(),
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let message = format!("cannot look at {}: {error}", path.display());
                Err(Error::transient(BACKEND, message).caused_by(error))
            }
        }
    }

    /// As bytes, for a history that changes when the file is another.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.device) << 64 | u128::from(self.inode)).to_le_bytes()
    }
}
