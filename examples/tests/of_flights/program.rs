//! Runs the built example.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Far beyond what any run takes; a run that hangs is a failure and not a hanging test.
const DEADLINE: Duration = Duration::from_secs(300);

/// The example's program, built by the same cargo call as this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let path = profile.join("examples").join(if cfg!(windows) {
        "flights.exe"
    } else {
        "flights"
    });
    assert!(
        path.is_file(),
        "{} is not built: run `cargo test -p gleaner-examples`",
        path.display()
    );
    path
}

/// A folder of a test's own, and what it runs there.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

/// A run that has not ended yet. Killed if the test ends first.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// `sqlite:` and a file here.
    pub(crate) fn sqlite(&self, name: &str) -> String {
        format!("sqlite:{}", self.path(name).display())
    }

    /// Starts `flights` with this folder as working directory.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Running {
        static RUNS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let run = RUNS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (stdout, stderr) = (
            self.path(&format!("{run}.stdout")),
            self.path(&format!("{run}.stderr")),
        );
        let child = Command::new(program())
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap())
            .spawn()
            .unwrap();
        Running {
            child,
            stdout,
            stderr,
        }
    }

    /// Runs `flights` to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        self.start(arguments).end()
    }

    /// Runs `flights` to a good end.
    pub(crate) fn good<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ended {
        let ended = self.run(arguments);
        assert!(ended.status.success(), "{ended:#?}");
        ended
    }

    /// Runs `flights` to a refusal that says `why`.
    pub(crate) fn refused<S: AsRef<OsStr>>(&self, arguments: &[S], why: &str) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.status.code().map(|code| code != 0), Some(true));
        assert!(ended.stderr.contains(why), "not {why:?}: {ended:#?}");
        ended
    }
}

impl Running {
    pub(crate) fn end(mut self) -> Ended {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ended {
                    status,
                    stdout: read(&self.stdout),
                    stderr: read(&self.stderr),
                };
            }
            assert!(begun.elapsed() < DEADLINE, "no end: {}", read(&self.stderr));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a line of standard output is this one.
    pub(crate) fn until_said(&mut self, line: &str) {
        let begun = Instant::now();
        while !read(&self.stdout).lines().any(|said| said == line) {
            assert!(begun.elapsed() < DEADLINE, "never said {line:?}");
            assert_eq!(
                self.child.try_wait().unwrap(),
                None,
                "ended before {line:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The number on the one line `name=number` of standard output.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let found: Vec<u64> = self
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(|number| number.parse().unwrap())
            .collect();
        assert_eq!(found.len(), 1, "lines {name}=: {self:#?}");
        found[0]
    }

    pub(crate) fn says(&self, line: &str) -> bool {
        self.stdout.lines().any(|said| said == line)
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
}
