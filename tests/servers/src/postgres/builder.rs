//! [`PostgresBuilder`]: settings and place of a new cluster.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ADMIN, Cluster, Passwords, Postgres, ROLE, guardian_for, guardian_within, installed};
use crate::guardian::text;
use crate::missing::Missing;

/// What is in every cluster's `postgresql.conf` behind what `initdb` wrote.
const SETTINGS: [(&str, &str); 10] = [
    ("listen_addresses", "127.0.0.1"),
    // Its path would have to be short, and one way in is enough.
    ("unix_socket_directories", ""),
    ("max_connections", "200"),
    ("shared_buffers", "64MB"),
    // In files within the data, which go with it; what is killed leaves the others behind.
    ("dynamic_shared_memory_type", "mmap"),
    ("wal_level", "replica"),
    ("max_wal_senders", "10"),
    // A standby looks for a primary that was away after 5 s otherwise.
    ("wal_retrieve_retry_interval", "100ms"),
    ("logging_collector", "off"),
    // Clocks of clients do not change what the log says.
    ("log_timezone", "UTC"),
];

/// Where files lie in memory.
const MEMORY: &str = "/dev/shm";

/// What a cluster that many tests share may come to, with its log of writes, in KiB: a container's usual
/// 64 MiB would not do.
const ROOM_KIB: u64 = 4 << 20;

fn has_room(folder: &Path) -> bool {
    let output = Command::new("df")
        .arg("--output=avail")
        .arg(folder)
        .output();
    output.is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let available = said
            .lines()
            .nth(1)
            .and_then(|line| line.trim().parse().ok());
        available.is_some_and(|available: u64| available >= ROOM_KIB)
    })
}

/// A cluster that is not there yet.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct PostgresBuilder {
    settings: Vec<(String, String)>,
    folder: Option<PathBuf>,
    in_memory: bool,
}

impl PostgresBuilder {
    /// A line of `postgresql.conf`. The last of a name counts, and `ALTER SYSTEM` changes it later.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts the data into a new folder within this one, a small file system of the test's own perhaps, and
    /// not into a temporary one. The log stays out of it.
    ///
    /// The folder is given to the user that the server runs as, who must be let through all folders above
    /// it (mode 0711, where [`tempfile`](https://docs.rs/tempfile) gives 0700). It is left as it was found,
    /// empty, once the server is dropped.
    pub fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Puts the data into memory where there is room for it: a sync then costs nothing, and what it is
    /// worth is not tested. Elsewhere it lies in a temporary folder as ever.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// Makes it and starts it; returns when it answers.
    ///
    /// # Errors
    /// If PostgreSQL is not installed.
    ///
    /// # Panics
    /// If it does not come up, with the end of its log.
    pub fn start(self) -> Result<Postgres, Missing> {
        let (programs, user) = installed()?;
        let guardian = if self.in_memory && has_room(Path::new(MEMORY)) {
            guardian_within(Path::new(MEMORY), &user)
        } else {
            guardian_for(&user)
        };
        let data = match &self.folder {
            Some(folder) => {
                user.give(folder);
                let data = folder.join("data");
                guardian.also_remove(&data);
                data
            }
            None => guardian.folder().join("data"),
        };
        let cluster = Cluster {
            programs,
            user,
            data,
            passwords: Passwords::draw(),
        };

        let password = guardian.folder().join("password");
        cluster.write_secret(&password, &cluster.passwords.admin);
        guardian.run(&cluster.command(
            "initdb",
            &[
                "--pgdata",
                text(&cluster.data),
                "--username",
                ADMIN,
                "--pwfile",
                text(&password),
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                // A machine that loses power takes the test with it.
                "--no-sync",
            ],
        ));
        self.write_settings(&cluster.data.join("postgresql.conf"));

        let server = Postgres::on_a_free_port(cluster, guardian);
        let password = &server.program.passwords.role;
        server.sql(&format!(
            "CREATE ROLE {ROLE} LOGIN PASSWORD '{password}';\nCREATE DATABASE {ROLE} OWNER {ROLE};"
        ));
        Ok(server)
    }

    fn write_settings(&self, file: &Path) {
        let ours = SETTINGS
            .iter()
            .map(|(name, value)| format!("{name} = '{value}'\n"));
        let theirs = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")));
        let lines: String = ours.chain(theirs).collect();
        OpenOptions::new()
            .append(true)
            .open(file)
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}
