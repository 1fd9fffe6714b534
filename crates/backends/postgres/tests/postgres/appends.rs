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
