//! [`Place`]: a path, and how a connection to the file there is made.
//!
//! Owns opening, recognising and creating files; knows nothing of what their rows mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gleaner_core::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{BACKEND, Fault, nothing_happened};
use crate::file::FileId;
use crate::schema::Layout;

/// Pages after which a commit copies the WAL back: 16 MiB. Larger than SQLite's 4 MiB, since each
/// time costs two more syncs; small enough that opening after a kill reads it in a moment.
const CHECKPOINT_PAGES: i64 = 4096;
/// What the WAL file is cut to after a peak: 64 MiB.
const WAL_BYTES: i64 = 64 << 20;
/// What a writing connection keeps of the file in memory, in KiB: 16 MiB, so that a transaction of
/// many grains is not written out before its end. Readers keep SQLite's 2 MiB.
const CACHE_KIB: i64 = 16 << 10;
/// Statements that a connection keeps prepared; more than this crate has.
const STATEMENTS: usize = 48;

/// Where a file lies and what it must be.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    pub(crate) layout: &'static Layout,
    /// How long locks of other connections are waited for.
    pub(crate) busy: Duration,
}

/// A connection, and the file that it holds open.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) conn: Connection,
    pub(crate) file: FileId,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Creates the file if there is none, then writes.
    Create,
    /// Writes to a file that is there.
    Write,
    /// Reads a file that is there.
    Read,
}

/// What was found at the path.
enum Found {
    Ours,
    Nothing,
}

