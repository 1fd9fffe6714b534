//! Where the programs are.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where Debian keeps what it leaves off the PATH: a folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The first folder that holds all of them: those of the PATH, then Debian's, newest version first.
pub(crate) fn folder_with(programs: &[&str]) -> Option<PathBuf> {
    on_path()
        .chain(debian())
        .find(|folder| programs.iter().all(|name| is_program(&folder.join(name))))
}

/// A program on the PATH, or where administrators' programs are, which a user's PATH may lack.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    on_path()
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

fn on_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .collect::<Vec<_>>()
        .into_iter()
}

fn debian() -> impl Iterator<Item = PathBuf> {
    let mut versions: Vec<(Vec<u32>, PathBuf)> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            Some((
                version(entry.file_name().to_str()?)?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder)
}

/// `15`, and `9.6` of old.
fn version(name: &str) -> Option<Vec<u32>> {
    name.split('.').map(|part| part.parse().ok()).collect()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(version("15") > version("9.6"));
        assert!(version("9.10") > version("9.6"));
        assert_eq!(version("common"), None);
    }

    #[test]
    fn a_folder_counts_only_if_it_holds_all() {
        assert!(folder_with(&["sh", "no program has this name"]).is_none());
        let folder = folder_with(&["sh", "mktemp"]).unwrap();
        assert!(is_program(&folder.join("sh")));
        assert!(!is_program(&folder), "a folder is none");
    }
}
