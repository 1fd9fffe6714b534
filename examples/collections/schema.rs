//! The engine's file: its tables, how it is recognised, and what went wrong with it.

use std::path::Path;
use std::time::Duration;

use gleaner::{Cursor, Digest, Error, Generation};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

/// The name that errors carry.
pub(crate) const BACKEND: &str = "collections";

/// `PRAGMA application_id`.
const APPLICATION: i32 = 0x476c_6e43; // "GlnC"
/// `PRAGMA user_version`.
const VERSION: i32 = 1;
/// How long another process that writes to the file is waited for.
const BUSY: Duration = Duration::from_secs(30);

/// Names are BLOBs, so that their order is that of bytes; numbers of 64 bits are stored as the `i64`
/// of the same bits. A database whose `size` is missing has ended (a Tombstone). Points lie beside
/// each other by collection: a search reads them in one go.
const TABLES: &str = "
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        log BLOB,
        generation INTEGER NOT NULL
    );
    INSERT INTO meta VALUES (1, NULL, 0);
    CREATE TABLE database (
        id INTEGER PRIMARY KEY,
        grain_type BLOB NOT NULL,
        grain_key BLOB NOT NULL,
        epoch INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        digest INTEGER NOT NULL,
        generation INTEGER NOT NULL,
        log BLOB NOT NULL,
        schema INTEGER NOT NULL,
        written_at INTEGER NOT NULL,
        size INTEGER,
        UNIQUE (grain_type, grain_key)
    );
    CREATE TABLE collection (
        id INTEGER PRIMARY KEY,
        database INTEGER NOT NULL,
        name BLOB NOT NULL,
        dimensions INTEGER NOT NULL,
        UNIQUE (database, name)
    );
    CREATE TABLE point (
        collection INTEGER NOT NULL,
        id BLOB NOT NULL,
        vector BLOB NOT NULL,
        attributes BLOB NOT NULL,
        PRIMARY KEY (collection, id)
    ) WITHOUT ROWID;
";

/// Why a transaction did not get to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    /// The answer for the caller.
    Said(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl Fault {
    /// As what the caller may do: wait where waiting may help.
    pub(crate) fn into_error(self) -> Error {
        let error = match self {
            Self::Said(error) => return error,
            Self::Sqlite(error) => error,
        };
        let may_pass = matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::OutOfMemory
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
            )
        );
        if may_pass {
            Error::transient(BACKEND, error.to_string()).caused_by(error)
        } else {
            Error::permanent(BACKEND, error.to_string()).caused_by(error)
        }
    }
}

/// A row that this program does not write.
pub(crate) fn damaged(what: impl std::fmt::Display) -> Fault {
    Fault::Said(Error::permanent(
        BACKEND,
        format!("the file is damaged: {what}"),
    ))
}

/// Opens the file for writing and creates what is missing.
pub(crate) fn create(path: &Path) -> Result<Connection, Fault> {
    let mut conn = connect(path, OpenFlags::SQLITE_OPEN_CREATE)?;
    // Readers go on beside the writer, and what was answered has reached the disk.
    conn.query_row("PRAGMA journal_mode = WAL", (), |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let (application, version, objects): (i32, i32, i64) = (
        transaction.pragma_query_value(None, "application_id", |row| row.get(0))?,
        transaction.pragma_query_value(None, "user_version", |row| row.get(0))?,
        transaction.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?,
    );
    match (application, version, objects) {
        (APPLICATION, VERSION, _) => {}
        (0, 0, 0) => {
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        _ => {
            let why = format!("{} is no file of this program's", path.display());
            return Err(Error::permanent(BACKEND, why).into());
        }
    }
    transaction.commit()?;
    Ok(conn)
}

/// Opens a file that is there, for reading.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, Fault> {
    let conn = connect(path, OpenFlags::empty())?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn connect(path: &Path, more: OpenFlags) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | more;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

/// A number of 64 bits as it is stored.
pub(crate) const fn stored(number: u64) -> i64 {
    number.cast_signed()
}

/// A stored number of 64 bits.
pub(crate) fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(at)?.cast_unsigned())
}

/// A cursor and what stands behind it, from four columns.
pub(crate) fn place(row: &Row<'_>, at: usize) -> rusqlite::Result<(Cursor, Digest, Generation)> {
    Ok((
        Cursor::new(number(row, at)?, number(row, at + 1)?),
        Digest::new(number(row, at + 2)?),
        Generation::new(number(row, at + 3)?),
    ))
}
