//! The servers that tests of networked backends need.
//!
//! The tests find, start and end servers of their own (`tests/servers`). Here what is missing is
//! installed where that can be done without asking; where not, it is said what to install. Neither is a
//! failure: the tests skip themselves aloud then, or fail if servers are required.

use std::path::Path;
use std::process::Command;

use gleaner_servers::Missing;

pub(crate) use gleaner_servers::required;

/// Installs what is missing by apt where that can be done, and says what is still missing.
pub(crate) fn prepare() {
    let missing = gleaner_servers::missing();
    if missing.is_empty() {
        return;
    }
    println!("\n== servers");
    if may_install() {
        for why in install(&missing) {
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
    root.is_ok_and(|said| said.stdout.trim_ascii() == b"0")
        && Path::new("/usr/bin/apt-get").exists()
}

/// Each by itself, since one that this machine's apt does not know must not keep the others away; what
/// went wrong.
fn install(missing: &[Missing]) -> Vec<String> {
    let updated = apt(&["update"]);
    let installed = missing.iter().map(|missing| {
        let package = missing.package();
        apt(&["install", "--yes", "--no-install-recommends", package])
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
fn apt(arguments: &[&str]) -> Result<(), String> {
    println!("apt-get {}", arguments.join(" "));
    let output = Command::new("/usr/bin/apt-get")
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
        "apt-get failed, {}: {}",
        output.status,
        said.trim()
    ))
}
