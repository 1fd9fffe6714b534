//! [`GrpcLogConfig`]: where a leader is, who asks, and how long anything may take.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::access::Secret;
use crate::log::GrpcLog;
use crate::tls::ClientTls;

/// No time is set shorter than this: none at all would fail every call.
const SHORTEST: Duration = Duration::from_millis(1);

/// How the log of a leader is opened. Times are at least 1 ms.
///
/// | Setting | Default | Why |
/// |---|---|---|
/// | connect timeout | 5 s | a dial through a slow network, TLS included |
/// | call timeout | 15 s | a call that is not answered by then is made again |
/// | keepalive | 5 s, 5 s | a network that swallows everything is noticed within ten seconds |
/// | backoff | 50 ms to 2 s | a leader that restarts is found soon; one that is gone costs a dial every 2 s |
/// | pushed payload | 16 KiB | a larger one is fetched when its turn comes |
#[derive(Debug, Clone)]
#[must_use]
pub struct GrpcLogConfig {
    pub(crate) url: String,
    pub(crate) token: Option<Token>,
    pub(crate) tls: Option<Arc<ClientTls>>,
    pub(crate) insecure: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
    pub(crate) keepalive: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) max_pushed: usize,
}

/// Where the token comes from.
#[derive(Debug, Clone)]
pub(crate) enum Token {
    Given(Secret),
    /// Read at every dial, so that it can be changed while the log is in use.
    File(PathBuf),
}

/// Why the log of a leader could not be opened. Nothing was asked yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not `grpc://HOST:PORT` or `grpcs://HOST:PORT`.
    #[error("{url:?} is not of the form grpc://HOST:PORT or grpcs://HOST:PORT")]
    NotAUrl {
        /// What was given.
        url: String,
    },
    /// `grpc://` sends everything, tokens included, for all to read, and nobody said that this is meant.
    #[error("{url:?} is not encrypted: use grpcs://, or say that it is meant to be insecure")]
    Insecure {
        /// What was given.
        url: String,
    },
    /// Certificates for a URL that uses none.
    #[error("{url:?} takes no certificates: use grpcs://")]
    NoTls {
        /// What was given.
        url: String,
    },
    /// Nobody said whom to trust.
    #[error("{url:?} needs the certificate of an authority to trust")]
    NoAuthority {
        /// What was given.
        url: String,
    },
}

impl GrpcLogConfig {
    /// The log of the leader at a URL, with the defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            tls: None,
            insecure: false,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(15),
            keepalive: Duration::from_secs(5),
            keepalive_timeout: Duration::from_secs(5),
            backoff: (Duration::from_millis(50), Duration::from_secs(2)),
            max_pushed: 16 << 10,
        }
    }

    /// The token to show. Default: none.
    pub fn token(mut self, secret: Secret) -> Self {
        self.token = Some(Token::Given(secret));
        self
    }

    /// The file that holds the token to show. It is read at every dial, and again when a leader refuses
    /// the token, so that it may be replaced at any time.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token = Some(Token::File(path.into()));
        self
    }

    /// Whom to trust, and what to show, for a `grpcs://` URL. Needed there.
    pub fn tls(mut self, tls: impl Into<Arc<ClientTls>>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// Says that `grpc://` is meant: everything, tokens included, travels unencrypted.
    pub fn insecure(mut self, meant: bool) -> Self {
        self.insecure = meant;
        self
    }

    /// After how long a dial is given up. Default 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit.max(SHORTEST);
        self
    }

    /// After how long a call that was not answered is given up. Default 15 s.
    pub fn call_timeout(mut self, limit: Duration) -> Self {
        self.call_timeout = limit.max(SHORTEST);
        self
    }

    /// How long a connection may be silent before the leader is asked for a sign of life, and how long
    /// that may take: a partition is noticed within the sum. Default 5 s each.
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keepalive = interval.max(SHORTEST);
        self.keepalive_timeout = timeout.max(SHORTEST);
        self
    }

    /// The shortest and the longest wait between dials that fail; it doubles between the two, and is
    /// varied by half. Calls made meanwhile fail at once, `Transient`. Default 50 ms and 2 s.
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff = (min.max(SHORTEST), max.max(min).max(SHORTEST));
        self
    }

    /// The largest payload that the leader is to send unasked, in bytes; 0: none. The leader has a bound
    /// of its own. Default 16 KiB.
    pub fn max_pushed(mut self, bytes: usize) -> Self {
        self.max_pushed = bytes;
        self
    }

    /// Opens the log. No connection is made yet: the first call makes one, and every call after one
    /// broke, so that a leader that is not up yet is no error here.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn open(self) -> Result<GrpcLog, ConfigError> {
        let target = self.target()?;
        Ok(GrpcLog::new(self, target))
    }

    fn target(&self) -> Result<Target, ConfigError> {
        // What stands before an @ is a secret that should not be there, and goes nowhere from here.
        let url = || match self.url.split_once('@') {
            Some((_, place)) => format!("...@{place}"),
            None => self.url.clone(),
        };
        let not_a_url = || ConfigError::NotAUrl { url: url() };
        let uri: Uri = self.url.parse().map_err(|_| not_a_url())?;
        let encrypted = match uri.scheme_str() {
            Some("grpc") => false,
            Some("grpcs") => true,
            _ => return Err(not_a_url()),
        };
        let authority = uri.authority().ok_or_else(not_a_url)?.clone();
        let nothing_more = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let Some(port) = authority.port_u16().filter(|_| nothing_more) else {
            return Err(not_a_url());
        };
        // A secret never stands in a URL.
        if authority.as_str().contains('@') {
            return Err(not_a_url());
        }
        match (encrypted, &self.tls) {
            (false, Some(_)) => return Err(ConfigError::NoTls { url: url() }),
            (false, None) if !self.insecure => return Err(ConfigError::Insecure { url: url() }),
            (true, None) => return Err(ConfigError::NoAuthority { url: url() }),
            _ => {}
        }
        let bare = authority.host().trim_matches(['[', ']']).to_owned();
        Ok(Target {
            host: bare,
            port,
            scheme: if encrypted {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            },
            authority,
        })
    }
}

/// Where the leader is.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}
