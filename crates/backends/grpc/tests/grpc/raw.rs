//! [`Client`]: the protocol without [`GrpcLog`](gleaner_grpc::GrpcLog), for what that would never send.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::body::Body;

/// What the compiler of the protocol made of it, once more: the crate keeps its own to itself.
#[expect(
    unreachable_pub,
    clippy::pedantic,
    clippy::allow_attributes,
    reason = "generated"
)]
pub(crate) mod proto {
    include!(concat!(env!("OUT_DIR"), "/gleaner.v1.rs"));
}

pub(crate) type Client = proto::leader_client::LeaderClient<Sender>;

/// Sends requests on one connection, each with a token or none.
#[derive(Clone)]
pub(crate) struct Sender {
    connection: SendRequest<Body>,
    authorization: Option<HeaderValue>,
}

/// A connection of HTTP/2, without TLS.
pub(crate) async fn connection(leader: SocketAddr) -> SendRequest<Body> {
    let stream = TcpStream::connect(leader).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

/// A client that shows what it is given as its `authorization`.
pub(crate) async fn client(leader: SocketAddr, authorization: Option<&str>) -> Client {
    let sender = Sender {
        connection: connection(leader).await,
        authorization: authorization.map(|value| value.parse().unwrap()),
    };
    let origin: Uri = format!("http://{leader}").parse().unwrap();
    Client::with_origin(sender, origin)
}

impl tower_service::Service<Request<Body>> for Sender {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(value) = &self.authorization {
            let name = http::header::AUTHORIZATION;
            request.headers_mut().insert(name, value.clone());
        }
        Box::pin(self.connection.send_request(request))
    }
}
