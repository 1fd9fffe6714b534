//! What the lead tells the shards, and that they have heard it.

use gleaner_core::{GrainId, Head};
use tokio::sync::oneshot;

use super::Lead;
use super::message::{Message, Strangers};
use super::ops::{FeedDone, LeadDone, Telling};
use crate::clock::Reading;

impl Lead {
    /// Asks every shard; what comes when each has answered.
    pub(super) fn ask_all<T>(
        &self,
        message: impl Fn(oneshot::Sender<T>) -> Message,
    ) -> Vec<oneshot::Receiver<T>> {
        let ask = |shard| self.ask(shard, &message);
        (0..self.shards.len()).map(ask).collect()
    }

    pub(super) fn ask<T>(
        &self,
        shard: usize,
        message: impl FnOnce(oneshot::Sender<T>) -> Message,
    ) -> oneshot::Receiver<T> {
        let (reply, answer) = oneshot::channel();
        self.send(shard, message(reply));
        answer
    }

    /// Deals names out to the shards that own the grains; what comes when each has told its actors.
    pub(super) fn deal(
        &self,
        heads: impl Iterator<Item = (GrainId, Head)>,
        strangers: Strangers,
    ) -> Vec<oneshot::Receiver<()>> {
        let mut hands: Vec<Vec<(GrainId, Head)>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (grain, head) in heads {
            if let Some(hand) = hands.get_mut(self.shard_of(&grain)) {
                hand.push((grain, head));
            }
        }
        let dealt = hands.into_iter().enumerate();
        dealt
            .filter(|(_, heads)| !heads.is_empty())
            .map(|(shard, heads)| {
                self.ask(shard, |told| Message::Names {
                    heads,
                    strangers,
                    told,
                })
            })
            .collect()
    }

    /// Goes on once the shards have been told; at once if there was nothing to tell.
    pub(super) fn once_told(
        &mut self,
        index: usize,
        t0: Reading,
        heard: Vec<oneshot::Receiver<()>>,
        telling: Telling,
    ) {
        let Some(feed) = self.feeds.get(index) else {
            return;
        };
        let (feed, serial) = (index, feed.serial);
        if heard.is_empty() {
            self.told(index, t0, telling);
            return;
        }
        self.ops.push(Box::pin(async move {
            if all(heard).await.is_none() {
                return LeadDone::ShardGone;
            }
            LeadDone::Feed {
                feed,
                serial,
                t0,
                outcome: FeedDone::Told(telling),
            }
        }));
    }
}

/// What all have answered; none if one that was asked is gone.
pub(super) async fn all<T>(answers: Vec<oneshot::Receiver<T>>) -> Option<Vec<T>> {
    let mut all = Vec::with_capacity(answers.len());
    for answer in answers {
        all.push(answer.await.ok()?);
    }
    Some(all)
}
