//! The servers that tests of networked backends need.
//!
//! The tests find, start and end servers of their own (`tests/servers`). Here what is missing is
//! installed where that can be done without asking; where not, it is said what to install. Neither is a
//! failure: the tests skip themselves aloud then, or fail if servers are required.

use std::path::Path;
use std::process::Command;

use gleaner_servers::Missing;

pub(crate) use gleaner_servers::required;

const APT: &str = "/usr/bin/apt-get";

/// Installs what is missing by apt where that can be done, and says what is still missing.
pub(crate) fn prepare() {
    let missing = gleaner_servers::missing();
    if missing.is_empty() {
        return;
    }
    println!("\n== servers");
    if may_install() {
        let packages: Vec<&str> = missing.iter().map(Missing::package).collect();
        for why in install(Path::new(APT), &packages) {
            println!("{why}");
        }
    }
    for missing in gleaner_servers::missing() {
        println!("{missing}");
    }
}

/// Nobody is asked for a password: root, where there is an apt-get.
fn may_install() -> bool {
    let root = Command::new("id").arg("-u").output();
    root.is_ok_and(|said| said.stdout.trim_ascii() == b"0") && Path::new(APT).exists()
}

/// Each by itself, since one that this machine's apt does not know must not keep the others away; what
/// went wrong.
fn install(apt: &Path, packages: &[&str]) -> Vec<String> {
    let updated = run(apt, &["update"]);
    let installed = packages.iter().map(|package| {
        run(
            apt,
            &["install", "--yes", "--no-install-recommends", package],
        )
    });
    [updated]
        .into_iter()
        .chain(installed)
        .filter_map(Result::err)
        .collect()
}

/// Runs apt-get. A package would start a service of its own: it is told that this machine is in
/// single-user mode, in the words of `invoke-rc.d` and of systemd. Were one started all the same,
/// nobody here would use it.
fn run(apt: &Path, arguments: &[&str]) -> Result<(), String> {
    println!("apt-get {}", arguments.join(" "));
    let output = Command::new(apt)
        .args(["--quiet", "--quiet", "--option", "DPkg::Lock::Timeout=60"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .env("SYSTEMD_OFFLINE", "1")
        .output()
        .map_err(|error| format!("cannot run apt-get: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "apt-get {} failed, {}: {}",
        arguments.join(" "),
        output.status,
        said.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apt_that_fails_is_said_and_keeps_no_package_from_being_tried() {
        let wrong = install(Path::new("/bin/false"), &["one", "two"]);
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("apt-get update failed"), "{wrong:?}");
        assert!(wrong[2].contains("two failed"), "{wrong:?}");
        assert_eq!(install(Path::new("/nonexistent"), &["one"]).len(), 2);
    }

    #[test]
    fn an_apt_that_succeeds_has_nothing_to_say() {
        assert_eq!(install(Path::new("/bin/true"), &["one"]), [""; 0]);
    }
}
