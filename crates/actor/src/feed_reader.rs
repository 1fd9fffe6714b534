//! [`FeedReader`]: what the reader of one feed, on behalf of all grains in a filter, decides.

use std::sync::Arc;

use crate::{Jitter, Moment, Policy};

/// One thing that happened to the reader of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEvent {
    /// The filter is followed from now on.
    Start,
    /// The feed gave its end, to read on from.
    Started,
    /// The log gave a page of heads; whether there are more.
    Listed {
        /// Whether another page follows.
        more: bool,
    },
    /// The feed gave a page of changes; whether it reaches the end.
    Page {
        /// Whether nothing lay beyond it.
        complete: bool,
    },
    /// The position is of no use any more.
    Expired,
    /// Log or feed could not be asked.
    Failed,
    /// The wait is over: a hint came, or the time, or somebody asked to look now.
    Woken,
    /// Told to end.
    Stop,
}

/// One thing to do for the reader of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the action is to be performed"]
pub enum FeedAction {
    /// Go on with what is under way.
    Nothing,
    /// Take the feed's end. If the reader had one before, every grain of the filter is in doubt.
    Start,
    /// List heads from the beginning.
    List,
    /// List the next page of heads.
    ListNext,
    /// Read changes from the position.
    Read,
    /// Wait for a hint, at most until this moment, then send `Woken`.
    Wait {
        /// When at the latest.
        until: Moment,
    },
    /// Wait until this moment, hints or not, then send `Woken`.
    BackOff {
        /// When.
        until: Moment,
    },
    /// The reader has ended.
    Stopped,
}

/// What is true of the feed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// There is no position of use; one is asked for.
    Starting,
    /// The position is taken; heads are listed, so that nothing before it is missed.
    Listing {
        again: bool,
    },
    /// Changes are asked for.
    Reading,
    /// All that is known has been told; a hint or the interval is waited for.
    Waiting,
    /// Log or feed failed; what was under way is tried again.
    BackingOff(Then),
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Start,
    List,
    ListNext,
    Read,
}

/// Reads one feed for all grains in a filter: start, list heads, then changes for ever (F3).
///
/// # Contract
/// One event in, one action out. A position is read from only after every page of heads has been
/// listed; an expired one is replaced and the listing done anew. While there is more, it reads on at
/// once; a failure costs a jittered backoff and loses nothing.
#[derive(Debug, Clone)]
pub struct FeedReader {
    policy: Arc<Policy>,
    jitter: Jitter,
    state: State,
    failures: u8,
    listed: bool,
    /// A log without a feed is followed by listing over and over.
    listing_only: bool,
}

impl FeedReader {
    /// A reader that has not started. Without a feed (`has_feed` false) it lists every interval.
    pub const fn new(policy: Arc<Policy>, jitter: Jitter, has_feed: bool) -> Self {
        Self {
            policy,
            jitter,
            state: State::New,
            failures: 0,
            listed: false,
            listing_only: !has_feed,
        }
    }

    /// Whether every head was listed since the last start: what the log held then is known.
    pub const fn has_listed(&self) -> bool {
        self.listed
    }

    /// What `event` leads to at `now`.
    pub fn on(&mut self, now: Moment, event: FeedEvent) -> FeedAction {
        match (self.state, event) {
            (State::Stopped, _) => FeedAction::Stopped,
            (_, FeedEvent::Stop) => {
                self.state = State::Stopped;
                FeedAction::Stopped
            }
            (State::New, FeedEvent::Start) => self.begin(),
            (State::Starting, FeedEvent::Started) => self.list(),
            (State::Listing { .. }, FeedEvent::Listed { more: true }) => {
                self.failures = 0;
                self.state = State::Listing { again: true };
                FeedAction::ListNext
            }
            (State::Listing { .. }, FeedEvent::Listed { more: false }) => {
                self.failures = 0;
                self.listed = true;
                if self.listing_only {
                    self.wait(now)
                } else {
                    self.read()
                }
            }
            (State::Reading, FeedEvent::Page { complete }) => {
                self.failures = 0;
                if complete {
                    self.wait(now)
                } else {
                    self.read()
                }
            }
            (State::Reading | State::Listing { .. } | State::Starting, FeedEvent::Expired) => {
                self.listed = false;
                // Begin anew, but not in a hot loop: an identity that flaps expires every position.
                self.back_off(now, Then::Start)
            }
            (State::Starting, FeedEvent::Failed) => self.back_off(now, Then::Start),
            (State::Listing { again: false }, FeedEvent::Failed) => self.back_off(now, Then::List),
            (State::Listing { again: true }, FeedEvent::Failed) => {
                self.back_off(now, Then::ListNext)
            }
            (State::Reading, FeedEvent::Failed) => self.back_off(now, Then::Read),
            (State::Waiting, FeedEvent::Woken) => {
                if self.listing_only {
                    self.list()
                } else {
                    self.read()
                }
            }
            (State::BackingOff(then), FeedEvent::Woken) => match then {
                Then::Start => self.begin(),
                Then::List => self.list(),
                Then::ListNext => {
                    self.state = State::Listing { again: true };
                    FeedAction::ListNext
                }
                Then::Read => self.read(),
            },
            _ => FeedAction::Nothing,
        }
    }

    fn begin(&mut self) -> FeedAction {
        if self.listing_only {
            return self.list();
        }
        self.state = State::Starting;
        FeedAction::Start
    }

    fn list(&mut self) -> FeedAction {
        self.state = State::Listing { again: false };
        FeedAction::List
    }

    fn read(&mut self) -> FeedAction {
        self.state = State::Reading;
        FeedAction::Read
    }

    fn wait(&mut self, now: Moment) -> FeedAction {
        self.state = State::Waiting;
        FeedAction::Wait {
            until: now.plus(self.policy.rest(&mut self.jitter)),
        }
    }

    fn back_off(&mut self, now: Moment, then: Then) -> FeedAction {
        self.failures = self.failures.saturating_add(1);
        self.state = State::BackingOff(then);
        let wait = self.policy.backoff(self.failures, &mut self.jitter);
        FeedAction::BackOff {
            until: now.plus(wait),
        }
    }
}
