//! Where the programs are.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::missing::Missing;
use crate::user::User;

/// Where Debian keeps what it leaves off the PATH: a folder a version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// What no server of ours can be started without and is not there.
pub fn missing() -> Vec<Missing> {
    let user = User::unprivileged();
    [postgres().err(), user.err(), redis().err(), nats().err()]
        .into_iter()
        .flatten()
        .collect()
}

/// The folder of PostgreSQL's programs.
pub(crate) fn postgres() -> Result<PathBuf, Missing> {
    folder_with(&["postgres", "initdb", "psql", "pg_basebackup"])
        .ok_or(Missing::new("PostgreSQL server", "postgresql"))
}

pub(crate) fn redis() -> Result<PathBuf, Missing> {
    program("redis-server").ok_or(Missing::new("redis-server", "redis-server"))
}

pub(crate) fn nats() -> Result<PathBuf, Missing> {
    program("nats-server").ok_or(Missing::new("nats-server", "nats-server"))
}

/// The first folder that holds all of them: those of the PATH, then Debian's, newest version first.
fn folder_with(programs: &[&str]) -> Option<PathBuf> {
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
