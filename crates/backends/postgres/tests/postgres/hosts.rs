//! Hosts that let everybody in and say nothing, as the kernel of a stopped server does.

use std::time::Duration;

use gleaner_core::{Cursor, Draft, ErrorKind, GrainId, ReplicationLog, Writer};
use gleaner_postgres::PostgresLog;
use gleaner_servers::Postgres;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::server::{Sql, fresh, is_installed, schema_of, until};

/// Lets in and says nothing; tells of each who was let in when that one has gone.
async fn mute() -> (u16, mpsc::UnboundedReceiver<Gone>, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::unbounded_channel();
    let listening = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let gone = tokio::spawn(async move {
                let mut said = [0; 1024];
                while socket.read(&mut said).await.unwrap_or(0) > 0 {}
            });
            drop(tell.send(gone));
        }
    });
    (port, told, listening.abort_handle())
}

type Gone = tokio::task::JoinHandle<()>;

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_that_never_answers_is_passed_over() {
    if !is_installed() {
        return;
    }
    let (port, mut let_in, _) = mute().await;
    let url = fresh();
    let host = format!("127.0.0.1:{}", Postgres::shared().unwrap().port());
    let both = url.replace(&host, &format!("127.0.0.1:{port},{host}"));
    let log = PostgresLog::open(&format!("{both}&connect_timeout=1"))
        .await
        .unwrap();
    let grain = GrainId::new("t", "x").unwrap();
    let entry = Draft::full(grain, Cursor::new(1, 1), Writer::new(7), "state").seal();
    // The second host has a second too, which may not be enough on a busy machine.
    until("it is written", async || {
        log.append(entry.clone()).await.is_ok()
    })
    .await;
    // So does the connection for hints, which told of the append.
    let sql = Sql::connect(&url).await;
    let tells = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE pid <> pg_backend_pid() AND query LIKE '%NOTIFY {},%'",
        schema_of(&url)
    );
    until("it is told", async || sql.number(&tells).await > 0).await;
    assert!(let_in.try_recv().is_ok(), "the first was never asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_is_given_up_leaves_no_socket_behind() {
    let (port, mut let_in, listening) = mute().await;
    let config = PostgresLog::builder(&format!("postgres://u@127.0.0.1:{port}/app")).unwrap();
    let config = config.timeout(Duration::from_millis(50)).hints(false);
    let log = config.open().await.unwrap();
    for _ in 0..4 {
        let refused = log.identity().await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Transient, "{refused}");
    }
    // The log is open still, and its runtime goes on.
    let mut let_go = let_in.recv().await;
    listening.abort();
    while let Some(gone) = let_go {
        let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
        assert!(gone.is_ok(), "a dial that was given up goes on");
        let_go = let_in.recv().await;
    }
    drop(log);
}
