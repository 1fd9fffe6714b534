//! [`Leader`]: serves a log to other clusters on one port.

mod answers;
mod connection;
mod counts;
mod gate;
mod service;
mod settings;
mod watcher;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gleaner_core::ReplicationLog;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::connection::Acceptor;
use self::counts::Counts;
pub use self::counts::LeaderCounts;
use self::service::Service;
use self::settings::LeaderSettings;
use crate::access::Access;
use crate::tls::ServerTls;

/// How a leader is opened: which log, for whom, and how much at once.
///
/// Without TLS, or without tokens, [`Self::bind`] refuses unless [`Self::insecure`] says that this is
/// meant.
#[must_use]
pub struct LeaderBuilder {
    log: Arc<dyn ReplicationLog>,
    access: Option<Arc<Access>>,
    tls: Option<ServerTls>,
    insecure: bool,
    settings: LeaderSettings,
}

impl std::fmt::Debug for LeaderBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeaderBuilder")
            .field("access", &self.access.is_some())
            .field("tls", &self.tls.is_some())
            .field("insecure", &self.insecure)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Why a leader could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaderError {
    /// No tokens, or no TLS, and nobody said that this is meant.
    #[error(
        "{what} for a leader on {address}: give {instead}, or say that it is meant to be insecure"
    )]
    Insecure {
        /// Where it was to listen.
        address: SocketAddr,
        /// What is missing.
        what: &'static str,
        /// What would do.
        instead: &'static str,
    },
    /// The port could not be taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}

impl LeaderBuilder {
    /// Who may do what. Default: nobody was named, which [`Self::bind`] refuses unless it is meant.
    pub fn access(mut self, access: impl Into<Arc<Access>>) -> Self {
        self.access = Some(access.into());
        self
    }

    /// The certificate that the leader shows. Default: none, which [`Self::bind`] refuses unless it is
    /// meant.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Says that going without TLS, or without tokens, is meant: whoever can reach the port then reads
    /// along, or reads and writes. For tests, and for networks that see to it themselves.
    pub fn insecure(mut self, meant: bool) -> Self {
        self.insecure = meant;
        self
    }

    /// The most connections at once; others are closed as they come. Default 1,024.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.settings.max_connections = most.max(1);
        self
    }

    /// The most calls and watches under way on one connection, half of them watches. Default 128.
    pub fn max_streams(mut self, most: u32) -> Self {
        self.settings.max_streams = most.max(1);
        self
    }

    /// The most calls that are worked on at once; others wait for at most 1 s and are then `Transient`.
    /// Default 64.
    pub fn max_calls(mut self, most: usize) -> Self {
        self.settings.max_calls = most.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// The largest message, in bytes, either way; 8 MiB to 128 MiB. A payload may be 1 MiB less. Default
    /// 32 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.settings.max_message = bytes.clamp(8 << 20, 128 << 20);
        self
    }

    /// The largest payload that is sent unasked to those who watch, in bytes; 0: none. Default 16 KiB.
    pub fn max_pushed(mut self, bytes: usize) -> Self {
        self.settings.max_pushed = bytes;
        self
    }

    /// The payload bytes of one page of a watch: how much of the leader's memory a reader holds however
    /// slow it is, beside some 256 KiB of send buffer. Default 256 KiB.
    pub fn max_page(mut self, bytes: usize) -> Self {
        self.settings.max_page = bytes;
        self
    }

    /// After how long a call is given up whose request does not come or that the log does not answer.
    /// Default 30 s.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.settings.call_timeout = limit.max(Duration::from_millis(1));
        self
    }

    /// How long a connection may be silent before it is asked for a sign of life, and how long that may
    /// take. Default 20 s each.
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.settings.keepalive = interval.max(Duration::from_millis(1));
        self.settings.keepalive_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Takes the port and begins to serve, on the runtime that this is called in. Port 0 takes a free one.
    ///
    /// # Errors
    /// [`LeaderError`]: insecure without being meant to be, or the port cannot be had.
    pub async fn bind(self, address: SocketAddr) -> Result<Leader, LeaderError> {
        let refuse = |what, instead| {
            Err(LeaderError::Insecure {
                address,
                what,
                instead,
            })
        };
        if !self.insecure {
            if self.tls.is_none() {
                return refuse("no TLS", "a certificate");
            }
            if self.access.is_none() {
                return refuse("no tokens", "a token file");
            }
        }
        let listen = |source| LeaderError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        if self.tls.is_none() || self.access.is_none() {
            tracing::warn!(
                %address,
                tls = self.tls.is_some(),
                tokens = self.access.is_some(),
                "the leader is insecure, as it was told to be"
            );
        }
        let (close, closing) = watch::channel(false);
        let counts = Arc::new(Counts::default());
        let settings = Arc::new(self.settings);
        let service = Service {
            log: self.log,
            access: self
                .access
                .unwrap_or_else(|| Arc::new(Access::open_to_all())),
            settings: settings.clone(),
            closing: closing.clone(),
        };
        let acceptor = Acceptor::new(service, self.tls, settings, counts.clone(), closing);
        let task = tokio::spawn(acceptor.run(listener));
        Ok(Leader {
            address,
            close,
            task,
            counts,
        })
    }
}

/// A log that is being served.
///
/// Any number of followers read and write it at once; each call goes to the log as it comes. Dropping
/// it stops serving at once; [`Self::shutdown`] lets calls that are under way end.
#[derive(Debug)]
pub struct Leader {
    address: SocketAddr,
    close: watch::Sender<bool>,
    task: JoinHandle<()>,
    counts: Arc<Counts>,
}

impl Leader {
    /// Serves `log`: any log there is.
    pub fn builder(log: Arc<dyn ReplicationLog>) -> LeaderBuilder {
        LeaderBuilder {
            log,
            access: None,
            tls: None,
            insecure: false,
            settings: LeaderSettings::default(),
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What it has done until now.
    pub fn counts(&self) -> LeaderCounts {
        self.counts.read()
    }

    /// Takes no more connections, lets calls under way end for up to 5 s, and ends.
    ///
    /// # Cancel safety
    /// Dropped, it stops at once.
    pub async fn shutdown(mut self) {
        let _ = self.close.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Its connections end with it: they are tasks of a set that it owns. So do their calls, when the log
        // has answered them.
        self.task.abort();
    }
}
