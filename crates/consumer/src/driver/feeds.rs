//! What the driver does for the readers of feeds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gleaner_actor::{Event, FeedAction, FeedEvent, FeedReader, Health, Jitter, Moment};
use gleaner_core::{
    Changes, Error, ErrorKind, Filter, GrainId, HeadPage, LogId, Position, ReplicationLog,
};
use tokio::sync::{Notify, oneshot};

use super::ops::{self, Done, FeedDone, RebindReply};
use super::reach::Asked;
use super::{Driver, lines};
use crate::cell::Confirmed;
use crate::clock::Reading;
use crate::follower::FollowError;
use crate::settings::LONGEST_WAIT;

/// One filter that is followed, and where its feed is read.
pub(super) struct Feed {
    pub(super) filter: Filter,
    /// Whether new grains that it names are followed.
    pub(super) discover: bool,
    pub(super) reader: FeedReader,
    /// Up to when the feed confirms the grains that rest in step.
    pub(super) confirmed: Arc<Confirmed>,
    /// Up to when every grain of the filter has been named.
    pub(super) told_all: Option<Reading>,
    position: Option<Position>,
    after: Option<GrainId>,
    listing_since: Option<Reading>,
    /// Whose operations count: those of a reader that was replaced do not.
    serial: u32,
    /// Ends a wait or backoff early.
    wake: Arc<Notify>,
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
        self.waiting.clear();
    }
}

impl Driver {
    /// The feed that covers a grain followed by name; none if the log has no feed.
    pub(super) fn feed_for(&mut self, grain: &GrainId) -> Option<usize> {
        if !self.has_feed() {
            return None;
        }
        let known = self
            .feeds
            .iter()
            .position(|feed| feed.filter.includes(grain));
        Some(known.unwrap_or_else(|| {
            let feed = self.new_feed(Filter::grain_type(grain.grain_type()), false);
            self.feed_event(feed, FeedEvent::Start);
            feed
        }))
    }

    pub(super) fn follow_all(&mut self, filter: Filter, reply: oneshot::Sender<()>) {
        let known = self.feeds.iter().position(|feed| feed.filter == filter);
        let index = known.unwrap_or_else(|| self.new_feed(filter, true));
        let (policy, jitter, has_feed) = (self.policy.clone(), self.feed_jitter(), self.has_feed());
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
        feed.reader = FeedReader::new(policy, jitter, has_feed);
        self.feed_event(index, FeedEvent::Start);
    }

    fn has_feed(&self) -> bool {
        self.settings.feed && self.log.feed().is_some()
    }

    fn feed_jitter(&self) -> Jitter {
        Jitter::new(self.settings.seed ^ 0x5eed_feed)
    }

    fn new_feed(&mut self, filter: Filter, discover: bool) -> usize {
        let reader = FeedReader::new(self.policy.clone(), self.feed_jitter(), self.has_feed());
        self.feeds.push(Feed {
            filter,
            discover,
            reader,
            confirmed: Arc::new(Confirmed::never()),
            told_all: None,
            position: None,
            after: None,
            listing_since: None,
            serial: 0,
            wake: Arc::new(Notify::new()),
            waiting: Vec::new(),
            fruitless: 0,
            rest_until: Moment::START,
            hinted: false,
        });
        self.feeds.len() - 1
    }

    /// Reads every feed, and polls every grain that none covers, out of turn. A feed that is being
    /// read keeps the wake-up for its next wait, so that a read is sent after this call.
    pub(super) fn poll_all_now(&mut self) {
        for feed in &self.feeds {
            feed.wake.notify_one();
        }
        for slot in self.slots.all() {
            if self.slots.get(slot).is_some_and(|slot| slot.feed.is_none()) {
                self.tell(slot, &Event::PollNow);
            }
        }
    }

