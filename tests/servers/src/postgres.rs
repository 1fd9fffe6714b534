//! [`Postgres`]: a cluster of PostgreSQL's, from `initdb` to its removal.
//!
//! fsync is left on, since what survives a kill is what is tested. There is no unix socket; everybody
//! gives a password. Every cluster is made by `initdb`, which takes about a second: a copied template would
//! be faster, and all of them would have one system identifier, which is what tells clusters apart.

mod builder;
mod copies;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub use builder::PostgresBuilder;

use crate::find;
use crate::guardian::{Guardian, plain_environment, text};
use crate::missing::Missing;
use crate::secret;
use crate::server::{Program, Server};
use crate::user::User;

/// The ordinary role that tests use, and its database.
const ROLE: &str = "gleaner";

/// The superuser, and its database.
const ADMIN: &str = "postgres";

/// A cluster of PostgreSQL's: postmaster, data folder, port.
///
/// # Examples
/// ```
/// use gleaner_servers::{Postgres, or_skip};
///
/// if let Some(server) = or_skip(Postgres::start()) {
///     assert_eq!(server.sql("SELECT 6 * 7"), "42");
/// }
/// ```
pub type Postgres = Server<Cluster>;

/// How a cluster is started and asked.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    user: User,
    data: PathBuf,
    passwords: Passwords,
}

#[derive(Debug, Clone)]
struct Passwords {
    admin: String,
    role: String,
}

impl Passwords {
    fn draw() -> Self {
        Self {
            admin: secret::draw(),
            role: secret::draw(),
        }
    }
}

impl Postgres {
    /// A new cluster, with the settings that [`builder`](Self::builder) begins with.
    ///
    /// # Errors
    /// If PostgreSQL is not installed.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn start() -> Result<Self, Missing> {
        Self::builder().start()
    }

    /// A new cluster with settings of its own.
    pub fn builder() -> PostgresBuilder {
        PostgresBuilder::default()
    }

    /// One for all of this process, started at its first use, in memory where there is room. Tests that share it keep apart by
    /// databases of their own ([`create_database`](Self::create_database)), and leave it running.
    ///
    /// # Errors
    /// If PostgreSQL is not installed.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn shared() -> Result<&'static Self, Missing> {
        static SHARED: OnceLock<Result<Postgres, Missing>> = OnceLock::new();
        SHARED
            .get_or_init(|| Self::builder().in_memory().start())
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The database `gleaner`, as the role `gleaner`, which owns it and is no superuser.
    pub fn url(&self) -> String {
        self.url_of(ROLE)
    }

    /// The database `postgres`, as the superuser.
    pub fn admin_url(&self) -> String {
        let password = &self.program.passwords.admin;
        format!(
            "postgres://{ADMIN}:{password}@127.0.0.1:{}/{ADMIN}",
            self.port()
        )
    }

    /// Makes a database that the role `gleaner` owns; its URL for that role.
    ///
    /// # Panics
    /// If the name is more than lower-case letters, digits and underscores, or taken.
    pub fn create_database(&self, name: &str) -> String {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(
            !name.is_empty() && name.chars().all(plain),
            "{name:?} needs quotes somewhere"
        );
        self.sql(&format!("CREATE DATABASE \"{name}\" OWNER {ROLE}"));
        self.url_of(name)
    }

    fn url_of(&self, database: &str) -> String {
        let password = &self.program.passwords.role;
        format!(
            "postgres://{ROLE}:{password}@127.0.0.1:{}/{database}",
            self.port()
        )
    }

    /// Runs statements as the superuser, one after the other and each committed by itself; their rows,
    /// a line each, columns parted by `|`.
    ///
    /// # Panics
    /// If one fails, with what psql said.
    pub fn sql(&self, sql: &str) -> String {
        self.program
            .psql(self.port(), sql)
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}

impl Cluster {
    /// # Errors
    /// What psql said.
    fn psql(&self, port: u16, sql: &str) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        plain_environment(&mut command);
        let mut psql = command
            .args([
                "--no-psqlrc",
                "--quiet",
                "--no-align",
                "--tuples-only",
                "--no-password",
            ])
            .args(["--set=ON_ERROR_STOP=1", "--host=127.0.0.1"])
            .arg(format!("--port={port}"))
            .args([format!("--username={ADMIN}"), format!("--dbname={ADMIN}")])
            .env("PGPASSWORD", &self.passwords.admin)
            .env("PGCONNECT_TIMEOUT", "5")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run psql: {error}"))?;
        if let Some(mut input) = psql.stdin.take() {
            // One that could not connect reads nothing, and says why below.
            let _ = input.write_all(sql.as_bytes());
        }
        let output = psql.wait_with_output().map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout)
                .trim_end_matches('\n')
                .to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned())
        }
    }

    /// One of its programs, as the user that it runs as.
    /// Writes what only the server's user may read.
    fn write_secret(&self, path: &Path, secret: &str) {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options
            .open(path)
            .and_then(|mut file| file.write_all(secret.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.user.give(path);
    }

    fn command(&self, program: &str, options: &[&str]) -> Vec<String> {
        let mut words = self.user.prefix();
        words.push(text(&self.programs.join(program)).to_owned());
        words.extend(options.iter().map(|&option| option.to_owned()));
        words
    }
}

impl Program for Cluster {
    fn words(&self, port: u16) -> Vec<String> {
        self.command(
            "postgres",
            &["-D", text(&self.data), "-p", &port.to_string()],
        )
    }

    fn ask(&self, port: u16) -> Result<(), String> {
        self.psql(port, "SELECT 1").map(drop)
    }

    fn good_night(&self) -> &'static str {
        "INT"
    }

    fn data(&self) -> &Path {
        &self.data
    }
}

/// Where the programs are, and who runs them.
fn installed() -> Result<(PathBuf, User), Missing> {
    Ok((find::postgres()?, User::unprivileged()?))
}

/// A guardian whose folder the server's user may enter.
fn guardian_for(user: &User) -> Guardian {
    guardian_within(&std::env::temp_dir(), user)
}

fn guardian_within(folder: &Path, user: &User) -> Guardian {
    let guardian = Guardian::within(folder, "postgres");
    user.give(guardian.folder());
    guardian
}
