//! What the driver does for the readers of feeds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gleaner_actor::{FeedAction, FeedEvent, FeedReader, Jitter, Moment};
use gleaner_core::{
    Changes, Error, ErrorKind, Filter, GrainId, HeadPage, LogId, Position, ReplicationLog,
};
use tokio::sync::{Notify, oneshot};

use super::Lead;
use super::deal::all;
use super::message::{Message, Strangers};
use super::ops::{self, FeedDone, LeadDone, Telling};
use super::pushes::Listener;
use crate::cell::{Confirmed, FeedNumber};
use crate::clock::Reading;
use crate::reach::Asked;
use crate::settings::LONGEST_WAIT;

/// One filter that is followed, and where its feed is read.
pub(super) struct Feed {
    pub(super) filter: Filter,
    /// Whether new grains that it names are followed.
    pub(super) discover: bool,
    pub(super) reader: FeedReader,
    /// Under which cells name it: none if the log has no feed, or there are too many.
    pub(super) number: Option<FeedNumber>,
    /// Up to when every grain of the filter has been named.
    pub(super) told_all: Option<Reading>,
    pub(super) position: Option<Position>,
    after: Option<GrainId>,
    listing_since: Option<Reading>,
    /// Whose operations count: those of a reader that was replaced do not.
    pub(super) serial: u32,
    /// Ends a wait or backoff early.
    wake: Arc<Notify>,
    /// Ends a wait early, and no backoff: something came unasked that only a page can tell of.
    pub(super) nudge: Arc<Notify>,
    pub(super) listener: Listener,
    waiting: Vec<oneshot::Sender<()>>,
    /// Hints in a row whose page named nothing.
    fruitless: u32,
    /// When the last wait would have ended without a hint.
    rest_until: Moment,
    /// Whether a hint ended it before.
    hinted: bool,
}

impl Feed {
    /// Ends the reader; what is in flight for it is void.
    pub(super) fn end(&mut self) {
        self.serial = self.serial.wrapping_add(1);
        self.listener = Listener::default();
        self.waiting.clear();
    }
}

impl Lead {
    /// The feed that covers a grain followed by name; none if the log has no feed.
    pub(super) fn feed_for(&mut self, grain: &GrainId) -> Option<FeedNumber> {
        if !self.has_feed() {
            return None;
        }
        let known = self
            .feeds
            .iter()
            .position(|feed| feed.filter.includes(grain));
        let index = known.or_else(|| {
            // Beyond what can be numbered a feed would speak for nobody.
            self.next_number()?;
            let feed = self.new_feed(Filter::grain_type(grain.grain_type()), false);
            self.start_feed(feed);
            Some(feed)
        })?;
        self.feeds.get(index)?.number
    }

    pub(super) fn follow_all(&mut self, filter: Filter, reply: oneshot::Sender<()>) {
        let known = self.feeds.iter().position(|feed| feed.filter == filter);
        let index = known.unwrap_or_else(|| self.new_feed(filter, true));
        let policy = self.tools.policy.clone();
        let (jitter, has_feed) = (self.feed_jitter(), self.has_feed());
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        if known.is_some() && feed.discover {
            if feed.reader.has_listed() {
                let _ = reply.send(());
            } else {
                feed.waiting.push(reply);
            }
            return;
        }
        feed.waiting.push(reply);
        feed.discover = true;
        // A feed that served grains by name alone begins anew: its heads were never listed.
        feed.serial = feed.serial.wrapping_add(1);
        // What still waits for the former reader must not take the wake-ups of this one.
        feed.wake = Arc::new(Notify::new());
        feed.nudge = Arc::new(Notify::new());
        feed.reader = FeedReader::new(policy, jitter, has_feed);
        self.tools.shared.listing();
        self.start_feed(index);
    }

    fn start_feed(&mut self, index: usize) {
        self.feed_event(index, FeedEvent::Start);
        self.listen(index);
    }

    fn has_feed(&self) -> bool {
        self.tools.settings.feed && self.tools.log.feed().is_some()
    }

    fn feed_jitter(&self) -> Jitter {
        Jitter::new(self.tools.shared.jitter_seed ^ 0x5eed_feed)
    }

