//! Loom's atomics and lock, and a stand-in for tokio's `Notify` that keeps to its documented contract.

use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};

/// Loom's lock with the face of `parking_lot`'s.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self(loom::sync::Mutex::new(T::default()))
    }
}

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One permit, and one waiter: `notify_one` wakes the waiter or leaves the permit; `notified` takes the
/// permit when it is first polled or waits for it.
#[derive(Debug, Default)]
pub(crate) struct Notify(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    permit: bool,
    waiter: Option<Waker>,
}

impl Notify {
    pub(crate) fn notify_one(&self) {
        let waiter = {
            let mut inner = self.0.lock();
            inner.permit = true;
            inner.waiter.take()
        };
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    pub(crate) const fn notified(&self) -> Notified<'_> {
        Notified(self)
    }
}

pub(crate) struct Notified<'a>(&'a Notify);

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.0.0.lock();
        if std::mem::take(&mut inner.permit) {
            Poll::Ready(())
        } else {
            inner.waiter = Some(cx.waker().clone());
            Poll::Pending
        }
    }
}
