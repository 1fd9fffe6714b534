//! L9 and L11: which log, which history, and which server it is.

use std::time::Duration;

use gleaner_core::{Cursor, Draft, ErrorKind, Filter, GrainId, ReplicationLog, Writer};
use gleaner_postgres::PostgresLog;
use gleaner_servers::{Postgres, or_skip};

use crate::server::{Sql, fresh, is_installed, schema_of, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_standby_is_another_history_of_the_same_log() {
    let Some(mut primary) = or_skip(Postgres::start()) else {
        return;
    };
    let log = PostgresLog::open(&primary.url()).await.unwrap();
    let before = log.identity().await.unwrap();
    let mut standby = or_skip(primary.standby()).unwrap();
    let grain = GrainId::new("t", "x").unwrap();
    let entry = Draft::full(grain.clone(), Cursor::new(1, 1), Writer::new(7), "state").seal();
    let head = log.append(entry).await.unwrap();
    let since = log.feed().unwrap().start(&Filter::all()).await.unwrap();
    until("the standby has it", async || {
        standby.sql("SELECT pg_last_wal_replay_lsn()") >= primary.sql("SELECT pg_current_wal_lsn()")
    })
    .await;

    // While it follows, it is no place to read from: not even an age could be told.
    let copy = PostgresLog::open(&standby.url()).await.unwrap();
    let refused = copy
        .heads(std::slice::from_ref(&grain))
        .await
        .err()
        .unwrap();
    assert_eq!(refused.kind(), ErrorKind::Transient, "{refused}");
    assert!(refused.to_string().contains("standby"), "{refused}");
    // Of several hosts it is passed over, to read as to listen.
    let port = |server: &Postgres| format!("127.0.0.1:{}", server.port());
    let both = format!("{},{}", port(&standby), port(&primary));
    let either = PostgresLog::open(&primary.url().replace(&port(&primary), &both)).await;
    let either = either.unwrap();
    let found = either.heads(std::slice::from_ref(&grain)).await.unwrap();
    assert_eq!(found, [Some(head)]);
    let since_now = either.feed().unwrap().start(&Filter::all()).await.unwrap();
    let wait = either.feed().unwrap().wait(&since_now, Duration::ZERO);
    wait.await;
    until("it listens to the primary", async || {
        let listens = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN %'";
        primary.sql(listens) != "0"
    })
    .await;

    primary.kill();
    let gone = log.heads(std::slice::from_ref(&grain)).await.err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::Transient, "{gone}");
    standby.promote();
    assert_eq!(copy.heads(&[grain]).await.unwrap(), [Some(head)]);
    let after = copy.identity().await.unwrap();
    assert_eq!(after.log, before.log);
    assert_ne!(after.history, before.history);
    // A position of the former history is of no use in this one.
    let changes = copy
        .feed()
        .unwrap()
        .changes(&since, &Filter::all(), 10)
        .await;
    assert_eq!(changes.err().unwrap().kind(), ErrorKind::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_begun_anew_in_the_same_place_is_another() {
    if !is_installed() {
        return;
    }
    let url = fresh();
    let log = PostgresLog::open(&url).await.unwrap();
    let before = log.identity().await.unwrap();
    let since = log.feed().unwrap().start(&Filter::all()).await.unwrap();
    let sql = Sql::connect(&url).await;
    sql.run(&format!("DROP SCHEMA {} CASCADE", schema_of(&url)))
        .await;
    let gone = log.identity().await.err().unwrap();
    assert_eq!(gone.kind(), ErrorKind::Permanent, "{gone}");
    let anew = PostgresLog::open(&url).await.unwrap();
    let after = anew.identity().await.unwrap();
    assert_ne!(after.log, before.log);
    // Who had it open follows the new one, under its name.
    assert_eq!(log.identity().await.unwrap(), after);
    let changes = log
        .feed()
        .unwrap()
        .changes(&since, &Filter::all(), 10)
        .await;
    assert_eq!(changes.err().unwrap().kind(), ErrorKind::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_up_yet_is_waited_for() {
    let Some(mut server) = or_skip(Postgres::start()) else {
        return;
    };
    let url = server.url();
    server.shut_down();
    let log = PostgresLog::open(&url).await.unwrap();
    let grain = GrainId::new("t", "x").unwrap();
    let entry = Draft::full(grain, Cursor::new(1, 1), Writer::new(7), "state").seal();
    let refused = log.append(entry.clone()).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Transient, "{refused}");
    assert!(
        refused.to_string().contains(&server.port().to_string()),
        "{refused}"
    );
    server.restart();
    let head = log.append(entry.clone()).await.unwrap();
    // Killed and started again, it has what it acknowledged.
    server.kill();
    server.restart();
    let mut heads = Vec::new();
    until("the log is there again", async || {
        let asked = log.heads(&[entry.grain().clone()]).await;
        heads = asked.unwrap_or_default();
        !heads.is_empty()
    })
    .await;
    assert_eq!(heads, [Some(head)]);
    assert_eq!(log.append(entry).await.unwrap(), head);
}