    /// The number of the next feed; none if there can be no more.
    fn next_number(&self) -> Option<FeedNumber> {
        let next = FeedNumber::try_from(self.feeds.len()).ok()?;
        self.tools.shared.feeds.open(next).then_some(next)
    }

    fn new_feed(&mut self, filter: Filter, discover: bool) -> usize {
        let policy = self.tools.policy.clone();
        let reader = FeedReader::new(policy, self.feed_jitter(), self.has_feed());
        let number = self.has_feed().then(|| self.next_number()).flatten();
        self.feeds.push(Feed {
            filter,
            discover,
            reader,
            number,
            told_all: None,
            position: None,
            after: None,
            listing_since: None,
            serial: 0,
            wake: Arc::new(Notify::new()),
            nudge: Arc::new(Notify::new()),
            listener: Listener::default(),
            waiting: Vec::new(),
            fruitless: 0,
            rest_until: Moment::START,
            hinted: false,
        });
        self.feeds.len() - 1
    }

    /// Reads every feed, and polls every grain that none covers, out of turn. A feed that is being
    /// read keeps the wake-up for its next wait, so that a read is sent after this call.
    pub(super) fn poll_all_now(&mut self, reply: Option<oneshot::Sender<()>>) {
        for feed in &self.feeds {
            feed.wake.notify_one();
        }
        let told = self.ask_all(|told| Message::PollNow { told });
        if let Some(reply) = reply {
            self.ops.push(Box::pin(async move {
                if all(told).await.is_none() {
                    return LeadDone::ShardGone;
                }
                let _ = reply.send(());
                LeadDone::Nothing
            }));
        }
    }

