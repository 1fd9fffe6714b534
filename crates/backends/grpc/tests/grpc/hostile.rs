//! A peer that speaks HTTP/2 and means no good.

use std::convert::Infallible;

use gleaner_core::{ErrorKind, ReplicationLog};
use gleaner_grpc::GrpcLog;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Answers every call with a status whose details are no base64: in the head, or behind the body.
async fn answers_nonsense(behind: bool) -> GrpcLog {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let service = service_fn(move |_: http::Request<Incoming>| async move {
                    let mut status = http::HeaderMap::new();
                    status.insert("grpc-status", "2".parse().unwrap());
                    status.insert("grpc-status-details-bin", "%%%".parse().unwrap());
                    status.insert("gleaner-error-bin", "%%%".parse().unwrap());
                    let mut response = http::Response::new(if behind {
                        let frames = [Ok::<_, Infallible>(Frame::trailers(status.clone()))];
                        StreamBody::new(futures::stream::iter(frames)).boxed()
                    } else {
                        Full::new(Bytes::new()).boxed()
                    });
                    if !behind {
                        *response.headers_mut() = status;
                    }
                    let kind = "application/grpc".parse().unwrap();
                    response.headers_mut().insert("content-type", kind);
                    Ok::<_, Infallible>(response)
                });
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await
            });
        }
    });
    GrpcLog::builder(url).insecure(true).open().unwrap()
}

#[tokio::test]
async fn a_status_that_is_nonsense_is_an_error_and_no_panic() {
    for behind in [false, true] {
        let log = answers_nonsense(behind).await;
        let error = log.heads(&[]).await.err();
        // `connect` is what fails: nothing was asked that could have happened.
        let error = match error {
            Some(error) => error,
            None => log.connect().await.unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
    }
}
