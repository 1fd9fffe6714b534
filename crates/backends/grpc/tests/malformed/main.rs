//! A leader that is sent what no client sends. Alone in its process, so that what it grows by, and every
//! panic of its threads, is its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on ends"
)]

#[expect(dead_code, reason = "the other tests use the rest of it")]
#[path = "../grpc/raw.rs"]
mod raw;
#[path = "../grpc/words.rs"]
mod words;

mod chance;
mod frames;
mod requests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gleaner_core::{Cursor, Draft, GrainId, ReplicationLog, Writer};
use gleaner_grpc::tls::ServerTlsConfig;
use gleaner_grpc::{GrpcLog, Leader, LeaderBuilder};
use gleaner_memory::MemoryLog;
use http::{Request, StatusCode};
use hyper::client::conn::http2::SendRequest;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::body::Body;

use crate::chance::Chance;
use crate::frames::Frames;

/// How many of each sort; 5,000 in all.
const RANDOM: usize = 300;
const RANDOM_IN_TLS: usize = 200;
const JUNK: usize = 500;
const CALLS: usize = 4_000;
/// How often a good client is served in between.
const EVERY: usize = 250;
/// What the leader may grow by: a few connections' and calls' buffers, and what an allocator keeps. A
/// length that is believed would be 16 MiB to 4 GiB for each of thousands of frames.
const GROWTH: u64 = 64 << 20;
/// Long beyond anything that is waited for.
const LONG: Duration = Duration::from_secs(60);

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// What this process has of the machine's memory, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.unwrap().split_whitespace().nth(1).unwrap();
    kilobytes.parse::<u64>().unwrap() << 10
}

/// A client that keeps to the protocol, all the while.
struct Good {
    log: GrpcLog,
    grain: GrainId,
    sequence: u64,
    served: usize,
}

impl Good {
    fn new(leader: SocketAddr) -> Self {
        let log = GrpcLog::builder(format!("grpc://{leader}"));
        Self {
            log: log.insecure(true).open().unwrap(),
            grain: GrainId::new("good", "one").unwrap(),
            sequence: 0,
            served: 0,
        }
    }

    async fn is_served(&mut self) {
        self.sequence += 1;
        let cursor = Cursor::new(1, self.sequence);
        let state = format!("state {}", self.sequence);
        let entry = Draft::full(self.grain.clone(), cursor, Writer::new(1), state).seal();
        let head = timeout(LONG, self.log.append(entry.clone()))
            .await
            .unwrap()
            .unwrap();
        let budget = gleaner_core::Budget::UNBOUNDED;
        let after = cursor.predecessor();
        let page = timeout(LONG, self.log.read_from(&self.grain, after, budget)).await;
        assert_eq!(page.unwrap().unwrap().entries, [entry]);
        assert_eq!(head.cursor, cursor);
        self.served += 1;
    }
}

/// Serves on threads of its own, which have a name.
fn serve(runtime: &tokio::runtime::Runtime, builder: LeaderBuilder) -> Leader {
    runtime
        .block_on(builder.insecure(true).bind("127.0.0.1:0".parse().unwrap()))
        .unwrap()
}

#[test]
fn five_thousand_malformed_frames_do_no_harm() {
    let said = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("leader") {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        said(info);
    }));
    let serving = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("leader")
        .enable_all()
        .build()
        .unwrap();
    let log = MemoryLog::new();
    let leader = serve(&serving, Leader::builder(Arc::new(log.clone())));
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("pem"), folder.path().join("key"));
    let pair = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    let tls = ServerTlsConfig::new(certificate, key).open().unwrap();
    let encrypted = serve(&serving, Leader::builder(Arc::new(log)).tls(tls));

    let own = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    own.block_on(attack(&leader, &encrypted));
    // The good client's connection with it.
    drop(own);
    assert_eq!(PANICS.load(Ordering::Relaxed), 0, "the leader panicked");
    // Dropped within their runtime's time.
    serving.block_on(leader.shutdown());
    serving.block_on(encrypted.shutdown());
}

