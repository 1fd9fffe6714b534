//! Copies of a cluster: a standby that streams, and files that were put aside.

use std::fs;
use std::path::Path;

use super::{ADMIN, Cluster, Postgres, guardian_for};
use crate::guardian::text;
use crate::missing::Missing;

impl Postgres {
    /// A further server that is a standby of this one: a base backup, then streaming replication by way of
    /// a slot. Roles, passwords and settings are the same, port and folder its own. It follows this one
    /// through restarts.
    ///
    /// # Errors
    /// If a program is missing.
    ///
    /// # Panics
    /// If this one does not run, or the standby does not come up.
    pub fn standby(&self) -> Result<Self, Missing> {
        let guardian = guardian_for(&self.program.user);
        let cluster = Cluster {
            programs: self.program.programs.clone(),
            user: self.program.user.clone(),
            data: guardian.folder().join("data"),
            passwords: self.program.passwords.clone(),
        };
        let name = guardian.folder().file_name().unwrap_or_default();
        let slot: String = name
            .to_string_lossy()
            .to_lowercase()
            .replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        // Arguments are for everybody to read; and the standby reads this file again whenever it connects.
        let password = guardian.folder().join("password");
        let line = format!("*:*:*:*:{}", cluster.passwords.admin);
        cluster.write_secret(&password, &line);
        let primary = format!(
            "host=127.0.0.1 port={} user={ADMIN} passfile='{}'",
            self.port(),
            password.display()
        );
        guardian.run(&cluster.command(
            "pg_basebackup",
            &[
                "--dbname",
                &primary,
                "--pgdata",
                text(&cluster.data),
                "--checkpoint=fast",
                "--wal-method=stream",
                "--create-slot",
                "--slot",
                &slot,
                "--write-recovery-conf",
                "--no-sync",
            ],
        ));
        Ok(Self::on_a_free_port(cluster, guardian))
    }

    /// Makes a primary of a standby; returns when it is one and takes writes.
    ///
    /// # Panics
    /// If it is no standby, or takes a minute.
    pub fn promote(&mut self) {
        let promoted = self.sql("SELECT pg_promote(true, 60)");
        assert_eq!(promoted, "t", "it is not promoted:\n{}", self.log());
        assert_eq!(self.sql("SELECT pg_is_in_recovery()"), "f");
    }

    /// A copy of the data of a stopped server, files, owners and modes: into a folder that is empty, or not
    /// there yet.
    ///
    /// # Panics
    /// If the server runs, or the copy fails.
    pub fn copy_data(&self, to: &Path) {
        assert!(!self.is_running(), "it runs: its files are of many moments");
        fs::create_dir_all(to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
        self.copy(self.folder(), to);
    }

    /// Puts a copy in the place of the data of a stopped server, as an administrator does with an older
    /// backup.
    ///
    /// # Panics
    /// If the server runs, or the copy fails.
    pub fn restore_data(&mut self, from: &Path) {
        assert!(!self.is_running(), "it runs on the data");
        assert!(
            from.join("PG_VERSION").is_file(),
            "{} is no copy",
            from.display()
        );
        let data = text(self.folder()).to_owned();
        self.guardian.run(&["rm", "-rf", &data].map(str::to_owned));
        self.copy(from, self.folder());
    }

    /// By the guardian, as everything that writes where the guardian removes.
    fn copy(&self, from: &Path, to: &Path) {
        let everything = from.join(".");
        let words = ["cp", "-a", text(&everything), text(to)];
        self.guardian.run(&words.map(str::to_owned));
    }
}
