//! The plain client's tables and statements.

/// How a session is set up: the planner is left to choose, but not to compile, which takes longer than any
/// of these statements. Durability is the server's default, `synchronous_commit = on`.
pub(super) const SESSION: &str = "SET jit = off";

pub(super) const TABLES: &str = "
    CREATE TABLE shard (
        id int2 PRIMARY KEY,
        pos int8 NOT NULL
    ) WITH (fillfactor = 10);
    INSERT INTO shard SELECT id, 0 FROM generate_series(0, 31) id;
    CREATE TABLE grain (
        grain_type bytea NOT NULL,
        grain_key bytea NOT NULL,
        id int8 GENERATED ALWAYS AS IDENTITY,
        slice int2 NOT NULL,
        shard int2 NOT NULL,
        pos int8,
        head_epoch int8,
        head_sequence int8,
        head_digest int8,
        head_kind int2,
        base_epoch int8,
        base_sequence int8,
        fence_epoch int8,
        fence_writer int8,
        floor_epoch int8 NOT NULL DEFAULT 0,
        floor_sequence int8 NOT NULL DEFAULT 0,
        PRIMARY KEY (grain_type, grain_key)
    );
    CREATE UNIQUE INDEX grain_moved ON grain (shard, pos) WHERE pos IS NOT NULL;
    CREATE TABLE entry (
        grain int8 NOT NULL,
        epoch int8 NOT NULL,
        sequence int8 NOT NULL,
        writer int8 NOT NULL,
        kind int2 NOT NULL,
        prev int8,
        digest int8 NOT NULL,
        written_at int8 NOT NULL,
        source bytea NOT NULL,
        schema int8 NOT NULL,
        payload bytea NOT NULL,
        PRIMARY KEY (grain, epoch, sequence)
    );
    ALTER TABLE entry ALTER payload SET STORAGE EXTERNAL;
";

/// What both appends do with a grain that is there already: head and fence compared and moved.
macro_rules! moves {
    () => {
        "ON CONFLICT (grain_type, grain_key) DO UPDATE SET \
             pos = excluded.pos, \
             head_epoch = excluded.head_epoch, head_sequence = excluded.head_sequence, \
             head_digest = excluded.head_digest, head_kind = excluded.head_kind, \
             base_epoch = excluded.base_epoch, base_sequence = excluded.base_sequence, \
             fence_epoch = excluded.fence_epoch, fence_writer = excluded.fence_writer \
         WHERE (coalesce(g.fence_epoch, 0) < excluded.fence_epoch \
                OR g.fence_epoch = excluded.fence_epoch \
                AND g.fence_writer = excluded.fence_writer) \
             AND coalesce(g.head_epoch, 0) <= excluded.head_epoch \
             AND (g.head_sequence IS NULL \
                OR excluded.head_sequence BETWEEN g.head_sequence + 1 \
                AND g.head_sequence + CASE WHEN g.fence_epoch < excluded.fence_epoch \
                THEN 1 ELSE 4294967296 END)"
    };
}

/// One entry in one statement.
pub(super) const APPEND: &str = concat!(
    "WITH place AS (UPDATE shard SET pos = pos + 1 WHERE id = $4 RETURNING pos), \
     moved AS (INSERT INTO grain AS g (grain_type, grain_key, slice, shard, pos, head_epoch, \
         head_sequence, head_digest, head_kind, base_epoch, base_sequence, fence_epoch, \
         fence_writer) \
         SELECT $1, $2, $3, $4, pos, $5, $6, $7, $8, $5, $6, $5, $9 FROM place ",
    moves!(),
    " RETURNING g.id) \
     INSERT INTO entry SELECT id, $5, $6, $9, $8, NULL, $7, $10, $11, $12, $13 FROM moved"
);

/// Entries of as many grains in one statement. Shards are locked in one order, so that two writers
/// cannot wait for each other.
pub(super) const APPEND_BATCH: &str = concat!(
    "WITH i AS MATERIALIZED (SELECT *, row_number() OVER (PARTITION BY shard) AS nth \
         FROM unnest($1::bytea[], $2::bytea[], $3::int2[], $4::int2[], $5::int8[], $6::int8[], \
         $7::int8[], $8::int2[], $9::int8[], $10::int8[], $11::bytea[], $12::int8[], $13::bytea[]) \
         AS i (grain_type, grain_key, slice, shard, epoch, sequence, digest, kind, writer, \
         written_at, source, schema, payload)), \
     locked AS MATERIALIZED (SELECT s.id FROM shard s WHERE s.id IN (SELECT shard FROM i) \
         ORDER BY s.id FOR UPDATE), \
     place AS (UPDATE shard s SET pos = s.pos + c.entries \
         FROM (SELECT i.shard, count(*) AS entries FROM i JOIN locked ON locked.id = i.shard \
         GROUP BY i.shard) c WHERE s.id = c.shard \
         RETURNING s.id, s.pos - c.entries AS before), \
     moved AS (INSERT INTO grain AS g (grain_type, grain_key, slice, shard, pos, head_epoch, \
         head_sequence, head_digest, head_kind, base_epoch, base_sequence, fence_epoch, \
         fence_writer) \
         SELECT grain_type, grain_key, slice, shard, before + nth, epoch, sequence, digest, kind, \
         epoch, sequence, epoch, writer FROM i JOIN place ON place.id = i.shard ",
    moves!(),
    " RETURNING g.id, g.grain_type, g.grain_key) \
     INSERT INTO entry SELECT moved.id, epoch, sequence, writer, kind, NULL, digest, written_at, \
     source, schema, payload FROM i JOIN moved USING (grain_type, grain_key)"
);

/// The newest state of each grain that has moved: order, cursor, payload, and the rest of the entry.
pub(super) const CATCH_UP: &str = "SELECT i.ord, e.epoch, e.sequence, e.payload, g.head_digest, \
    g.head_kind, e.writer, e.kind, e.digest, e.written_at, e.source, e.schema \
    FROM unnest($1::bytea[], $2::bytea[], $3::int8[], $4::int8[]) WITH ORDINALITY \
    AS i (grain_type, grain_key, epoch, sequence, ord) \
    JOIN grain g USING (grain_type, grain_key) \
    JOIN entry e ON e.grain = g.id AND e.epoch = g.base_epoch AND e.sequence = g.base_sequence \
    WHERE (g.head_epoch, g.head_sequence) > (i.epoch, i.sequence)";

/// The end of the feed: the last place in each shard.
pub(super) const END: &str = "SELECT pos FROM shard ORDER BY id";

/// A page of the feed, in one snapshot: each shard's share of it.
pub(super) const PAGE: &str = "SELECT s.id, s.pos, g.pos, g.grain_type, g.grain_key, g.head_epoch, \
    g.head_sequence, g.head_digest, g.head_kind, g.base_epoch, g.base_sequence \
    FROM unnest($1::int8[]) WITH ORDINALITY AS c (after, ord) \
    JOIN shard s ON s.id = c.ord - 1 \
    LEFT JOIN LATERAL (SELECT * FROM grain g WHERE g.shard = s.id AND g.pos > c.after \
    AND g.grain_type = $2 ORDER BY g.pos LIMIT $3) g ON true \
    ORDER BY s.id, g.pos";
