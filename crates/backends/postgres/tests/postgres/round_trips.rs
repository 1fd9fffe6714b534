//! How often the server is asked: counted on the way there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gleaner_core::{Claim, Cursor, Draft, Epoch, GrainId, ReplicationLog, Writer};
use gleaner_postgres::PostgresLog;
use gleaner_servers::Postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::server::{fresh, is_installed};

/// Hands on what a client sends; counts where it asks for an answer before it goes on: a simple query,
/// and the end of an extended one.
async fn hand_on(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    asked: Arc<AtomicU64>,
) -> std::io::Result<()> {
    // The first message has no type.
    let mut kind = None;
    loop {
        if let Some(kind) = kind {
            server.write_u8(kind).await?;
        }
        let long = client.read_u32().await?;
        let mut body = vec![0; long as usize - 4];
        client.read_exact(&mut body).await?;
        if matches!(kind, Some(b'Q' | b'S')) {
            asked.fetch_add(1, Ordering::SeqCst);
        }
        server.write_u32(long).await?;
        server.write_all(&body).await?;
        kind = Some(client.read_u8().await?);
    }
}

/// A way to the server on which questions are counted.
async fn counted(port: u16) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let asked = Arc::<AtomicU64>::default();
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (from_client, mut to_client) = client.into_split();
            let (mut from_server, to_server) = server.into_split();
            tokio::spawn(hand_on(from_client, to_server, Arc::clone(&counter)));
            tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
        }
    });
    (own, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_them_is_so() {
    if !is_installed() {
        return;
    }
    let port = Postgres::shared().unwrap().port();
    let (own, asked) = counted(port).await;
    let url = fresh().replace(&format!(":{port}/"), &format!(":{own}/"));
    // One connection, on which everything is prepared soon.
    let config = PostgresLog::builder(&url).unwrap();
    let log = config.connections(1).hints(false).open().await.unwrap();
    let grain = GrainId::new("t", "x").unwrap();
    let claim = |epoch: u64, writer: u64| Claim {
        grain: grain.clone(),
        epoch: Epoch::new(epoch),
        writer: Writer::new(writer),
    };
    let entry = |sequence: u64| {
        let cursor = Cursor::new(1, sequence);
        Draft::full(grain.clone(), cursor, Writer::new(7), "state").seal()
    };
    let mut trips = Vec::new();
    for round in 0..2 {
        let mut before = asked.load(Ordering::SeqCst);
        let mut count = |what| {
            let now = asked.load(Ordering::SeqCst);
            if round > 0 {
                trips.push((what, now - before));
            }
            before = now;
        };
        log.claim(&[claim(1, 7)]).await.unwrap()[0]
            .as_ref()
            .unwrap();
        count("a claim that is made");
        log.append(entry(2 * round + 1)).await.unwrap();
        log.append(entry(2 * round + 2)).await.unwrap();
        count("two appends");
        let lost = log.claim(&[claim(1, 8)]).await.unwrap();
        assert!(lost[0].is_err());
        count("a claim that is lost");
        log.truncate(&grain, Cursor::new(1, 2 * round + 2))
            .await
            .unwrap();
        count("a truncation");
        let nobody = GrainId::new("t", "nobody").unwrap();
        log.truncate(&nobody, Cursor::new(1, 1)).await.unwrap();
        count("a truncation of nothing");
    }
    assert_eq!(
        trips,
        [
            ("a claim that is made", 1),
            ("two appends", 2),
            ("a claim that is lost", 2),
            ("a truncation", 2),
            ("a truncation of nothing", 1),
        ]
    );
}
