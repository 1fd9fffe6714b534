//! Where the files of a test lie, and what is done to the place: guards that undo it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Long beyond anything that is waited for.
const LONG: Duration = Duration::from_secs(120);

/// A folder of the test's own, on the disk that the project is built on.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// What SQLite keeps beside a file, and the file itself: in the order in which they may be taken away
/// from under running processes. The other way round they are brought back, so that nobody finds the
/// file without what belongs to it.
const ENDS: [&str; 3] = ["", "-wal", "-shm"];

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// Takes a file away, or brings it back.
pub(crate) struct Away {
    from: PathBuf,
    to: PathBuf,
}

impl Away {
    /// Into a new folder beside it.
    pub(crate) fn take(path: &Path) -> Self {
        let folder = path.with_extension("away");
        fs::create_dir(&folder).unwrap();
        let to = folder.join(path.file_name().unwrap());
        for end in ENDS {
            rename_if_there(&with_end(path, end), &with_end(&to, end));
        }
        Self {
            from: path.to_owned(),
            to,
        }
    }

    /// The same files, where they were.
    pub(crate) fn bring_back(self) {
        for end in ENDS.iter().rev() {
            rename_if_there(&with_end(&self.to, end), &with_end(&self.from, end));
        }
        fs::remove_dir(self.to.parent().unwrap()).unwrap();
    }
}

/// The WAL and its index may be gone by themselves: whoever closes a file last removes them.
fn rename_if_there(from: &Path, to: &Path) {
    match fs::rename(from, to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

/// Removes a file that is not ours, and what may lie beside it.
pub(crate) fn clear(path: &Path) {
    for end in ENDS {
        let path = with_end(path, end);
        if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
}

fn run<S: AsRef<OsStr>>(program: &str, args: &[S]) -> Result<(), String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.trim()))
}

/// A file system of its own in memory, small. Dropping it unmounts it.
pub(crate) struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Of so many MiB, mounted on a new folder within `folder`; why not, if this user may not.
    pub(crate) fn mount(folder: &Path, name: &str, size: u32) -> Result<Self, String> {
        let at = folder.join(name);
        fs::create_dir(&at).unwrap();
        // A server of another user's is let through.
        let options = format!("size={size}m,mode=711");
        let options = options.as_ref();
        let kind = "tmpfs".as_ref();
        let args: [&OsStr; 6] = [
            "-t".as_ref(),
            kind,
            "-o".as_ref(),
            options,
            kind,
            at.as_ref(),
        ];
        run("mount", &args)?;
        Ok(Self { at })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.at.join("ballast")).unwrap();
        for chunk in [1 << 20, 4096, 1] {
            let bytes = vec![1_u8; chunk];
            while ballast.write_all(&bytes).is_ok() {}
        }
    }

    /// Makes room again.
    pub(crate) fn free(&self) {
        fs::remove_file(self.at.join("ballast")).unwrap();
    }

    /// Nothing on it can be written any more; why not, if somebody still writes.
    pub(crate) fn make_read_only(&self) {
        self.remount("remount,ro");
    }

    pub(crate) fn make_writable(&self) {
        self.remount("remount,rw");
    }

    fn remount(&self, options: &str) {
        let args: [&OsStr; 3] = ["-o".as_ref(), options.as_ref(), self.at.as_ref()];
        patiently(|| run("mount", &args)).unwrap();
    }
}

/// Threads of this process may hold a file for a moment longer than their owner.
fn patiently(mut work: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match work() {
            Err(_) if began.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(why) = patiently(|| run("umount", &[&self.at])) {
            println!("{why}; it goes when its last file is closed");
            if let Err(why) = run("umount", &["-l".as_ref(), self.at.as_os_str()]) {
                println!("{why}: {} stays mounted", self.at.display());
            }
        }
    }
}

/// A file that not even root may write. Dropping it lifts that.
pub(crate) struct Immutable {
    path: PathBuf,
}

impl Immutable {
    /// Why not, if this user or file system cannot.
    pub(crate) fn make(path: &Path) -> Result<Self, String> {
        run("chattr", &["+i".as_ref(), path.as_os_str()])?;
        Ok(Self {
            path: path.to_owned(),
        })
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        if let Err(why) = run("chattr", &["-i".as_ref(), self.path.as_os_str()]) {
            println!("{why}: {} stays immutable", self.path.display());
        }
    }
}

/// The WAL beside a file.
pub(crate) fn wal(path: &Path) -> PathBuf {
    with_end(path, "-wal")
}

/// Waits for it.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
