//! What the lead tells the shards, and that they have heard it.

use gleaner_core::{GrainId, Head};
use tokio::sync::oneshot;

use super::Lead;
use super::message::{Message, Strangers};
use super::ops::{FeedDone, LeadDone, Telling};
use crate::clock::Reading;

impl Lead {
    /// Tells every shard; what comes when each has heard it.
    pub(super) fn tell_all(
        &self,
        message: impl Fn(oneshot::Sender<()>) -> Message,
    ) -> Vec<oneshot::Receiver<()>> {
        let tell = |shard| {
            let (told, heard) = oneshot::channel();
            self.send(shard, message(told));
            heard
        };
        (0..self.shards.len()).map(tell).collect()
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
                let (told, heard) = oneshot::channel();
                let names = Message::Names {
                    heads,
                    strangers,
                    told,
                };
                self.send(shard, names);
                heard
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
            if !all(heard).await {
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

/// Whether all have heard; not if one that was to is gone.
pub(super) async fn all(heard: Vec<oneshot::Receiver<()>>) -> bool {
    for one in heard {
        if one.await.is_err() {
            return false;
        }
    }
    true
}
