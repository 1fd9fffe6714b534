//! [`Message`]: what the lead tells a shard.

use gleaner_actor::{Event, Moment, Reply};
use gleaner_core::{GrainId, Head, LogId, PushedRun};
use tokio::sync::oneshot;

use super::Replies;
use super::pushes::Heard;
use crate::cell::FeedNumber;
use crate::clock::Reading;
use crate::control::ControlError;
use crate::follower::CaughtUp;
use crate::settings::Interval;

/// One thing for a shard to do. Messages are taken in the order in which they were sent. Where one is
/// to be answered and its sender is gone, the answer is dropped.
pub(super) enum Message {
    /// These grains have these heads. Answered when each actor has been told, and the shard has room for
    /// more that must be loaded: so a listing does not run ahead of the store.
    Names {
        heads: Vec<(GrainId, Head)>,
        strangers: Strangers,
        told: oneshot::Sender<()>,
    },
    /// The log has sent these unasked to a feed's listener. Answered when each actor has been told, and
    /// the shard has room to hold more: so a log does not run ahead of the store.
    Pushed {
        feed: FeedNumber,
        log: LogId,
        foreign: bool,
        runs: Vec<PushedRun>,
        taken: oneshot::Sender<Heard>,
    },
    /// What was known of the grains that a feed covers is in doubt.
    Doubt {
        feed: FeedNumber,
        told: oneshot::Sender<()>,
    },
    Follow {
        grain: GrainId,
        feed: Option<FeedNumber>,
        interval: Interval,
        reply: oneshot::Sender<()>,
    },
    Unfollow {
        grain: GrainId,
        reply: oneshot::Sender<()>,
    },
    /// Poll the grains that no feed covers.
    PollNow { told: oneshot::Sender<()> },
    /// Answer when every grain is confirmed since a moment, or will not move by waiting.
    CaughtUp {
        since: Moment,
        reply: oneshot::Sender<CaughtUp>,
    },
    /// Feeds have confirmed more: look again who is caught up.
    Confirmed,
    /// The store belongs to another log now: load every grain, and rebase the foreign ones.
    Rebound { reply: oneshot::Sender<Replies> },
    /// Tell one grain's actor.
    Tell {
        grain: GrainId,
        event: Event,
        reply: Told,
    },
    /// Stop every actor, and end.
    Shutdown,
}

/// What to do with named grains that are not followed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Strangers {
    Ignore,
    /// A page of changes: follow them.
    Follow {
        feed: Option<FeedNumber>,
    },
    /// A page of heads, asked for at `listed` from the store's own log: follow them, and believe the
    /// heads.
    Believe {
        feed: Option<FeedNumber>,
        listed: Reading,
    },
}

/// When the teller of an event is answered.
#[derive(Debug)]
pub(super) enum Told {
    /// At once.
    Heard(oneshot::Sender<Result<(), ControlError>>),
    /// Once nothing is in flight for the grain.
    Quiet(oneshot::Sender<Result<(), ControlError>>),
    /// With what the actor replies.
    Decided(oneshot::Sender<Result<Reply, ControlError>>),
}

impl Strangers {
    /// How a grain that is not followed is to be met: by which feed, believing which head.
    pub(super) fn meet(self, head: Head) -> Option<Met> {
        match self {
            Self::Ignore => None,
            Self::Follow { feed } => Some(Met { feed, listed: None }),
            Self::Believe { feed, listed } => Some(Met {
                feed,
                listed: Some((head, listed)),
            }),
        }
    }
}

/// How a grain begins to be followed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Met {
    pub(super) feed: Option<FeedNumber>,
    pub(super) listed: Option<(Head, Reading)>,
}
