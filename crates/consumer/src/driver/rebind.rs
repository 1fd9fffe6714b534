//! The store is given to another log.

use gleaner_core::{Error, LogId};

use super::deal::all;
use super::message::Message;
use super::ops::{self, LeadDone, RebindReply};
use super::{Lead, lines};
use crate::follower::FollowError;

impl Lead {
    pub(super) fn rebind(&mut self, reply: RebindReply) {
        let (log, store) = (self.tools.log.clone(), self.tools.store.clone());
        let bound = self.tools.shared.bound();
        self.ops.push(ops::rebind(log, store, bound, reply));
    }

    /// The store belongs to the followed log now: the shards look at every grain.
    pub(super) fn rebound(&mut self, result: Result<LogId, Error>, reply: RebindReply) {
        let log = match result {
            Ok(log) => log,
            Err(error) => {
                let _ = reply.send(Err(FollowError::Failed(error)));
                return;
            }
        };
        lines::rebound(&log);
        self.tools.shared.is_foreign(&log);
        self.tools.shared.rebound(log);
        let answers = self.ask_all(|reply| Message::Rebound { reply });
        self.ops.push(Box::pin(async move {
            let Some(parts) = all(answers).await else {
                return LeadDone::ShardGone;
            };
            let replies = parts.into_iter().flatten().collect();
            let _ = reply.send(Ok(replies));
            LeadDone::Nothing
        }));
    }
}
