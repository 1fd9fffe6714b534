//! [`Link`]: the connection to a leader, made when it is needed and made again when it broke.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use gleaner_core::{Error, GrainId, Limits, Result};
use http::{HeaderValue, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tonic::{Response, Status};

use crate::BACKEND;
use crate::access::Secret;
use crate::config::{GrpcLogConfig, Target, Token};
use crate::error::{Lost, is_unauthenticated, was_not_sent};
use crate::proto;
use crate::proto::leader_client::LeaderClient;
use crate::send::Sender;
use crate::wire::decode_identity;

/// What a leader may send of one stream, and of all, before it was taken in. A watch whose reader is slow
/// holds this much at this side, and the leader then waits.
const STREAM_WINDOW: u32 = 1 << 20;
/// More than 64 watches that nobody reads can hold back, so that calls are answered beside them.
const CONNECTION_WINDOW: u32 = 80 << 20;
/// The largest message, whatever a leader says of its own: what a broken one can make this side hold.
const LARGEST: usize = 128 << 20;

pub(crate) type Client = LeaderClient<Sender>;

/// A connection that was made, and what its leader said of itself.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) client: Client,
    sender: Sender,
    /// The token that it shows, to see whether another is at hand.
    token: Option<Secret>,
    pub(crate) described: Described,
}

/// What a leader says of its log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described {
    pub(crate) limits: Limits,
    pub(crate) confirms: bool,
    pub(crate) has_feed: bool,
    pub(crate) max_message: usize,
}

/// # Concurrency
/// One connection serves all calls at once. Whoever finds it broken dials, one at a time; the others
/// wait for that dial, no longer than the connect timeout. After a dial that failed, calls fail at once
/// until the backoff is over: nobody waits for a leader that is not there. A dropped call drops its dial.
pub(crate) struct Link {
    config: GrpcLogConfig,
    target: Target,
    live: ArcSwapOption<Live>,
    /// What the last leader that was reached said of itself: kept while none is.
    known: ArcSwapOption<Described>,
    dialing: tokio::sync::Mutex<()>,
    failed: Mutex<Option<Failed>>,
}

/// Dials that failed in a row.
struct Failed {
    times: u32,
    until: Instant,
    error: Error,
}

impl Link {
    pub(crate) fn new(config: GrpcLogConfig, target: Target) -> Self {
        Self {
            config,
            target,
            live: ArcSwapOption::empty(),
            known: ArcSwapOption::empty(),
            dialing: tokio::sync::Mutex::new(()),
            failed: Mutex::new(None),
        }
    }

    pub(crate) fn config(&self) -> &GrpcLogConfig {
        &self.config
    }

    /// What the leader said of itself, if one was ever reached.
    pub(crate) fn described(&self) -> Option<Described> {
        self.known.load().as_deref().copied()
    }

    /// A connection that is not known to be broken.
    pub(crate) async fn live(&self) -> Result<Arc<Live>> {
        if let Some(live) = self.usable() {
            return Ok(live);
        }
        let _dialing = self.dialing.lock().await;
        if let Some(live) = self.usable() {
            return Ok(live);
        }
        if let Some(failed) = &*self.failed.lock()
            && Instant::now() < failed.until
        {
            return Err(failed.error.clone());
        }
        let limit = self.config.connect_timeout;
        let dialed = timeout(limit, self.dial()).await.unwrap_or_else(|_| {
            let message = format!("the dial took longer than {limit:?}");
            Err(Error::transient(BACKEND, message))
        });
        match dialed {
            Ok(live) => {
                let live = Arc::new(live);
                if self.failed.lock().take().is_some() {
                    tracing::info!(leader = %self.target.authority, "the leader is reached again");
                }
                self.known.store(Some(Arc::new(live.described)));
                self.live.store(Some(live.clone()));
                Ok(live)
            }
            Err(error) => Err(self.dial_failed(error)),
        }
    }

    fn usable(&self) -> Option<Arc<Live>> {
        self.live
            .load_full()
            .filter(|live| !live.sender.is_closed())
    }

    /// Lets the next call dial anew.
    pub(crate) fn give_up(&self, live: &Arc<Live>) {
        let former = self.live.load();
        if former.as_ref().is_some_and(|now| Arc::ptr_eq(now, live)) {
            self.live.store(None);
        }
    }

    fn dial_failed(&self, error: Error) -> Error {
        let mut failed = self.failed.lock();
        let times = failed.as_ref().map_or(0, |failed| failed.times);
        if times == 0 {
            tracing::warn!(leader = %self.target.authority, %error, "the leader is not reached");
        }
        let (min, max) = self.config.backoff;
        let wait = min.saturating_mul(1 << times.min(16)).min(max);
        *failed = Some(Failed {
            times: times.saturating_add(1),
            until: Instant::now() + varied(wait),
            error: error.clone(),
        });
        error
    }

