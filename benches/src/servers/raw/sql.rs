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

/// Rows for grains that are claimed for the first time.
pub(super) const CLAIM: &str = "INSERT INTO grain \
    (grain_type, grain_key, slice, shard, fence_epoch, fence_writer) \
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::int2[], $4::int2[], $5::int8[], $6::int8[])";

/// One whole state in one statement: written if the writer holds the fence and the number follows the
/// head.
pub(super) const APPEND: &str = "WITH place AS (\
       UPDATE shard SET pos = pos + 1 WHERE id = $3 RETURNING pos\
     ), moved AS (\
       UPDATE grain g SET pos = place.pos, head_epoch = $4, head_sequence = $5, head_digest = $6, \
       head_kind = $7, base_epoch = $4, base_sequence = $5 \
       FROM place WHERE g.grain_type = $1 AND g.grain_key = $2 \
       AND g.fence_epoch = $4 AND g.fence_writer = $8 \
       AND (g.head_epoch IS NULL OR g.head_epoch <= $4 \
       AND $5 - g.head_sequence BETWEEN 1 AND 4294967296) RETURNING g.id\
     ) INSERT INTO entry SELECT id, $4, $5, $8, $7, NULL, $6, $9, $10, $11, $12 FROM moved";

/// States of as many grains in one statement. Shards are locked in one order, so that two writers cannot
/// wait for each other.
pub(super) const APPEND_BATCH: &str = "WITH i AS MATERIALIZED (\
       SELECT *, row_number() OVER (PARTITION BY shard) AS nth \
       FROM unnest($1::bytea[], $2::bytea[], $3::int2[], $4::int8[], $5::int8[], $6::int8[], \
       $7::int2[], $8::int8[], $9::int8[], $10::bytea[], $11::int8[], $12::bytea[]) \
       AS i (grain_type, grain_key, shard, epoch, sequence, digest, kind, writer, written_at, \
       source, schema, payload)\
     ), locked AS MATERIALIZED (\
       SELECT s.id FROM shard s WHERE s.id = ANY ($3) ORDER BY s.id FOR UPDATE\
     ), place AS (\
       UPDATE shard s SET pos = s.pos + c.entries FROM locked JOIN \
       (SELECT i.shard, count(*) AS entries FROM i GROUP BY i.shard) c ON c.shard = locked.id \
       WHERE s.id = locked.id RETURNING s.id, s.pos - c.entries AS before\
     ), moved AS (\
       UPDATE grain g SET pos = place.before + i.nth, head_epoch = i.epoch, \
       head_sequence = i.sequence, head_digest = i.digest, head_kind = i.kind, \
       base_epoch = i.epoch, base_sequence = i.sequence \
       FROM i JOIN place ON place.id = i.shard \
       WHERE g.grain_type = i.grain_type AND g.grain_key = i.grain_key \
       AND g.fence_epoch = i.epoch AND g.fence_writer = i.writer \
       AND (g.head_epoch IS NULL OR g.head_epoch <= i.epoch \
       AND i.sequence - g.head_sequence BETWEEN 1 AND 4294967296) RETURNING g.id, i.*\
     ) INSERT INTO entry SELECT id, epoch, sequence, writer, kind, NULL, digest, written_at, source, \
     schema, payload FROM moved";

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
