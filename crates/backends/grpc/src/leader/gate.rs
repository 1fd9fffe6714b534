//! [`Gate`]: who is let through to the calls, and how many at once.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http_body_util::Limited;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tower_service::Service as _;

use super::counts::Counts;
use super::service::Service;
use super::settings::LeaderSettings;
use crate::proto::leader_server::LeaderServer;
use crate::wire::clipped;

/// How long a call waits for its turn.
const TURN: Duration = Duration::from_secs(1);
/// The one call that lasts: it takes no turn from the others.
const WATCH: &str = "/gleaner.v1.Leader/Watch";
/// The one call that brings payloads.
const APPEND: &str = "/gleaner.v1.Leader/Append";
/// The largest request that brings none: a few thousand grains with the longest of names.
const ASKING: usize = 8 << 20;
/// How many connections it takes to have all turns.
const SHARE: usize = 4;
/// How soon it is looked again whether an answer has left, at the soonest.
const LOOK: Duration = Duration::from_millis(10);
/// How much of a path from anybody goes into the leader's log, in bytes.
const SHOWN: usize = 64;

/// Lets calls through: first who it is, then whether there is room, and only then is a body read.
///
/// A call has its turn until its answer has left, so the turns bound the memory of requests and answers. A
/// connection has a quarter of them at the most, and one whose peer does not take an answer in is closed
/// after twice the call timeout: who reads nothing holds up himself.
#[derive(Clone)]
pub(super) struct Gate {
    server: LeaderServer<Service>,
    service: Service,
    settings: Arc<LeaderSettings>,
    counts: Arc<Counts>,
    turns: Arc<Semaphore>,
    own: Arc<Own>,
}

/// What is one connection's own.
struct Own {
    peer: Option<SocketAddr>,
    turns: Arc<Semaphore>,
    /// How many more watches it may have. Half of its streams are kept for calls: watches that took them
    /// all would leave nothing to confirm an age with.
    watches: Arc<Semaphore>,
    admitted: AtomicBool,
    /// When the answers that have not left yet were ready.
    answers: Mutex<Vec<(u64, Instant)>>,
}

impl Own {
    fn new(peer: Option<SocketAddr>, settings: &LeaderSettings) -> Self {
        let watches = usize::try_from(settings.max_streams / 2).unwrap_or(1);
        Self {
            peer,
            turns: Arc::new(Semaphore::new((settings.max_calls / SHARE).max(1))),
            watches: Arc::new(Semaphore::new(watches.max(1))),
            admitted: AtomicBool::new(false),
            answers: Mutex::default(),
        }
    }
}

impl Gate {
    pub(super) fn new(
        service: Service,
        settings: Arc<LeaderSettings>,
        counts: Arc<Counts>,
    ) -> Self {
        let server = LeaderServer::new(service.clone())
            .max_decoding_message_size(settings.max_message)
            .max_encoding_message_size(settings.max_message);
        Self {
            server,
            service,
            turns: Arc::new(Semaphore::new(settings.max_calls)),
            own: Arc::new(Own::new(None, &settings)),
            settings,
            counts,
        }
    }

    /// The gate of one connection.
    pub(super) fn of_connection(&self, peer: SocketAddr) -> Self {
        Self {
            own: Arc::new(Own::new(Some(peer), &self.settings)),
            ..self.clone()
        }
    }

    /// Whether a call of this connection was admitted.
    pub(super) fn is_admitted(&self) -> bool {
        self.own.admitted.load(Ordering::Relaxed)
    }

    /// Returns when an answer has waited too long for the peer to take it in.
    pub(super) async fn stuck(&self) {
        let limit = self.settings.call_timeout.saturating_mul(2);
        loop {
            let oldest = self.own.answers.lock().iter().map(|(_, at)| *at).min();
            let waited = oldest.map_or(Duration::ZERO, |at| at.elapsed());
            if waited >= limit {
                tracing::warn!(peer = ?self.own.peer, "an answer is not taken in: the connection is closed");
                return;
            }
            sleep(limit.saturating_sub(waited).max(LOOK)).await;
        }
    }

    async fn pass(
        mut self,
        mut request: http::Request<Incoming>,
    ) -> Result<http::Response<Body>, Status> {
        let number = self.counts.calls.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path();
        let admitted = self.service.access.admit(bearer(request.headers()));
        let grant = admitted.map_err(|refused| {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            let call = clipped(path, SHOWN);
            tracing::warn!(peer = ?self.own.peer, call, %refused, "refused");
            Status::unauthenticated(refused.to_string())
        })?;
        self.own.admitted.store(true, Ordering::Relaxed);
        let most = if path == APPEND {
            self.settings.max_message
        } else {
            ASKING
        };
        let lasts = path == WATCH;
        request.extensions_mut().insert(grant);
        if lasts {
            let watch = self.own.watches.clone().try_acquire_owned();
            let watch = watch
                .map_err(|_| Status::resource_exhausted("too many watches on one connection"))?;
            request.extensions_mut().insert(Arc::new(watch));
        }
        let turn = if lasts {
            None
        } else {
            Some(self.turn().await?)
        };
        // What stands before a message says how long it is.
        let request = request.map(|body| Body::new(Limited::new(body, most.saturating_add(5))));
        let answered = timeout(self.settings.call_timeout, self.server.call(request)).await;
        match (answered, turn) {
            (Ok(Ok(response)), None) => Ok(response),
            (Ok(Ok(response)), Some(turn)) => {
                Ok(response.map(|body| Leaving::body(body, number, turn, self.own)))
            }
            (Ok(Err(never)), _) => match never {},
            // What it was doing may have been done.
            (Err(_), _) => Err(Status::deadline_exceeded("the call took too long")),
        }
    }

    /// The connection's and the leader's.
    async fn turn(&self) -> Result<[OwnedSemaphorePermit; 2], Status> {
        let both = async {
            let own = self.own.turns.clone().acquire_owned().await?;
            let all = self.turns.clone().acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>([own, all])
        };
        let turn = timeout(TURN, both).await;
        turn.map_err(|_| Status::resource_exhausted("too many calls at once"))?
            .map_err(|_| Status::unavailable("the leader has ended"))
    }
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

/// The token of a request, if it carries one that is text.
fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    headers
        .get(http::header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// An answer on its way out, which keeps its turn until it has left.
struct Leaving {
    body: Body,
    number: u64,
    own: Arc<Own>,
    _turn: [OwnedSemaphorePermit; 2],
}

impl Leaving {
    fn body(body: Body, number: u64, turn: [OwnedSemaphorePermit; 2], own: Arc<Own>) -> Body {
        own.answers.lock().push((number, Instant::now()));
        Body::new(Self {
            body,
            number,
            own,
            _turn: turn,
        })
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        let mut answers = self.own.answers.lock();
        answers.retain(|(number, _)| *number != self.number);
    }
}

impl hyper::body::Body for Leaving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
