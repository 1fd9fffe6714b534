//! [`Acceptor`]: connections, each with its bounds.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::counts::Counts;
use super::gate::Gate;
use super::service::Service;
use super::settings::LeaderSettings;
use crate::tls::ServerTls;

/// How long calls under way may take once the leader is ending.
const GRACE: Duration = Duration::from_secs(5);
/// What may lie in a connection's stream unsent.
const SEND_BUFFER: usize = 256 << 10;
/// What a peer may send of one call, and of all, before it was taken in.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

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
        let gate = Gate::new(service, settings.clone(), counts.clone());
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
            tokio::select! {
                biased;
                _ = self.closing.changed() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Those that have ended since take no place.
                        while connections.try_join_next().is_some() {}
                        if connections.len() < self.settings.max_connections {
                            connections.spawn(self.connection(stream, peer));
                        } else {
                            tracing::warn!(%peer, "too many connections: one more is closed");
                        }
                    }
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
        let (gate, closing) = (self.gate.of_connection(peer), self.closing.clone());
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
    let watched = gate.clone();
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
        () = says_nothing(settings.handshake, &watched) => return Ok(()),
        () = watched.stuck() => return Ok(()),
        _ = closing.changed() => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Returns if a peer has not made a call that was admitted in time: a place is for those who may use it.
async fn says_nothing(limit: Duration, gate: &Gate) {
    sleep(limit).await;
    if gate.is_admitted() {
        std::future::pending::<()>().await;
    }
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
}

impl<I> Counted<I> {
    fn new(io: I, counts: Arc<Counts>) -> Self {
        Self { io, counts }
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
