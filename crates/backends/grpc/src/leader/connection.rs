//! [`Acceptor`]: connections, each with its bounds; and who is let through to the calls.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service as _;

use super::counts::Counts;
use super::service::Service;
use super::settings::LeaderSettings;
use crate::proto::leader_server::LeaderServer;
use crate::tls::ServerTls;

/// How long calls under way may take once the leader is ending.
const GRACE: Duration = Duration::from_secs(5);
/// How long a call waits for its turn.
const TURN: Duration = Duration::from_secs(1);
/// What may lie in a connection's stream unsent.
const SEND_BUFFER: usize = 256 << 10;
/// What a peer may send of one call, and of all, before it was taken in.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// The bytes that every connection of HTTP/2 begins with.
const PREFACE: u64 = 24;
/// The one call that lasts: it takes no turn from the others.
const WATCH: &str = "/gleaner.v1.Leader/Watch";

pub(super) struct Acceptor {
    tls: Option<ServerTls>,
    settings: Arc<LeaderSettings>,
    counts: Arc<Counts>,
    closing: watch::Receiver<bool>,
    gate: Gate,
}

impl Acceptor {
    pub(super) fn new(
        service: Service,
        tls: Option<ServerTls>,
        settings: Arc<LeaderSettings>,
        counts: Arc<Counts>,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let server = LeaderServer::new(service.clone())
            .max_decoding_message_size(settings.max_message)
            .max_encoding_message_size(settings.max_message);
        let gate = Gate {
            server,
            service,
            turns: Arc::new(Semaphore::new(settings.max_calls)),
            watches: Arc::new(Semaphore::new(0)),
            settings: settings.clone(),
            counts: counts.clone(),
        };
        Self {
            tls,
            settings,
            counts,
            closing,
            gate,
        }
    }

    /// Accepts until the leader is ending, then waits for what is under way.
    pub(super) async fn run(mut self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            tokio::select! {
                biased;
                _ = self.closing.changed() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) if connections.len() < self.settings.max_connections => {
                        connections.spawn(self.connection(stream, peer));
                    }
                    Ok((_, peer)) => tracing::warn!(%peer, "too many connections: one more is closed"),
                    Err(error) => {
                        // Out of descriptors, mostly: others may close meanwhile.
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
        drop(listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        // What has not ended by then is dropped with the set.
        let _ = timeout(GRACE, ended).await;
    }

    /// One connection, to its end.
    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (settings, counts) = (self.settings.clone(), self.counts.clone());
        let tls = self.tls.as_ref().map(ServerTls::config);
        let (gate, closing) = (self.gate.of_connection(), self.closing.clone());
        async move {
            let open = Open::new(counts.clone());
            // Small answers must not wait for large ones to fill a packet.
            let _ = stream.set_nodelay(true);
            let served = match tls {
                None => serve(Counted::new(stream, counts), &settings, gate, closing).await,
                Some(config) => {
                    let handshake = TlsAcceptor::from(config).accept(stream);
                    match timeout(settings.handshake, handshake).await {
                        Ok(Ok(stream)) => {
                            serve(Counted::new(stream, counts), &settings, gate, closing).await
                        }
                        Ok(Err(error)) => {
                            tracing::warn!(%peer, %error, "refused: the TLS handshake failed");
                            return;
                        }
                        Err(_) => {
                            tracing::warn!(%peer, "refused: the TLS handshake took too long");
                            return;
                        }
                    }
                }
            };
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "a connection has ended");
            }
            drop(open);
        }
    }
}

async fn serve<I>(
    io: Counted<I>,
    settings: &LeaderSettings,
    gate: Gate,
    mut closing: watch::Receiver<bool>,
) -> Result<(), hyper::Error>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let heard = io.heard.clone();
    let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(settings.max_streams)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(settings.keepalive)
        .keep_alive_timeout(settings.keepalive_timeout)
        .serve_connection(TokioIo::new(io), gate);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = says_nothing(settings.handshake, &heard) => return Ok(()),
        _ = closing.changed() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Returns if a peer does not begin to speak HTTP/2 in time. One that has begun is asked for signs of
/// life from then on, and not before.
async fn says_nothing(limit: Duration, heard: &AtomicU64) {
    sleep(limit).await;
    if heard.load(Ordering::Relaxed) >= PREFACE {
        std::future::pending::<()>().await;
    }
}

/// Lets calls through: first who it is, then whether there is room, and only then is a body read.
#[derive(Clone)]
struct Gate {
    server: LeaderServer<Service>,
    service: Service,
    turns: Arc<Semaphore>,
    /// How many more watches the connection may have.
    watches: Arc<Semaphore>,
    settings: Arc<LeaderSettings>,
    counts: Arc<Counts>,
}

impl hyper::service::Service<http::Request<Incoming>> for Gate {
    type Response = http::Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, request: http::Request<Incoming>) -> Self::Future {
        let gate = self.clone();
        Box::pin(async move {
            Ok(match gate.pass(request).await {
                Ok(response) => response,
                Err(status) => status.into_http(),
            })
        })
    }
}

impl Gate {
    /// Half of a connection's streams are kept for calls: watches that took them all would leave nothing
    /// to confirm an age with.
    fn of_connection(&self) -> Self {
        let watches = usize::try_from(self.settings.max_streams / 2)
            .unwrap_or(1)
            .max(1);
        Self {
            watches: Arc::new(Semaphore::new(watches)),
            ..self.clone()
        }
    }

    async fn pass(
        mut self,
        mut request: http::Request<Incoming>,
    ) -> Result<http::Response<Body>, Status> {
        self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let bearer = bearer(request.headers());
        let grant = self.service.access.admit(bearer).map_err(|refused| {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(call = request.uri().path(), %refused, "refused");
            Status::unauthenticated(refused.to_string())
        })?;
        request.extensions_mut().insert(grant);
        let turn = if request.uri().path() == WATCH {
            let watch = self.watches.clone().try_acquire_owned();
            let watch = watch
                .map_err(|_| Status::resource_exhausted("too many watches on one connection"))?;
            request.extensions_mut().insert(Arc::new(watch));
            None
        } else {
            let turn = timeout(TURN, self.turns.clone().acquire_owned()).await;
            let turn = turn.map_err(|_| Status::resource_exhausted("too many calls at once"))?;
            Some(turn.map_err(|_| Status::unavailable("the leader has ended"))?)
        };
        let answered = timeout(self.settings.call_timeout, self.server.call(request)).await;
        drop(turn);
        match answered {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(never)) => match never {},
            // What it was doing may have been done.
            Err(_) => Err(Status::deadline_exceeded("the call took too long")),
        }
    }
}

/// The token of a request, if it carries one that is text.
fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    headers
        .get(http::header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// Counts a connection as long as it is open.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: Arc<Counts>) -> Self {
        counts.connected.fetch_add(1, Ordering::Relaxed);
        counts.connections.fetch_add(1, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts what passes.
struct Counted<I> {
    io: I,
    counts: Arc<Counts>,
    /// Bytes received on this one.
    heard: Arc<AtomicU64>,
}

impl<I> Counted<I> {
    fn new(io: I, counts: Arc<Counts>) -> Self {
        Self {
            io,
            counts,
            heard: Arc::default(),
        }
    }

    fn sent(&self, written: &Poll<std::io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            let bytes = u64::try_from(*bytes).unwrap_or(u64::MAX);
            self.counts.sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Counted<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        let bytes = buffer.filled().len().saturating_sub(before);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.counts.received.fetch_add(bytes, Ordering::Relaxed);
        self.heard.fetch_add(bytes, Ordering::Relaxed);
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Counted<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.sent(&written);
        written
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
