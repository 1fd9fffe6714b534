//! [`Middle`]: a leader that passes every call on to an honest one, and lies about what it was told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use futures::stream::BoxStream;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tonic::{Request, Response, Status};
use tower_service::Service as _;

use super::lies::Lie;
use crate::raw::proto::leader_server::LeaderServer;
use crate::raw::{Client, client, proto};

pub(super) struct Middle {
    pub(super) address: SocketAddr,
    lies: Lies,
    serving: AbortHandle,
}

/// What it lies about now, in the answers to which call, and how often it has.
#[derive(Clone, Default)]
struct Lies(Arc<Told>);

#[derive(Default)]
struct Told {
    now: Mutex<Option<(&'static str, Lie)>>,
    times: AtomicUsize,
}

impl Lies {
    fn told(&self, call: &str, tell: impl FnOnce(Lie) -> bool) {
        let lie = *self.0.now.lock();
        if lie.is_some_and(|(about, lie)| about == call && tell(lie)) {
            self.0.times.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Middle {
    /// Before an honest leader.
    pub(super) async fn before(leader: SocketAddr) -> Self {
        let lies = Lies::default();
        let service = LeaderServer::new(Service {
            to: client(leader, None).await,
            lies: lies.clone(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let service = service.clone();
                let service = service_fn(move |request| service.clone().call(request));
                connections.spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            address,
            lies,
            serving: serving.abort_handle(),
        }
    }

    /// From now on; none: it is honest.
    pub(super) fn lie(&self, lie: Option<(&'static str, Lie)>) {
        *self.lies.0.now.lock() = lie;
        self.lies.0.times.store(0, Ordering::SeqCst);
    }

    /// How often it has lied since then.
    pub(super) fn told(&self) -> usize {
        self.lies.0.times.load(Ordering::SeqCst)
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct Service {
    to: Client,
    lies: Lies,
}

type Answer<T> = Result<Response<T>, Status>;

/// Passes each call on, and its answer through a lie.
macro_rules! passed {
    ($($call:ident($request:ident) -> $answer:ident: $lie:expr;)*) => {
        #[tonic::async_trait]
        impl proto::leader_server::Leader for Service {
            $(async fn $call(
                &self,
                request: Request<proto::$request>,
            ) -> Answer<proto::$answer> {
                let asked = request.into_inner();
                let mut answer = self.to.clone().$call(asked.clone()).await?.into_inner();
                let call = stringify!($call);
                let tell: fn(Lie, &proto::$request, &mut proto::$answer) -> bool = $lie;
                self.lies.told(call, |lie| tell(lie, &asked, &mut answer));
                Ok(Response::new(answer))
            })*

            type WatchStream = BoxStream<'static, Result<proto::WatchPage, Status>>;

            async fn watch(
                &self,
                request: Request<proto::WatchRequest>,
            ) -> Answer<Self::WatchStream> {
                let asked = request.into_inner();
                let pages = self.to.clone().watch(asked).await?.into_inner();
                let lies = self.lies.clone();
                let pages = pages.map(move |page| {
                    let mut page = page?;
                    lies.told("watch", |lie| lie.watch(&mut page));
                    Ok(page)
                });
                Ok(Response::new(pages.boxed()))
            }
        }
    };
}

passed! {
    describe(DescribeRequest) -> Description: |lie, _, answer| lie.describe(answer);
    append(AppendRequest) -> AppendAnswer: |lie, _, answer| lie.append(answer);
    claim(ClaimRequest) -> ClaimAnswer: |lie, _, answer| lie.claim(answer);
    heads(HeadsRequest) -> HeadsAnswer: |lie, _, answer| lie.heads(answer);
    list_heads(ListHeadsRequest) -> ListHeadsAnswer: Lie::list_heads;
    read_from(ReadFromRequest) -> ReadFromAnswer: |lie, _, answer| lie.read_from(answer);
    catch_up(CatchUpRequest) -> CatchUpAnswer: |lie, _, answer| lie.catch_up(answer);
    truncate(TruncateRequest) -> TruncateAnswer: |_, _, _| false;
    start(StartRequest) -> StartAnswer: |lie, _, answer| lie.start(answer);
    changes(ChangesRequest) -> ChangesAnswer: Lie::changes;
}
