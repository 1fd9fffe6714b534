//! [`Subscriptions`]: the streams that leaders send of what moves, one a filter.

mod page;
mod state;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gleaner_core::{Filter, Position, Pushed};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tonic::Streaming;

use self::page::Reading;
pub(crate) use self::state::Told;
use self::state::{LISTENS, State};
use crate::error::is_unauthenticated;
use crate::link::{Link, Live};
use crate::proto;
use crate::wire::{encode_filter, encode_position, number};

/// How long a stream that nobody waits for or listens to is kept.
const KEPT: Duration = Duration::from_secs(60);
/// How often it is looked whether anybody does.
const LOOK: Duration = Duration::from_secs(20);
/// The shortest and the longest wait before a stream that ended is begun again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The streams of one log.
pub(crate) struct Subscriptions {
    link: Arc<Link>,
    by_filter: Mutex<HashMap<Filter, Arc<Subscription>>>,
}

/// One filter's stream, and what it has said that nobody was told yet.
///
/// # Concurrency
/// A task reads the stream and puts what it says into the state; whoever waits or listens takes it out.
/// Both wait with their notification armed before they look, so nothing that is put in falls between.
/// The task holds no handle of the log: it is aborted when the last one is dropped.
struct Subscription {
    filter: Filter,
    state: Mutex<State>,
    /// Something was put in, or the stream has ended.
    news: Notify,
    /// Something was taken out.
    room: Notify,
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for subscription in self.by_filter.lock().values() {
            subscription.state.lock().abort();
        }
    }
}

impl Subscriptions {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            by_filter: Mutex::default(),
        }
    }

    fn of(&self, filter: &Filter) -> Arc<Subscription> {
        let mut by_filter = self.by_filter.lock();
        if let Some(known) = by_filter.get(filter) {
            return known.clone();
        }
        let subscription = Arc::new(Subscription {
            filter: filter.clone(),
            state: Mutex::default(),
            news: Notify::new(),
            room: Notify::new(),
        });
        by_filter.insert(filter.clone(), subscription.clone());
        subscription
    }

    /// What the stream has named since a position.
    pub(crate) fn told_since(&self, since: &Position, filter: &Filter) -> Told {
        let known = self.by_filter.lock().get(filter).cloned();
        match known {
            Some(known) if since.filter() == filter => known.state.lock().told_since(since),
            _ => Told::nothing(since),
        }
    }

    /// Waits until the stream has named all up to a position: whether it has, before the time is up.
    pub(crate) async fn reaches(
        &self,
        position: &Position,
        filter: &Filter,
        at_most: Duration,
    ) -> bool {
        let Some(known) = self.by_filter.lock().get(filter).cloned() else {
            return false;
        };
        let reached = async {
            loop {
                let mut news = std::pin::pin!(known.news.notified());
                news.as_mut().enable();
                let reached = known.state.lock().reaches(position);
                match reached {
                    Some(true) => return true,
                    Some(false) => news.await,
                    None => return false,
                }
            }
        };
        timeout(at_most, reached).await.unwrap_or(false)
    }

    /// Whether a stream names what moves within a filter.
    pub(crate) fn is_told(&self, filter: &Filter) -> bool {
        let known = self.by_filter.lock().get(filter).cloned();
        known.is_some_and(|known| known.state.lock().retry_at().is_none())
    }

    /// Returns when the stream has said something that lies after a position and was not handed to who
    /// listens, or when it ended, or after `at_most`.
    pub(crate) async fn wait(&self, since: &Position, at_most: Duration) {
        let subscription = self.of(since.filter());
        let waits = async {
            let _used = Used::new(&subscription);
            loop {
                let mut news = std::pin::pin!(subscription.news.notified());
                news.as_mut().enable();
                let retry = {
                    let state = subscription.state.lock();
                    if state.knows_beyond(since) {
                        return;
                    }
                    state.retry_at()
                };
                match retry {
                    Some(at) if at <= Instant::now() => self.begin(&subscription, since),
                    Some(at) => {
                        tokio::select! {
                            () = sleep_until(at) => continue,
                            () = news => {}
                        }
                    }
                    None => news.await,
                }
                if subscription
                    .state
                    .lock()
                    .retry_at()
                    .is_some_and(|at| at > Instant::now())
                {
                    // It has ended: whether anything was missed is for `changes` to say.
                    return;
                }
            }
        };
        // Elapsed or woken, the caller asks `changes`.
        let _ = timeout(at_most, waits).await;
    }

    /// The next entries that were sent unasked. Waits for a stream that [`Self::wait`] begins.
    pub(crate) async fn pushed(&self, filter: &Filter) -> Pushed {
        let subscription = self.of(filter);
        let _used = Used::new(&subscription);
        let _listening = Listening::new(&subscription);
        loop {
            let mut news = std::pin::pin!(subscription.news.notified());
            news.as_mut().enable();
            let pushed = subscription.state.lock().take_pushed();
            if let Some(pushed) = pushed {
                subscription.room.notify_one();
                // What was handed over is told, and more may be known of.
                subscription.news.notify_waiters();
                return pushed;
            }
            news.await;
        }
    }

    /// Begins the stream, unless it runs.
    fn begin(&self, subscription: &Arc<Subscription>, since: &Position) {
        let mut state = subscription.state.lock();
        if state.retry_at().is_none() {
            return;
        }
        let task = run(self.link.clone(), subscription.clone(), since.clone());
        state.begun(since, tokio::spawn(task).abort_handle());
    }
}

