//! Where a log or a store lies, as its URL says; and what `--fresh` deletes.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::Result;

/// Whether it is seen by one process alone.
pub(crate) fn is_memory(url: &str) -> bool {
    url.starts_with("memory:")
}

/// A fresh temporary folder: made when first asked for, as one who is killed removes nothing, and
/// removed when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Folder(Option<TempDir>);

impl Folder {
    /// The URL of a file in it.
    ///
    /// # Errors
    /// If it cannot be made, or its name is no UTF-8.
    pub(crate) fn sqlite(&mut self, file: &str) -> Result<String> {
        let folder = match self.0.take() {
            Some(folder) => folder,
            None => tempfile::tempdir()?,
        };
        let path = self.0.insert(folder).path().join(file);
        match path.to_str() {
            Some(path) => Ok(format!("sqlite:{path}")),
            None => Err(format!("{} is no UTF-8", path.display()).into()),
        }
    }
}

/// Refuses `--fresh` for what is no file.
///
/// # Errors
/// For every scheme but `sqlite:`.
pub(crate) fn check_fresh(url: &str) -> Result<()> {
    file_of(url).map(drop)
}

/// Deletes the file behind a `sqlite:` URL, and those that `SQLite` keeps beside it.
///
/// # Errors
/// For every other scheme; if a file is there and cannot be deleted.
pub(crate) fn delete(url: &str) -> Result<()> {
    let file = file_of(url)?;
    for end in ["", "-wal", "-shm", "-journal"] {
        let mut name: OsString = file.as_os_str().to_owned();
        name.push(end);
        match fs::remove_file(&name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(
                    format!("cannot delete {}: {error}", Path::new(&name).display()).into(),
                );
            }
        }
    }
    Ok(())
}

fn file_of(url: &str) -> Result<&Path> {
    match url.strip_prefix("sqlite:") {
        Some(path) if !path.is_empty() => Ok(Path::new(path)),
        _ => {
            let url = gleaner::redacted(url);
            Err(format!("--fresh deletes the files of sqlite:PATH only, not {url}").into())
        }
    }
}
