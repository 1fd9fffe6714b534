//! The tables of a log and of a replica store, and the numbers by which a file is recognised.

/// What a kind of file looks like.
#[derive(Debug)]
pub(crate) struct Layout {
    /// For people.
    pub(crate) name: &'static str,
    /// `PRAGMA application_id`.
    pub(crate) application_id: i32,
    /// `PRAGMA user_version`: the newest that this crate reads and writes.
    pub(crate) version: i32,
    /// Creates everything, inside a transaction.
    pub(crate) tables: &'static str,
    /// `PRAGMA synchronous`: 2 is FULL, 1 is NORMAL.
    pub(crate) synchronous: i32,
}

/// The log. Names are BLOBs, so that their order is that of bytes. A `pos` is the place of an entry
/// in the feed and its rowid; a grain's is that of its newest entry, so that the feed holds each
/// grain once and the head's entry is found without an index. Numbers of 64 bits are stored as the
/// `i64` of the same bits.
pub(crate) const LOG: Layout = Layout {
    name: "log",
    application_id: 0x476c_6e4c, // "GlnL"
    version: 1,
    synchronous: 2,
    tables: "
        CREATE TABLE meta (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            log BLOB NOT NULL,
            history BLOB NOT NULL,
            pos INTEGER NOT NULL
        );
        INSERT INTO meta VALUES (1, randomblob(16), randomblob(16), 0);
        CREATE TABLE grain (
            id INTEGER PRIMARY KEY,
            grain_type BLOB NOT NULL,
            grain_key BLOB NOT NULL,
            fence_epoch INTEGER,
            fence_writer INTEGER,
            pos INTEGER,
            head_epoch INTEGER,
            head_sequence INTEGER,
            head_digest INTEGER,
            head_kind INTEGER,
            base_epoch INTEGER,
            base_sequence INTEGER,
            floor_epoch INTEGER NOT NULL DEFAULT 0,
            floor_sequence INTEGER NOT NULL DEFAULT 0,
            UNIQUE (grain_type, grain_key)
        );
        CREATE UNIQUE INDEX grain_pos ON grain (pos) WHERE pos IS NOT NULL;
        CREATE TABLE entry (
            pos INTEGER PRIMARY KEY,
            grain INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            writer INTEGER NOT NULL,
            kind INTEGER NOT NULL,
            prev INTEGER,
            digest INTEGER NOT NULL,
            written_at INTEGER NOT NULL,
            source TEXT NOT NULL,
            schema INTEGER NOT NULL,
            payload BLOB NOT NULL
        );
        CREATE UNIQUE INDEX entry_at ON entry (grain, epoch, sequence);
    ",
};

/// The replica store. NORMAL: a power failure may take the last commits away, never tear one, and
/// what is lost is read from the log again.
pub(crate) const STORE: Layout = Layout {
    name: "replica store",
    application_id: 0x476c_6e53, // "GlnS"
    version: 1,
    synchronous: 1,
    tables: "
        CREATE TABLE meta (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            log BLOB,
            generation INTEGER NOT NULL
        );
        INSERT INTO meta VALUES (1, NULL, 0);
        CREATE TABLE replica (
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
            state BLOB,
            UNIQUE (grain_type, grain_key)
        );
    ",
};