    fn feed_event(&mut self, index: usize, event: FeedEvent) {
        let (now, t0) = (self.tools.now(), self.tools.shared.t0());
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        if event == FeedEvent::Woken {
            feed.hinted = now < feed.rest_until;
        }
        let action = feed.reader.on(now, event);
        let (serial, filter) = (feed.serial, feed.filter.clone());
        let (log, store) = (self.tools.log.clone(), self.tools.store.clone());
        let bound = self.tools.shared.bound();
        let limit = self.tools.settings.names_per_page;
        match action {
            FeedAction::Nothing | FeedAction::Stopped => {}
            FeedAction::Start => self.feed_op(index, serial, t0, async move {
                let started = async {
                    let bound = ops::bind(&*log, &*store, bound).await?;
                    let feed = log.feed().ok_or_else(|| (Asked::Feed, no_feed()))?;
                    let position = feed
                        .start(&filter)
                        .await
                        .map_err(|error| (Asked::Feed, error))?;
                    Ok((bound, position))
                };
                FeedDone::Started(started.await)
            }),
            // Grains that are followed by name are asked for by name.
            FeedAction::List if !feed.discover => {
                self.feed_event(index, FeedEvent::Listed { more: false });
            }
            FeedAction::List | FeedAction::ListNext => {
                if action == FeedAction::List {
                    feed.after = None;
                    feed.listing_since = Some(t0);
                }
                let after = feed.after.clone();
                self.feed_op(index, serial, t0, async move {
                    FeedDone::Listed(log.list_heads(&filter, after.as_ref(), limit).await)
                });
            }
            FeedAction::Read => {
                let Some(position) = feed.position.clone() else {
                    return self.feed_event(index, FeedEvent::Expired);
                };
                self.feed_op(index, serial, t0, async move {
                    FeedDone::Page(read(&*log, &position, &filter, limit).await)
                });
            }
            FeedAction::Wait { until } => {
                let wait = until.since(now).min(LONGEST_WAIT);
                let position = feed.position.clone().filter(|_| self.tools.settings.hints);
                let (wake, nudge) = (feed.wake.clone(), feed.nudge.clone());
                let deaf = deafness(feed.fruitless).min(wait);
                feed.rest_until = now.plus(wait);
                self.feed_op(index, serial, t0, async move {
                    let hinted = async {
                        match (&position, log.feed()) {
                            (Some(position), Some(feed)) => {
                                if !deaf.is_zero() {
                                    tokio::time::sleep(deaf).await;
                                }
                                feed.wait(position, wait.saturating_sub(deaf)).await;
                            }
                            _ => tokio::time::sleep(wait).await,
                        }
                    };
                    tokio::select! {
                        biased;
                        () = hinted => {}
                        () = wake.notified() => {}
                        () = nudge.notified() => {}
                    }
                    FeedDone::Woken
                });
            }
            FeedAction::BackOff { until } => {
                let wait = until.since(now).min(LONGEST_WAIT);
                let wake = feed.wake.clone();
                self.feed_op(index, serial, t0, async move {
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(wait) => {}
                        () = wake.notified() => {}
                    }
                    FeedDone::Woken
                });
            }
        }
    }

    fn feed_op(
        &mut self,
        feed: usize,
        serial: u32,
        t0: Reading,
        op: impl Future<Output = FeedDone> + Send + 'static,
    ) {
        self.ops.push(Box::pin(async move {
            LeadDone::Feed {
                feed,
                serial,
                t0,
                outcome: op.await,
            }
        }));
    }

    pub(super) fn feed_done(&mut self, index: usize, serial: u32, t0: Reading, outcome: FeedDone) {
        if self
            .feeds
            .get(index)
            .is_none_or(|feed| feed.serial != serial)
        {
            return;
        }
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::HintConfirms.is_planted()
            && matches!(outcome, FeedDone::Woken)
            && let Some(feed) = self.confirmed(index)
        {
            feed.raise(self.tools.shared.clock.read());
        }
        let event = match outcome {
            FeedDone::Started(Ok((bound, position))) => {
                self.tools.shared.answered(Asked::Feed);
                self.tools.shared.answered(Asked::Binding);
                return self.started(index, t0, &bound, position);
            }
            FeedDone::Started(Err((asked, error))) => {
                self.tools.shared.failed(asked, &error);
                FeedEvent::Failed
            }
            FeedDone::Listed(Ok(page)) => {
                self.tools.shared.answered(Asked::Feed);
                return self.listed(index, t0, page);
            }
            FeedDone::Page(Ok(changes)) => {
                self.tools.shared.answered(Asked::Feed);
                return self.named(index, t0, changes);
            }
            FeedDone::Told(telling) => return self.told(index, t0, telling),
            FeedDone::Listed(Err(error)) | FeedDone::Page(Err(error)) => {
                if error.kind() == ErrorKind::Expired {
                    self.tools.shared.erred(Asked::Feed, &error);
                    tracing::info!(%error, "the feed's position has expired; listing again");
                    FeedEvent::Expired
                } else {
                    self.tools.shared.failed(Asked::Feed, &error);
                    FeedEvent::Failed
                }
            }
            FeedDone::Woken => FeedEvent::Woken,
        };
        self.feed_event(index, event);
    }

    /// There is a position to read on from: what was known before it was taken is in doubt.
    fn started(&mut self, index: usize, t0: Reading, bound: &LogId, position: Position) {
        self.tools.shared.found_bound(bound);
        self.tools.shared.is_foreign(&position.identity().log);
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        feed.position = Some(position);
        let number = feed.number;
        #[cfg(gleaner_plant)]
        let number =
            number.filter(|_| !gleaner_core::plant::Plant::NothingListedAfterExpiry.is_planted());
        let heard = number.map_or_else(Vec::new, |feed| {
            self.ask_all(|told| Message::Doubt { feed, told })
        });
        self.once_told(index, t0, heard, Telling::Started);
    }

    fn listed(&mut self, index: usize, t0: Reading, page: HeadPage) {
        let shared = &self.tools.shared;
        shared.counts.pages.fetch_add(1, Ordering::Relaxed);
        // A head of another log than the store's says nothing of a replica.
        let believed = shared.bound().is_some() && !shared.is_foreign(&page.identity.log);
        let feed = self.feeds.get(index).and_then(|feed| feed.number);
        let strangers = if believed {
            Strangers::Believe { feed, listed: t0 }
        } else {
            Strangers::Follow { feed }
        };
        let heard = self.deal(page.heads.into_iter(), strangers);
        self.once_told(index, t0, heard, Telling::Listed { next: page.next });
    }

    /// A page of changes.
    fn named(&mut self, index: usize, t0: Reading, changes: Changes) {
        let shared = &self.tools.shared;
        shared.counts.pages.fetch_add(1, Ordering::Relaxed);
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        feed.fruitless = if feed.hinted && changes.moved.is_empty() {
            feed.fruitless.saturating_add(1)
        } else {
            0
        };
        let strangers = if feed.discover {
            Strangers::Follow { feed: feed.number }
        } else {
            Strangers::Ignore
        };
        let names = changes.moved.into_iter().map(|it| (it.grain, it.head));
        let heard = self.deal(names, strangers);
        let telling = Telling::Page {
            next: changes.next,
            complete: changes.complete,
            age: changes.age,
        };
        self.once_told(index, t0, heard, telling);
    }

    /// Every actor that a page concerns has been told, and has marked what the page says of no more.
    pub(super) fn told(&mut self, index: usize, t0: Reading, telling: Telling) {
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        let event = match telling {
            Telling::Started => FeedEvent::Started,
            Telling::Listed { next } => {
                let more = next.is_some();
                feed.after = next;
                if !more {
                    feed.told_all = feed.listing_since;
                }
                FeedEvent::Listed { more }
            }
            Telling::Page {
                next,
                complete,
                age,
            } => {
                feed.position = Some(next);
                self.page_told(index, t0, complete, age);
                FeedEvent::Page { complete }
            }
        };
        self.feed_event(index, event);
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        if feed.reader.has_listed() {
            for reply in feed.waiting.drain(..) {
                let _ = reply.send(());
            }
        }
    }

    /// Publishes the T0 of a page whose names are told, if it confirms (C3, C5).
    fn page_told(&mut self, index: usize, t0: Reading, complete: bool, age: Duration) {
        let confirms = self.tools.log.confirms() && complete;
        #[cfg(gleaner_plant)]
        let (confirms, t0) = (
            confirms
                || (complete && gleaner_core::plant::Plant::CopyConfirms.is_planted())
                || gleaner_core::plant::Plant::CutPageConfirms.is_planted(),
            if gleaner_core::plant::Plant::PageConfirmsAtTheReply.is_planted() {
                self.tools.shared.clock.read()
            } else {
                t0
            },
        );
        if !confirms {
            return;
        }
        #[cfg(gleaner_plant)]
        let age = if gleaner_core::plant::Plant::AgeOfTheCacheForgotten.is_planted() {
            Duration::ZERO
        } else {
            age
        };
        let t0 = t0.minus(age);
        if let Some(confirmed) = self.confirmed(index) {
            confirmed.raise(t0);
        }
        if let Some(feed) = self.feeds.get_mut(index) {
            feed.told_all = Some(t0);
        }
        self.tools.shared.confirmed();
        if self.waiters.handed > 0 {
            for shard in &self.shards {
                let _ = shard.send(Message::Confirmed);
            }
        }
    }

    /// Where readers see up to when a feed has confirmed.
    fn confirmed(&self, index: usize) -> Option<&Confirmed> {
        let number = self.feeds.get(index)?.number?;
        self.tools.shared.feeds.get(number)
    }
}

/// How long hints are not listened to after so many in a row whose page named nothing. The first two
/// are free: a hint for what was just read, and one that crossed a page, are common. A log that goes on
/// hinting at nothing, or at grains of other filters, is asked some hundred times a second at most.
pub(super) fn deafness(fruitless: u32) -> Duration {
    match fruitless {
        0..=2 => Duration::ZERO,
        more => Duration::from_millis(1 << (more - 3).min(3)),
    }
}

async fn read(
    log: &dyn ReplicationLog,
    position: &Position,
    filter: &Filter,
    limit: usize,
) -> Result<Changes, Error> {
    let feed = log.feed().ok_or_else(no_feed)?;
    feed.changes(position, filter, limit).await
}

fn no_feed() -> Error {
    Error::transient("follower", "the log has no feed any more")
}