async fn attack(leader: &Leader, encrypted: &Leader) {
    let mut chance = Chance::new();
    let address = leader.local_addr();
    let mut good = Good::new(address);
    good.is_served().await;
    let began = Instant::now();
    // What all sorts need once is not growth.
    for _ in 0..20 {
        bytes_on_the_port(address, chance.bytes(4_000)).await;
        bytes_on_the_port(encrypted.local_addr(), chance.bytes(4_000)).await;
        bytes_on_the_port(address, frames::junk(&mut chance)).await;
    }
    calls(address, &mut chance, EVERY, &mut good).await;
    let before = resident();
    let mut sent = 0;
    for _ in 0..RANDOM {
        let bytes = chance.bytes(4_000);
        sent += bytes_on_the_port(address, bytes).await;
    }
    for _ in 0..RANDOM_IN_TLS {
        let bytes = chance.bytes(4_000);
        sent += bytes_on_the_port(encrypted.local_addr(), bytes).await;
    }
    good.is_served().await;
    for _ in 0..JUNK {
        let bytes = frames::junk(&mut chance);
        sent += bytes_on_the_port(address, bytes).await;
    }
    good.is_served().await;
    let told = calls(address, &mut chance, CALLS, &mut good).await;
    sent += told.sent;
    let after = resident();
    let grown = after.saturating_sub(before);
    println!(
        "{sent} frames in {:.1} s: {} calls refused, {} answered, {} given up; {} KiB grown from {} KiB",
        began.elapsed().as_secs_f64(),
        told.refused,
        told.answered,
        told.given_up,
        grown >> 10,
        before >> 10,
    );
    assert_eq!(sent, RANDOM + RANDOM_IN_TLS + JUNK + CALLS);
    // It was malformed, and it was said so.
    assert!(told.refused > CALLS / 2, "{} were refused", told.refused);
    assert!(grown < GROWTH, "{grown} bytes are held after all has gone");
    assert!(good.served > CALLS / EVERY);
    good.is_served().await;
    // The connections are gone, but for the good one's and the last of the calls.
    let waiting = Instant::now();
    while leader.counts().connections > 2 || encrypted.counts().connections > 0 {
        assert!(waiting.elapsed() < LONG, "{:?}", leader.counts());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Bytes on a connection of their own; the leader may hang up at any of them.
async fn bytes_on_the_port(leader: SocketAddr, bytes: Bytes) -> usize {
    let mut stream = TcpStream::connect(leader).await.unwrap();
    // A reset is an answer, too.
    if stream.write_all(&bytes).await.is_ok() && stream.shutdown().await.is_ok() {
        let mut answer = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut answer))
            .await
            .expect("it hangs up");
    }
    1
}

#[derive(Debug, Default)]
struct Told {
    sent: usize,
    refused: usize,
    answered: usize,
    given_up: usize,
}

/// So many malformed calls, many on a connection.
async fn calls(leader: SocketAddr, chance: &mut Chance, count: usize, good: &mut Good) -> Told {
    let mut told = Told::default();
    let mut connection = raw::connection(leader).await;
    while told.sent < count {
        if connection.is_closed() || chance.below(100) == 0 {
            connection = raw::connection(leader).await;
        }
        let (path, frames) = requests::malformed(chance);
        let hangs = frames.hangs();
        told.sent += 1;
        let answer = call(&mut connection, path, frames);
        let limit = if hangs {
            Duration::from_millis(5)
        } else {
            LONG
        };
        match timeout(limit, answer).await {
            Ok(Some(true)) => told.answered += 1,
            Ok(Some(false)) => told.refused += 1,
            Ok(None) => connection = raw::connection(leader).await,
            Err(_) => {
                assert!(hangs, "a call that was not answered");
                told.given_up += 1;
            }
        }
        if told.sent % EVERY == 0 {
            good.is_served().await;
        }
    }
    told
}

/// Whether a call was answered and not refused; none if the connection broke.
async fn call(connection: &mut SendRequest<Body>, path: String, frames: Frames) -> Option<bool> {
    let request = Request::post(format!("http://leader{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(frames))
        .unwrap();
    connection.ready().await.ok()?;
    let response = connection.send_request(request).await.ok()?;
    let refused = |headers: &http::HeaderMap| {
        let status = headers.get("grpc-status");
        status.is_some_and(|status| status != "0")
    };
    Some(response.status() == StatusCode::OK && !refused(response.headers()))
}