impl Place {
    /// A place at a path, made absolute so that a changed working directory does not move it.
    ///
    /// # Errors
    /// `Invalid` for a path that names no file.
    pub(crate) fn new(path: &Path, layout: &'static Layout, busy: Duration) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| {
            let message = format!("{:?} is no path to a file: {error}", path.display());
            Error::invalid(BACKEND, message).caused_by(error)
        })?;
        Ok(Self { path, layout, busy })
    }

    /// [`Self::connect`], off the async threads.
    pub(crate) async fn open(self: Arc<Self>, role: Role) -> Result<Link> {
        tokio::task::spawn_blocking(move || self.connect(role))
            .await
            .unwrap_or_else(|error| {
                Err(Error::transient(BACKEND, "opening came to no end").caused_by(error))
            })
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// `Permanent` for a file that is not ours, of a newer schema, damaged or read-only, and for a
    /// path where there can be none; `Transient` if there is no file and none is to be created.
    pub(crate) fn connect(&self, role: Role) -> Result<Link> {
        let before = FileId::at(&self.path)?;
        if before.is_none() {
            if role != Role::Create {
                return Err(self.gone());
            }
            self.check_folder()?;
        }
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if role == Role::Create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let conn = Connection::open_with_flags(&self.path, flags)
            .map_err(|error| self.cannot_open(role, error))?;
        self.prepare(&conn, role)?;
        match FileId::at(&self.path)? {
            Some(after) if before.is_none_or(|before| before == after) => {
                Ok(Link { conn, file: after })
            }
            Some(_) => Err(Error::transient(
                BACKEND,
                format!("{} was replaced while it was opened", self.path.display()),
            )),
            None => Err(self.gone()),
        }
    }

    /// That the file is not there.
    pub(crate) fn gone(&self) -> Error {
        let message = format!("the {} {} is gone", self.layout.name, self.path.display());
        Error::transient(BACKEND, message)
    }

    /// Whether a connection's file still lies at the path.
    ///
    /// # Errors
    /// `Transient` if no file does.
    pub(crate) fn is_current(&self, file: FileId) -> Result<bool> {
        match FileId::at(&self.path)? {
            Some(found) => Ok(found == file),
            None => Err(self.gone()),
        }
    }

    fn check_folder(&self) -> Result<()> {
        match self.path.parent() {
            Some(folder) if folder.is_dir() => Ok(()),
            _ => Err(Error::permanent(
                BACKEND,
                format!("the folder of {} does not exist", self.path.display()),
            )),
        }
    }

    /// A file that was there is not there any more, or cannot be opened now though it could before (too
    /// many are open, say): waiting may help. Else it fails for reasons of the path, which waiting does
    /// not mend.
    fn cannot_open(&self, role: Role, error: rusqlite::Error) -> Error {
        if role != Role::Create {
            if matches!(FileId::at(&self.path), Ok(None)) {
                return self.gone().caused_by(error);
            }
            if !self.path.is_dir() {
                return nothing_happened(&self.path, "open", error);
            }
        }
        let message = format!("cannot open {}: {error}", self.path.display());
        Error::permanent(BACKEND, message).caused_by(error)
    }

    fn prepare(&self, conn: &Connection, role: Role) -> Result<()> {
        let error = |error| nothing_happened(&self.path, "open", error);
        conn.busy_timeout(Duration::ZERO).map_err(error)?;
        // Until the file is known to be ours, not even a WAL left beside it is copied back.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(error)?;
        if conn.is_readonly("main").map_err(error)? {
            let message = format!("{} is read-only", self.path.display());
            // Asked for the first time, it is refused. One that was writable and became read-only
            // under us (a disk remounted after an error) may become writable again: what waits to be
            // written is kept until then.
            return Err(if role == Role::Create {
                Error::permanent(BACKEND, message)
            } else {
                Error::transient(BACKEND, message)
            });
        }
        match self.retry(|| self.recognise(conn))? {
            Found::Ours => {}
            Found::Nothing if role == Role::Create => self.retry(|| self.create(conn))?,
            Found::Nothing => {
                let message = format!("{} holds no {} yet", self.path.display(), self.layout.name);
                return Err(Error::transient(BACKEND, message));
            }
        }
        self.retry(|| self.configure(conn, role))?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(error)?;
        Ok(())
    }

    /// Says whose file it is, from one snapshot, writing nothing.
    fn recognise(&self, conn: &Connection) -> Result<Found, Fault> {
        let snapshot = conn.unchecked_transaction()?;
        let application: i32 = pragma(&snapshot, "application_id")?;
        let version: i32 = pragma(&snapshot, "user_version")?;
        let objects: i64 =
            snapshot.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
        let (path, layout) = (self.path.display(), self.layout);
        if application == layout.application_id {
            if version == layout.version {
                return Ok(Found::Ours);
            }
            return Err(self.other_version(version).into());
        }
        if (application, version, objects) == (0, 0, 0) {
            return Ok(Found::Nothing);
        }
        let message = format!(
            "{path} belongs to another application (application_id {application}, {objects} \
             schema objects) and is no gleaner {}",
            layout.name
        );
        Err(Error::permanent(BACKEND, message).into())
    }

    fn other_version(&self, version: i32) -> Error {
        let message = format!(
            "{} is a {} of schema version {version}; this version of gleaner-sqlite knows versions \
             up to {}",
            self.path.display(),
            self.layout.name,
            self.layout.version
        );
        Error::permanent(BACKEND, message)
    }

    /// That the file is still of this crate's schema, inside a transaction: another process may have
    /// brought it to a newer one since the connection was made. Read from a page that is in memory.
    ///
    /// # Errors
    /// `Permanent` if it is not.
    pub(crate) fn check_version(&self, conn: &Connection) -> Result<(), Fault> {
        let version: i32 = conn
            .prepare_cached("PRAGMA user_version")?
            .query_row((), |row| row.get(0))?;
        if version == self.layout.version {
            Ok(())
        } else {
            Err(self.other_version(version).into())
        }
    }

    /// Puts the tables into an empty file; harmless if another process was faster.
    fn create(&self, conn: &Connection) -> Result<(), Fault> {
        set_wal(conn)?;
        conn.execute_batch("BEGIN IMMEDIATE")?;
        let created = (|| {
            let objects: i64 =
                conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
            if objects == 0 {
                conn.execute_batch(self.layout.tables)?;
                conn.pragma_update(None, "application_id", self.layout.application_id)?;
                conn.pragma_update(None, "user_version", self.layout.version)?;
            }
            conn.execute_batch("COMMIT")
        })();
        if created.is_err() && !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK")?;
        }
        created?;
        match self.recognise(conn)? {
            Found::Ours => Ok(()),
            Found::Nothing => Err(Error::permanent(
                BACKEND,
                format!("{} stays empty", self.path.display()),
            )
            .into()),
        }
    }

    /// Sets what a connection sets for itself, and reads back what durability hangs on.
    fn configure(&self, conn: &Connection, role: Role) -> Result<(), Fault> {
        set_wal(conn)?;
        let wanted = self.layout.synchronous;
        conn.pragma_update(None, "synchronous", wanted)?;
        // Elsewhere than on macOS these two say nothing; there, a plain sync stops at the disk's cache.
        conn.pragma_update(None, "fullfsync", true)?;
        conn.pragma_update(None, "checkpoint_fullfsync", true)?;
        let synchronous: i32 = pragma(conn, "synchronous")?;
        let journal: String = pragma(conn, "journal_mode")?;
        if synchronous != wanted || journal != "wal" {
            let message = format!(
                "{} runs with journal_mode={journal} and synchronous={synchronous}, not with wal \
                 and {wanted}: what is acknowledged would not be safe",
                self.path.display()
            );
            return Err(Error::permanent(BACKEND, message).into());
        }
        // A file that is shared and may be cut by others is not to be mapped.
        conn.pragma_update(None, "mmap_size", 0)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        conn.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
        if role == Role::Read {
            conn.pragma_update(None, "query_only", true)?;
        } else {
            conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
        }
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(())
    }

    /// Does it again for as long as only locks of others are in the way.
    pub(crate) fn retry<T>(&self, mut work: impl FnMut() -> Result<T, Fault>) -> Result<T> {
        let mut patience = Patience::new(self.busy);
        loop {
            match work() {
                Err(fault) if fault.is_busy() && patience.wait() => {}
                Err(fault) => return Err(fault.into_error(&self.path, "use")),
                Ok(done) => return Ok(done),
            }
        }
    }
}