/// Reads a stream to its end.
async fn run(link: Arc<Link>, subscription: Arc<Subscription>, since: Position) {
    let ended = match open(&link, &subscription.filter, &since).await {
        Ok((stream, live)) => {
            let ended = read(&subscription, stream, &since).await;
            if ended == Ended::Refused {
                link.give_up(&live);
            }
            ended
        }
        Err(ended) => ended,
    };
    subscription.state.lock().ended(ended == Ended::Idle, RETRY);
    subscription.news.notify_waiters();
}

/// Why a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// By the leader, or with the connection.
    Cut,
    /// The token is not admitted any more.
    Refused,
    /// Nobody needs it.
    Idle,
}

async fn open(
    link: &Link,
    filter: &Filter,
    since: &Position,
) -> Result<(Streaming<proto::WatchPage>, Arc<Live>), Ended> {
    let request = proto::WatchRequest {
        filter: Some(encode_filter(filter)),
        since: Some(encode_position(since)),
        max_payload: number(link.config().max_pushed),
    };
    let live = link.live().await.map_err(|_| Ended::Cut)?;
    let mut client = live.client.clone();
    match timeout(link.config().call_timeout, client.watch(request)).await {
        Ok(Ok(response)) => Ok((response.into_inner(), live)),
        Ok(Err(status)) => {
            tracing::debug!(%status, "the leader sends nothing unasked");
            Err(Ended::Cut)
        }
        Err(_) => Err(Ended::Cut),
    }
}

async fn read(
    subscription: &Subscription,
    mut stream: Streaming<proto::WatchPage>,
    since: &Position,
) -> Ended {
    let mut reading = Reading::new(since);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let page = tokio::select! {
            page = stream.message() => page,
            _ = look.tick() => {
                if subscription.state.lock().is_unused(KEPT) {
                    return Ended::Idle;
                }
                continue;
            }
        };
        let page = match page {
            Ok(Some(page)) => page,
            Ok(None) => return Ended::Cut,
            Err(status) => {
                tracing::debug!(%status, "the leader's stream has ended");
                return if is_unauthenticated(&status) {
                    Ended::Refused
                } else {
                    Ended::Cut
                };
            }
        };
        let mut page = match reading.page(page, &subscription.filter) {
            Ok(page) => page,
            Err(malformed) => {
                tracing::warn!(%malformed, "the leader's stream is given up");
                return Ended::Cut;
            }
        };
        loop {
            let mut room = std::pin::pin!(subscription.room.notified());
            room.as_mut().enable();
            // A binding, so that the lock is not held over the wait.
            let put = subscription.state.lock().put(page);
            match put {
                Ok(()) => break,
                // The leader waits with this side: nothing more is read until there is room.
                Err(back) => page = back,
            }
            // Whoever listens may have gone: looked at anew after a while.
            let _ = timeout(LISTENS, room).await;
        }
        subscription.news.notify_waiters();
    }
}

/// Somebody waits or listens.
struct Used<'a>(&'a Subscription);

impl<'a> Used<'a> {
    fn new(subscription: &'a Subscription) -> Self {
        subscription.state.lock().used();
        Self(subscription)
    }
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unused();
    }
}

/// Somebody listens.
struct Listening<'a>(&'a Subscription);

impl<'a> Listening<'a> {
    fn new(subscription: &'a Subscription) -> Self {
        subscription.state.lock().listens();
        Self(subscription)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.state.lock().listened();
    }
}
