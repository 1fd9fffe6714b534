//! [`Sender`]: one connection, as the generated client wants it.

use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::HeaderValue;
use http_body_util::BodyExt;
use hyper::body::Frame;
use hyper::client::conn::http2::SendRequest;
use tonic::body::Body;
use tower_service::Service;

/// Sends requests on one connection, each with the token. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Sender {
    connection: SendRequest<Body>,
    authorization: Option<HeaderValue>,
}

/// The connection was gone before the request was sent: nothing happened.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection was gone before the request was sent")]
pub(crate) struct NotSent;

impl Sender {
    pub(crate) fn new(connection: SendRequest<Body>, authorization: Option<HeaderValue>) -> Self {
        Self {
            connection,
            authorization,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.connection.is_closed()
    }
}

impl Service<http::Request<Body>> for Sender {
    type Response = http::Response<Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connection
            .poll_ready(context)
            .map_err(|_| Box::new(NotSent).into())
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(token) = &self.authorization {
            let name = http::header::AUTHORIZATION;
            request.headers_mut().insert(name, token.clone());
        }
        let sent = self.connection.try_send_request(request);
        Box::pin(async move {
            match sent.await {
                Ok(response) => Ok(harmless(response)),
                Err(error) if error.message().is_some() => Err(Box::new(NotSent).into()),
                Err(error) => Err(error.into_error().into()),
            }
        })
    }
}

/// gRPC's details of a status, which this protocol does not use and whose decoder panics over bytes that
/// are no base64: a leader must not be able to end a follower with one header.
const DETAILS: &str = "grpc-status-details-bin";

fn harmless(mut response: http::Response<hyper::body::Incoming>) -> http::Response<Body> {
    response.headers_mut().remove(DETAILS);
    response.map(|body| {
        Body::new(body.map_frame(|frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                trailers.remove(DETAILS);
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }))
    })
}
