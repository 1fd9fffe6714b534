//! What holds of the log for all histories, batches, pages and budgets, and not only for those one
//! thinks of. A failure prints the input that it was shrunk to.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test; clippy's exception for tests does not reach strategies"
)]

mod batches;
mod feeds;
mod histories;
mod truncation;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::ProptestConfig;

/// As many cases as proptest's default; no file of failures is kept beside the sources.
fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The memory log awaits nothing: a call is over when it was polled once.
fn now<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a call of the memory log waits for something"),
    }
}
