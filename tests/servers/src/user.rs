//! [`User`]: who runs a server that refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use crate::find;
use crate::missing::Missing;

/// Who runs it: oneself, or in root's stead one who may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum User {
    Oneself,
    Other {
        user: u32,
        group: u32,
        /// Who becomes that user.
        setpriv: String,
    },
}

impl User {
    /// Oneself, unless that is root.
    pub(crate) fn unprivileged() -> Result<Self, Missing> {
        if effective() != 0 {
            return Ok(Self::Oneself);
        }
        let setpriv = find::program("setpriv")
            .and_then(|path| path.into_os_string().into_string().ok())
            .ok_or(Missing::new("setpriv", "util-linux"))?;
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (user, group) = ["postgres", "nobody"]
            .iter()
            .find_map(|name| numbers_of(name, &accounts))
            .unwrap_or((65_534, 65_534));
        Ok(Self::Other {
            user,
            group,
            setpriv,
        })
    }

    /// What stands before the words of a command that this user is to run.
    pub(crate) fn prefix(&self) -> Vec<String> {
        match self {
            Self::Oneself => Vec::new(),
            Self::Other {
                user,
                group,
                setpriv,
            } => vec![
                setpriv.clone(),
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".to_owned(),
                "--".to_owned(),
            ],
        }
    }

    /// Gives a file or folder to this user.
    pub(crate) fn give(&self, path: &Path) {
        if let Self::Other { user, group, .. } = self {
            chown(path, Some(*user), Some(*group))
                .unwrap_or_else(|error| panic!("cannot give {} away: {error}", path.display()));
        }
    }
}

/// Whose rights this process has.
fn effective() -> u32 {
    fs::metadata("/proc/self")
        .unwrap_or_else(|error| panic!("/proc/self: {error}"))
        .uid()
}

/// User and group of a name, of the lines of `/etc/passwd`.
fn numbers_of(name: &str, accounts: &str) -> Option<(u32, u32)> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let user = fields.nth(1)?.parse().ok()?;
        Some((user, fields.next()?.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/sh\nnobody2:x:7:8::/:\nnobody:x:65534:65533::/:\n";
        assert_eq!(numbers_of("nobody", accounts), Some((65_534, 65_533)));
        assert_eq!(numbers_of("postgres", accounts), None);
        assert_eq!(numbers_of("root", accounts), Some((0, 0)));
    }

    #[test]
    fn nobody_is_ever_root() {
        match User::unprivileged() {
            Ok(User::Oneself) => assert_ne!(effective(), 0),
            Ok(User::Other { user, .. }) => assert_ne!(user, 0),
            Err(missing) => assert_eq!(missing.package(), "util-linux"),
        }
    }
}
