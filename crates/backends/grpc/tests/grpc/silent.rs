//! Peers that connect and say nothing.

use std::sync::Arc;
use std::time::Duration;

use gleaner_core::ReplicationLog;
use gleaner_grpc::{GrpcLog, Leader};
use gleaner_memory::MemoryLog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Anybody can connect: one who is not admitted by it must not hold the place of one who would be.
#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_gives_its_place_back() {
    let leader = Leader::builder(Arc::new(MemoryLog::new()))
        .insecure(true)
        .max_connections(3)
        .bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    let start = Instant::now();
    let address = leader.local_addr();
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0").await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    // All of them are let go of: those who did not begin sooner than the one who did and then gave no
    // sign of life.
    let mut answer = Vec::new();
    for peer in [&mut silent, &mut half] {
        let ended = timeout(Duration::from_secs(12), peer.read_to_end(&mut answer)).await;
        let _ = ended.expect("it was closed");
    }
    assert!(start.elapsed() >= Duration::from_secs(10));
    // On real time again: a call takes some.
    tokio::time::resume();
    let url = format!("grpc://{address}");
    let log = GrpcLog::builder(url).insecure(true).open().unwrap();
    assert_eq!(log.heads(&[]).await.unwrap(), []);
    tokio::time::pause();
    let ended = timeout(Duration::from_secs(60), begun.read_to_end(&mut answer)).await;
    let _ = ended.expect("it was closed");
}