    async fn dial(&self) -> Result<Live> {
        let unreachable = |error: &dyn std::fmt::Display| {
            let message = format!(
                "cannot reach the leader at {}: {error}",
                self.target.authority
            );
            Error::transient(BACKEND, message)
        };
        let token = self.token()?;
        let authorization = token.as_ref().map(authorization).transpose()?;
        let place = (self.target.host.as_str(), self.target.port);
        let stream = TcpStream::connect(place)
            .await
            .map_err(|error| unreachable(&error))?;
        // Small requests must not wait for large ones to fill a packet.
        let _ = stream.set_nodelay(true);
        let connection = match &self.config.tls {
            None => self.handshake(stream).await,
            Some(tls) => {
                let name = tls
                    .server_name(&self.target.host)
                    .map_err(|error| Error::permanent(BACKEND, error.to_string()))?;
                let stream = TlsConnector::from(tls.config())
                    .connect(name, stream)
                    .await
                    .map_err(|error| unreachable(&error))?;
                self.handshake(stream).await
            }
        };
        let connection = connection.map_err(|error| unreachable(&error))?;
        let sender = Sender::new(connection, authorization);
        let origin = Uri::builder()
            .scheme(self.target.scheme.clone())
            .authority(self.target.authority.clone())
            .path_and_query("/")
            .build()
            .map_err(|error| Error::invalid(BACKEND, error.to_string()))?;
        let mut client = LeaderClient::with_origin(sender.clone(), origin);
        let description = client
            .describe(proto::DescribeRequest {})
            .await
            .map_err(|status| Lost::Nothing.failed(&status, None))?
            .into_inner();
        // One that does not say which log it serves is believed nothing else.
        decode_identity(description.identity.clone())
            .map_err(|malformed| Lost::Nothing.malformed(malformed))?;
        let described = Described::of(&description);
        let most = described.max_message;
        Ok(Live {
            client: client
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
            sender,
            token,
            described,
        })
    }

    async fn handshake<I>(
        &self,
        io: I,
    ) -> Result<hyper::client::conn::http2::SendRequest<tonic::body::Body>, hyper::Error>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(self.config.keepalive)
            .keep_alive_timeout(self.config.keepalive_timeout)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(io))
            .await?;
        let leader = self.target.authority.clone();
        // It ends when every sender is dropped, or when the connection breaks.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%leader, %error, "the connection has ended");
            }
        });
        Ok(sender)
    }

    fn token(&self) -> Result<Option<Secret>> {
        match &self.config.token {
            None => Ok(None),
            Some(Token::Given(secret)) => Ok(Some(secret.clone())),
            Some(Token::File(path)) => Secret::from_file(path)
                .map(Some)
                // It may be about to be replaced.
                .map_err(|error| Error::transient(BACKEND, error.to_string())),
        }
    }

    /// Whether the token that the connection shows is no longer the one at hand.
    fn has_another_token(&self, live: &Live) -> bool {
        self.token().is_ok_and(|token| {
            let bytes = |token: &Option<Secret>| token.as_ref().map(|it| it.expose().to_owned());
            bytes(&token) != bytes(&live.token)
        })
    }

    /// Makes a call. It is made a second time if the first was not sent, or was not admitted and there is
    /// another token now: neither has done anything.
    pub(crate) async fn call<Q, T, F, A>(
        &self,
        lost: Lost,
        grain: Option<&GrainId>,
        request: Q,
        call: F,
    ) -> Result<T>
    where
        Q: Clone,
        F: Fn(Client, Q) -> A,
        A: Future<Output = Result<Response<T>, Status>>,
    {
        let limit = self.config.call_timeout;
        let mut again = false;
        loop {
            let live = self.live().await?;
            let answered = timeout(limit, call(live.client.clone(), request.clone())).await;
            let status = match answered {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => {
                    let message = format!("the leader did not answer within {limit:?}");
                    let error = Error::new(lost.kind(), BACKEND, message);
                    return Err(grain.map_or(error.clone(), |grain| error.of(grain)));
                }
            };
            let refused = is_unauthenticated(&status);
            if was_not_sent(&status) || refused {
                self.give_up(&live);
            }
            let retry = was_not_sent(&status) || refused && self.has_another_token(&live);
            if again || !retry {
                return Err(lost.failed(&status, grain));
            }
            again = true;
        }
    }
}

impl Described {
    fn of(description: &proto::Description) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            limits: Limits::default()
                .with_max_payload(size(description.max_payload))
                .with_max_batch_entries(size(description.max_batch_entries))
                .with_max_batch_bytes(size(description.max_batch_bytes)),
            confirms: description.confirms,
            has_feed: description.has_feed,
            // A leader that says nonsense does not get more memory by it.
            max_message: size(description.max_message).clamp(1 << 20, LARGEST),
        }
    }
}

fn authorization(token: &Secret) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
        .map_err(|_| Error::invalid(BACKEND, "the token has characters that cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A wait, longer or shorter by up to a half, so that followers that lost one leader together do not
/// come back together.
fn varied(wait: Duration) -> Duration {
    let drawn = RandomState::new().build_hasher().finish() % 1_000;
    // 500 to 1,499 thousandths.
    wait.saturating_mul(u32::try_from(drawn + 500).unwrap_or(1_000)) / 1_000
}
