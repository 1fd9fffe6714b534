//! Appends that go wrong on the server: whose fault it is, and what is said when nobody knows.

use std::time::Duration;

use gleaner_core::{
    Budget, Claim, Cursor, Draft, Entry, Epoch, ErrorKind, GrainId, ReplicationLog, Writer,
};
use gleaner_postgres::PostgresLog;
use gleaner_servers::{Postgres, or_skip};
use tokio::task::JoinSet;

use crate::server::{Sql, fresh, is_installed, schema_of, until};

const WRITER: Writer = Writer::new(7);

fn grain(number: u64) -> GrainId {
    GrainId::new("t", number.to_string()).unwrap()
}

fn state(grain: &GrainId, sequence: u64, payload: &'static str) -> Entry {
    Draft::full(grain.clone(), Cursor::new(1, sequence), WRITER, payload).seal()
}

/// Until it succeeds: a log that is soon out of patience may have been, on a busy machine.
async fn claimed(log: &PostgresLog, grains: u64) {
    let claims: Vec<Claim> = (0..grains)
        .map(|number| Claim {
            grain: grain(number),
            epoch: Epoch::new(1),
            writer: WRITER,
        })
        .collect();
    until("grains are claimed", async || {
        match log.claim(&claims).await {
            Ok(answers) => answers.into_iter().all(|answer| answer.is_ok()),
            Err(error) if error.is_retryable() => false,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
}

/// Has the server do this to each entry of a payload, before it is written.
async fn on_payload(url: &str, payload: &str, action: &str) -> Sql {
    let (schema, sql) = (schema_of(url), Sql::connect(url).await);
    sql.run(&format!(
        "CREATE FUNCTION {schema}.act() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN {action}; RETURN NEW; END';
         CREATE TRIGGER act BEFORE INSERT ON {schema}.entry FOR EACH ROW \
         WHEN (NEW.payload = '{payload}') EXECUTE FUNCTION {schema}.act()"
    ))
    .await;
    sql
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_written_takes_no_other_down() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    claimed(&log, 40).await;
    let _sql = on_payload(&url, "poison", "RAISE EXCEPTION ''poisoned''").await;
    let mut appends = JoinSet::new();
    for number in 0..40 {
        let (log, grain) = (log.clone(), grain(number));
        let payload = if number % 10 == 3 { "poison" } else { "good" };
        appends.spawn(async move { (payload, log.append(state(&grain, 1, payload)).await) });
    }
    let mut poisoned = 0;
    while let Some(ended) = appends.join_next().await {
        match ended.unwrap() {
            ("good", answer) => assert_eq!(answer.unwrap().cursor, Cursor::new(1, 1)),
            (_, answer) => {
                let error = answer.err().unwrap();
                assert_eq!(error.kind(), ErrorKind::Permanent, "{error}");
                assert!(error.to_string().contains("poisoned"), "{error}");
                poisoned += 1;
            }
        }
    }
    assert_eq!(poisoned, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_undone() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let config = PostgresLog::builder(&url).unwrap();
    let log = config.timeout(Duration::from_secs(2)).open().await.unwrap();
    claimed(&log, 1).await;
    let sql = on_payload(&url, "slow", "PERFORM pg_sleep(600)").await;
    let entry = state(&grain(0), 1, "slow");
    let error = log.append(entry.clone()).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    let mut heads = Vec::new();
    until("it answers", async || {
        heads = log.heads(&[grain(0)]).await.unwrap_or_default();
        !heads.is_empty()
    })
    .await;
    assert_eq!(heads, [None], "it was undone");
    sql.run(&format!("DROP TRIGGER act ON {}.entry", schema_of(&url)))
        .await;
    until("it is written", async || {
        log.append(entry.clone()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_leaves_a_doubt_that_the_same_bytes_settle() {
    let Some(server) = or_skip(Postgres::start()) else {
        return;
    };
    let config = PostgresLog::builder(&server.url()).unwrap();
    let log = config.timeout(Duration::from_secs(2)).open().await.unwrap();
    claimed(&log, 1).await;
    let grain = grain(0);
    let first = state(&grain, 1, "x");
    until("it is written", async || {
        log.append(first.clone()).await.is_ok()
    })
    .await;
    server.pause();
    let entry = state(&grain, 2, "y");
    let doubt = log.append(entry.clone()).await.err().unwrap();
    assert_eq!(doubt.kind(), ErrorKind::Unknown, "{doubt}");
    let read = log.heads(std::slice::from_ref(&grain)).await.err().unwrap();
    assert_eq!(read.kind(), ErrorKind::Transient, "{read}");
    server.resume();
    until("it is answered", async || {
        log.append(entry.clone()).await.is_ok()
    })
    .await;
    let mut history = gleaner_core::Page::default();
    until("it is read", async || {
        let page = log.read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED).await;
        history = page.unwrap_or_default();
        !history.entries.is_empty()
    })
    .await;
    let cursors: Vec<u64> = history
        .entries
        .iter()
        .map(|entry| entry.sequence().get())
        .collect();
    assert_eq!(cursors, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_takes_nothing_back() {
    if !is_installed() {
        return;
    }
    let log = PostgresLog::open(&fresh()).await.unwrap();
    claimed(&log, 1).await;
    let grain = grain(0);
    for sequence in 1..60 {
        let entry = state(&grain, sequence, "x");
        let micros = sequence * 37 % 2000;
        let append = log.append(entry.clone());
        drop(tokio::time::timeout(Duration::from_micros(micros), append).await);
        // Whatever became of it, the same bytes are there once after this.
        assert_eq!(
            log.append(entry).await.unwrap().cursor,
            Cursor::new(1, sequence)
        );
    }
    let page = log.read_from(&grain, Cursor::ZERO, Budget::UNBOUNDED).await;
    assert_eq!(page.unwrap().entries.len(), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_one_that_cannot_be_written_says_so_of_that_one() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    claimed(&log, 2).await;
    let _sql = on_payload(&url, "poison", "RAISE EXCEPTION ''poisoned''").await;
    // The first goes straight, the second is a run and goes the long way.
    let run = [state(&grain(1), 1, "good"), state(&grain(1), 2, "poison")];
    let batch = [state(&grain(0), 1, "good"), run[0].clone(), run[1].clone()];
    let answers = log.append_batch(&batch).await.unwrap();
    assert_eq!(
        answers[0].result.as_ref().unwrap().cursor,
        Cursor::new(1, 1)
    );
    let error = answers[1].result.as_ref().err().unwrap();
    assert_eq!((answers[1].landed, error.kind()), (0, ErrorKind::Permanent));
    let heads = log.heads(&[grain(0), grain(1)]).await.unwrap();
    assert!(heads[0].is_some() && heads[1].is_none(), "{heads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_in_a_transaction_holds_nobody_up() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    claimed(&log, 1).await;
    let (schema, sql) = (schema_of(&url), Sql::connect(&url).await);
    // A head that cannot be read: the long way refuses with its transaction open.
    sql.run(&format!(
        "UPDATE {schema}.grain SET head_epoch = -1, head_sequence = 1"
    ))
    .await;
    let refused = log.append(state(&grain(0), 1, "x")).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Permanent, "{refused}");
    until("nothing is locked", async || {
        let locked = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                      JOIN pg_namespace n ON n.oid = c.relnamespace \
                      WHERE c.relname = 'shard' AND l.pid <> pg_backend_pid() AND n.nspname = ";
        let name = schema.trim_matches('"').replace("\"\"", "\"");
        sql.number(&format!("{locked}'{name}'")).await == 0
    })
    .await;
}

/// The straight way begins with a snapshot, and then waits for those who move heads or fences: what it meets
/// is judged as it is by then, and not as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_moved_while_an_append_waits_is_judged_as_it_is() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let schema = schema_of(&url);
    let log = PostgresLog::open(&url).await.unwrap();
    claimed(&log, 4).await;
    for number in 0..4 {
        log.append(state(&grain(number), 1, "one")).await.unwrap();
    }
    let (gate, watch) = (Sql::connect(&url).await, Sql::connect(&url).await);
    let waits = format!(
        "SELECT count(*)::int8 FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
         AND query LIKE '%{schema}%written_at%'"
    );
    let meanwhile = async |number: u64, change: &str| {
        gate.run(&format!(
            "BEGIN; SELECT FROM {schema}.shard ORDER BY id FOR UPDATE"
        ))
        .await;
        let appended = tokio::spawn({
            let (log, entry) = (log.clone(), state(&grain(number), 2, "two"));
            async move { log.append(entry).await }
        });
        until("the append waits", async || watch.number(&waits).await == 1).await;
        gate.run(&format!(
            "UPDATE {schema}.grain SET {change} WHERE grain_key = '{number}'; COMMIT"
        ))
        .await;
        appended.await.unwrap()
    };

    // As a truncation does, which moves neither.
    let head = meanwhile(0, "floor_epoch = 1, floor_sequence = 1").await;
    assert_eq!(head.unwrap().cursor, Cursor::new(1, 2));
    let fenced = meanwhile(1, "fence_epoch = 2, fence_writer = 9").await;
    assert!(
        matches!(fenced.unwrap_err().kind(), ErrorKind::Fenced { fence } if fence.epoch == Epoch::new(2))
    );
    let passed = meanwhile(2, "head_sequence = 2, base_sequence = 2").await;
    assert!(matches!(
        passed.unwrap_err().kind(),
        ErrorKind::Conflict { head: Some(head) } if head.cursor == Cursor::new(1, 2)
    ));
    // What fitted neither then nor now.
    let leap = meanwhile(3, "head_epoch = 2, base_epoch = 2").await;
    assert!(matches!(
        leap.unwrap_err().kind(),
        ErrorKind::Conflict { .. }
    ));

    let grains: Vec<GrainId> = (0..4).map(grain).collect();
    for grain in &grains {
        let page = log.read_from(grain, Cursor::ZERO, Budget::UNBOUNDED).await;
        let written = page.unwrap().entries.len();
        let expected = if *grain == grains[0] { 2 } else { 1 };
        assert_eq!(written, expected, "{grain}");
    }
    // And in the feed as the others are: places are given once.
    let places = format!(
        "SELECT count(*) - count(DISTINCT (shard, pos)) FROM {schema}.grain WHERE pos IS NOT NULL"
    );
    assert_eq!(watch.number(&places).await, 0);
}

/// A large group goes in two statements at once, where there is a second connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_goes_in_halves_if_it_can() {
    if !is_installed() {
        return;
    }
    let server = Postgres::shared().unwrap();
    let url = server.create_database("halves");
    let log = PostgresLog::open(&url).await.unwrap();
    claimed(&log, 400).await;
    let sql = Sql::connect(&url).await;
    let commits = "SELECT count(DISTINCT xmin::text) FROM gleaner.entry WHERE sequence = ";
    let batch = |number: u64, sequence| -> Vec<Entry> {
        (0..number)
            .map(|number| state(&grain(number), sequence, "state"))
            .collect()
    };
    for (sequence, number, statements) in [(1, 400, 2), (2, 100, 1), (3, 400, 2)] {
        let answers = log.append_batch(&batch(number, sequence)).await.unwrap();
        let in_order: Vec<GrainId> = answers.iter().map(|answer| answer.grain.clone()).collect();
        let asked: Vec<GrainId> = (0..number).map(grain).collect();
        assert_eq!(in_order, asked);
        for answer in answers {
            let head = answer.result.unwrap();
            assert_eq!((answer.landed, head.cursor), (1, Cursor::new(1, sequence)));
        }
        let counted = sql.number(&format!("{commits}{sequence}")).await;
        assert_eq!(counted, statements, "of {number}");
    }

    // One connection for a look at the server, one for appends, one of the test's.
    server.sql("ALTER DATABASE halves CONNECTION LIMIT 3");
    drop(log);
    let others = "SELECT count(*)::int8 FROM pg_stat_activity \
        WHERE datname = 'halves' AND pid <> pg_backend_pid()";
    until("the first log has gone", async || {
        sql.number(others).await == 0
    })
    .await;
    let log = PostgresLog::builder(&url).unwrap().hints(false);
    let log = log.open().await.unwrap();
    let answers = log.append_batch(&batch(400, 4)).await.unwrap();
    assert!(answers.iter().all(|answer| answer.result.is_ok()));
    assert_eq!(sql.number(&format!("{commits}4")).await, 1);
}
