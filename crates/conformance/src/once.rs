//! [`poll_once`]: a future polled a single time, to be dropped half-way.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// What the future gives at its next poll, or none if it is still pending.
pub(crate) async fn poll_once<F: Future + Send + ?Sized>(
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}