    fn feed_event(&mut self, index: usize, event: FeedEvent) {
        let (now, t0) = (self.now(), self.t0());
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        if event == FeedEvent::Woken {
            feed.hinted = now < feed.rest_until;
        }
        let action = feed.reader.on(now, event);
        let (serial, filter) = (feed.serial, feed.filter.clone());
        let (log, store, bound) = (self.log.clone(), self.store.clone(), self.bound.clone());
        let limit = self.settings.names_per_page;
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
                let position = feed.position.clone().filter(|_| self.settings.hints);
                let wake = feed.wake.clone();
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
            Done::Feed {
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
            && let Some(feed) = self.feeds.get(index)
        {
            feed.confirmed.raise(self.shared.clock.read());
        }
        let event = match outcome {
            FeedDone::Started(Ok((bound, position))) => {
                self.reach.answered(Asked::Feed);
                self.reach.answered(Asked::Binding);
                self.started(index, bound, position);
                FeedEvent::Started
            }
            FeedDone::Started(Err((asked, error))) => {
                self.reach.failed(asked, &error);
                FeedEvent::Failed
            }
            FeedDone::Listed(Ok(page)) => {
                self.reach.answered(Asked::Feed);
                self.listed(index, t0, page)
            }
            FeedDone::Page(Ok(changes)) => {
                self.reach.answered(Asked::Feed);
                let complete = changes.complete;
                self.named(index, t0, changes);
                FeedEvent::Page { complete }
            }
            FeedDone::Listed(Err(error)) | FeedDone::Page(Err(error)) => {
                if error.kind() == ErrorKind::Expired {
                    tracing::info!(%error, "the feed's position has expired; listing again");
                    FeedEvent::Expired
                } else {
                    self.reach.failed(Asked::Feed, &error);
                    FeedEvent::Failed
                }
            }
            FeedDone::Woken => FeedEvent::Woken,
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

    /// There is a position to read on from. What moved before it was taken is not named by it: every
    /// grain that was asked for before then is asked for again.
    fn started(&mut self, index: usize, bound: LogId, position: Position) {
        self.bound.get_or_insert(bound);
        self.is_foreign(&position.identity().log.clone());
        if let Some(feed) = self.feeds.get_mut(index) {
            feed.position = Some(position);
        }
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::NothingListedAfterExpiry.is_planted() {
            return;
        }
        for slot in self.slots.all() {
            if let Some(doubted) = self.slots.get_mut(slot)
                && doubted.feed == Some(index)
            {
                // A head from before the doubt says nothing any more.
                if let Some(extra) = doubted.extra.as_mut() {
                    extra.listed = None;
                }
                self.tell(slot, &Event::Doubted);
            }
        }
    }

    fn listed(&mut self, index: usize, t0: Reading, page: HeadPage) -> FeedEvent {
        self.shared.counts.pages.fetch_add(1, Ordering::Relaxed);
        let covered = self.has_feed().then_some(index);
        // A head of another log than the store's says nothing of a replica.
        let foreign = self.bound.is_none() || self.is_foreign(&page.identity.log);
        for (grain, head) in page.heads {
            if let Some(followed) = self.shared.find(&grain) {
                self.tell(followed.slot, &Event::Named(head));
            } else if !self.excluded.contains(&grain) {
                self.register(grain, covered, (!foreign).then_some((head, t0)));
            }
        }
        let more = page.next.is_some();
        if let Some(feed) = self.feeds.get_mut(index) {
            feed.after = page.next;
            if !more {
                feed.told_all = feed.listing_since;
            }
        }
        FeedEvent::Listed { more }
    }

    /// A page of changes: every name reaches its actor, which marks what it says of no more, before
    /// the page's T0 is published for the others (C3, C5).
    fn named(&mut self, index: usize, t0: Reading, changes: Changes) {
        self.shared.counts.pages.fetch_add(1, Ordering::Relaxed);
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        feed.fruitless = if feed.hinted && changes.moved.is_empty() {
            feed.fruitless.saturating_add(1)
        } else {
            0
        };
        let discover = feed.discover;
        for moved in changes.moved {
            if let Some(followed) = self.shared.find(&moved.grain) {
                #[cfg(gleaner_plant)]
                if gleaner_core::plant::Plant::PositionBeforeItsNames.is_planted()
                    && self
                        .slots
                        .get(followed.slot)
                        .is_some_and(|slot| slot.actor.is_busy())
                {
                    continue;
                }
                self.tell(followed.slot, &Event::Named(moved.head));
            } else if discover && !self.excluded.contains(&moved.grain) {
                self.register(moved.grain, Some(index), None);
            }
        }
        let confirms = self.log.confirms() && changes.complete;
        let Some(feed) = self.feeds.get_mut(index) else {
            return;
        };
        feed.position = Some(changes.next);
        #[cfg(gleaner_plant)]
        let (confirms, t0) = (
            confirms
                || (changes.complete && gleaner_core::plant::Plant::CopyConfirms.is_planted())
                || gleaner_core::plant::Plant::CutPageConfirms.is_planted(),
            if gleaner_core::plant::Plant::PageConfirmsAtTheReply.is_planted() {
                self.shared.clock.read()
            } else {
                t0
            },
        );
        if confirms {
            let age = changes.age;
            #[cfg(gleaner_plant)]
            let age = if gleaner_core::plant::Plant::AgeOfTheCacheForgotten.is_planted() {
                Duration::ZERO
            } else {
                age
            };
            let t0 = t0.minus(age);
            feed.confirmed.raise(t0);
            feed.told_all = Some(t0);
            self.shared.confirmed();
        }
    }

    pub(super) fn rebind(&mut self, reply: RebindReply) {
        let (log, store) = (self.log.clone(), self.store.clone());
        self.ops
            .push(ops::rebind(log, store, self.bound.clone(), reply));
    }

    /// The store belongs to the followed log now: every grain is loaded again, and the replicas that
    /// are foreign to it are told to rebase.
    pub(super) fn rebound(&mut self, result: Result<LogId, Error>, reply: RebindReply) {
        let log = match result {
            Ok(log) => log,
            Err(error) => {
                let _ = reply.send(Err(FollowError::Failed(error)));
                return;
            }
        };
        lines::rebound(&log);
        self.is_foreign(&log);
        self.bound = Some(log);
        let mut replies = Vec::new();
        for number in self.slots.all() {
            let Some(slot) = self.slots.get(number) else {
                continue;
            };
            let (health, cursor) = (slot.actor.health(), slot.actor.cursor());
            self.tell(number, &Event::Doubted);
            if health == Health::Foreign && cursor != gleaner_core::Cursor::ZERO {
                let (asker, answer) = oneshot::channel();
                self.decide(number, &Event::Rebase { expected: cursor }, asker);
                replies.push(answer);
            }
        }
        let _ = reply.send(Ok(replies));
    }
}

/// How long hints are not listened to after so many in a row whose page named nothing. The first two
/// are free: a hint for what was just read, and one that crossed a page, are common. A log that goes on
/// hinting at nothing, or at grains of other filters, is asked some hundred times a second at most.
fn deafness(fruitless: u32) -> Duration {
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
