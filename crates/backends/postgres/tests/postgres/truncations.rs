//! What one statement of a truncation removes.

use gleaner_core::{Cursor, Draft, GrainId, ReplicationLog, Writer};
use gleaner_postgres::PostgresLog;

use crate::server::{Sql, fresh, is_installed, schema_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_ends_by_bytes_as_well_as_by_entries() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let schema = schema_of(&url);
    let log = PostgresLog::open(&url).await.unwrap();
    let grain = GrainId::new("t", "x").unwrap();
    let write = async |sequence: u64, payload: Vec<u8>| {
        let cursor = Cursor::new(1, sequence);
        let entry = Draft::full(grain.clone(), cursor, Writer::new(7), payload).seal();
        log.append(entry).await.unwrap();
    };
    for sequence in 1..=5 {
        write(sequence, vec![7; 7 << 20]).await;
    }
    write(6, vec![7; 1]).await;
    write(7, vec![7; 1]).await;
    let sql = Sql::connect(&url).await;
    sql.run(&format!(
        "CREATE TABLE {schema}.piece (id int8 GENERATED ALWAYS AS IDENTITY, entries int8, bytes int8);
         CREATE FUNCTION {schema}.piece() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO {schema}.piece (entries, bytes) \
         SELECT count(*), sum(octet_length(payload)) FROM gone; RETURN NULL; END';
         CREATE TRIGGER piece AFTER DELETE ON {schema}.entry REFERENCING OLD TABLE AS gone \
         FOR EACH STATEMENT EXECUTE FUNCTION {schema}.piece()"
    ))
    .await;
    let truncation = log.truncate(&grain, Cursor::new(1, 7)).await.unwrap();
    assert_eq!(
        (truncation.removed, truncation.floor),
        (6, Cursor::new(1, 7))
    );
    // 21 MiB, and then what is left.
    let pieces = format!(
        "SELECT count(*) FROM {schema}.piece WHERE (id, entries, bytes) \
         IN ((1, 3, 21 << 20), (2, 3, (14 << 20) + 1))"
    );
    assert_eq!(sql.number(&pieces).await, 2);
    let all = format!("SELECT count(*) FROM {schema}.piece");
    assert_eq!(sql.number(&all).await, 2);
    // Small ones end by number: with nothing left beyond the last, there is one more that finds none.
    sql.run(&format!(
        "DELETE FROM {schema}.piece; INSERT INTO {schema}.entry \
         SELECT g.id, 1, -n, 7, 1, NULL, 0, 0, '', 0, '' \
         FROM {schema}.grain g, generate_series(1, 20001) n; DELETE FROM {schema}.piece"
    ))
    .await;
    let truncation = log.truncate(&grain, Cursor::new(1, 7)).await.unwrap();
    assert_eq!(truncation.removed, 20_001);
    let most = format!("SELECT max(entries) FROM {schema}.piece");
    assert_eq!(sql.number(&most).await, 10_000);
    assert_eq!(sql.number(&all).await, 3);
}