/// Waiting for other connections' locks: short sleeps, since SQLite's own, growing to 100 ms, leave
/// a busy file to whoever comes back first.
pub(crate) struct Patience {
    since: Instant,
    at_most: Duration,
    tries: u64,
}

impl Patience {
    pub(crate) fn new(at_most: Duration) -> Self {
        Self {
            since: Instant::now(),
            at_most,
            tries: 0,
        }
    }

    /// Sleeps a little; false when patience has ended. For threads that may block.
    pub(crate) fn wait(&mut self) -> bool {
        let waited = self.since.elapsed();
        if waited >= self.at_most {
            return false;
        }
        self.tries = self.tries.saturating_add(1);
        // 100 us at first, 2 ms in the end; off by up to half, so that two do not keep step.
        let micros = self.tries.saturating_mul(100).min(2000);
        let jitter = u64::from(waited.subsec_nanos()) % (micros / 2);
        thread::sleep(Duration::from_micros(micros / 2 + jitter));
        true
    }
}

pub(crate) fn pragma<T: rusqlite::types::FromSql>(
    conn: &Connection,
    name: &str,
) -> rusqlite::Result<T> {
    conn.pragma_query_value(None, name, |row| row.get(0))
}

/// A file is in WAL mode for good once it was set. Where it cannot be, SQLite keeps its former mode
/// without an error; [`Place::configure`] reads it back.
fn set_wal(conn: &Connection) -> Result<(), Fault> {
    let mode: String = pragma(conn, "journal_mode")?;
    if mode != "wal" {
        conn.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use gleaner_core::ErrorKind;

    use super::*;
    use crate::schema::LOG;

    #[test]
    fn a_file_that_could_be_opened_before_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.db");
        std::fs::write(&file, "").unwrap();
        let missing = folder.path().join("missing.db");
        let refusal = |path: &Path, role| {
            let place = Place::new(path, &LOG, Duration::ZERO).unwrap();
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
            let error = place.cannot_open(role, rusqlite::Error::SqliteFailure(code, None));
            assert!(error.to_string().contains(path.to_str().unwrap()));
            error.kind()
        };
        for role in [Role::Read, Role::Write] {
            // It went between the look at the path and the opening.
            assert_eq!(refusal(&missing, role), ErrorKind::Transient);
            assert_eq!(refusal(&file, role), ErrorKind::Transient);
            assert_eq!(refusal(folder.path(), role), ErrorKind::Permanent);
        }
        assert_eq!(refusal(&file, Role::Create), ErrorKind::Permanent);
    }
}
