//! [`GrainControl`]: what an operator may tell one followed grain.

use gleaner_actor::{Event, Health, Refusal, Reply};
use gleaner_core::{Cursor, GrainId};
use tokio::sync::{mpsc, oneshot};

use crate::driver::Command;
use crate::shared::Shared;
use std::sync::Arc;

/// Why a command to a grain was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The grain is not followed any more.
    #[error("the grain is not followed")]
    NotFollowed,
    /// The follower has ended.
    #[error("the follower has ended")]
    Ended,
    /// Refused; nothing has changed.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// Log or store failed under it: look at the replica, then decide.
    #[error("log or store failed; whether the replica was changed is unknown")]
    Failed,
}

/// Controls one followed grain. Cheap to clone; does not keep the follower running.
#[derive(Debug, Clone)]
pub struct GrainControl {
    grain: GrainId,
    shared: Arc<Shared>,
    commands: mpsc::WeakSender<Command>,
}

impl GrainControl {
    pub(crate) fn new(
        grain: GrainId,
        shared: Arc<Shared>,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        Self {
            grain,
            shared,
            commands,
        }
    }

    /// The grain.
    pub fn grain(&self) -> &GrainId {
        &self.grain
    }

    /// How its replica stands; none if it is not followed any more.
    pub fn health(&self) -> Option<Health> {
        let standing = self.shared.standing_of(&self.grain)?;
        Some(standing.health)
    }

    /// Stops polling and applying once the operation in flight has ended, and returns then (T1). The
    /// replica is served on; its age grows.
    ///
    /// # Errors
    /// `NotFollowed`, `Ended`.
    ///
    /// # Cancel safety
    /// The grain pauses all the same.
    pub async fn pause(&self) -> Result<(), ControlError> {
        self.quiet(Event::Pause).await
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// `NotFollowed`, `Ended`.
    ///
    /// # Cancel safety
    /// The grain goes on all the same.
    pub async fn resume(&self) -> Result<(), ControlError> {
        self.tell(Event::Resume).await
    }

    /// Polls at once, out of turn and out of any backoff.
    ///
    /// # Errors
    /// `NotFollowed`, `Ended`.
    ///
    /// # Cancel safety
    /// The grain polls all the same.
    pub async fn poll_now(&self) -> Result<(), ControlError> {
        self.tell(Event::PollNow).await
    }

    /// Gives up the quarantined entry at `expected`: the replica moves on to the next base above it
    /// when there is one, and waits served and marked until then.
    ///
    /// # Errors
    /// `Refused` if no entry, or another, is quarantined.
    ///
    /// # Cancel safety
    /// May have happened.
    pub async fn skip(&self, expected: Cursor) -> Result<Cursor, ControlError> {
        self.decided(Event::Skip { expected }).await
    }

    /// Puts the log's own fold at `to` in the replica's place, iff it stands at `expected`. A grain
    /// that is not paused then follows the log from there.
    ///
    /// # Errors
    /// `Refused` if the replica stands elsewhere or the log cannot give that state; `Failed`.
    ///
    /// # Cancel safety
    /// May have happened.
    pub async fn seek(&self, expected: Cursor, to: Cursor) -> Result<Cursor, ControlError> {
        self.decided(Event::Seek { expected, to }).await
    }

    /// Puts the log's base..head in the replica's place, iff it stands at `expected`: heals a replica
    /// that is ahead or diverged, and loses what it alone holds. For one of another log, see
    /// [`Follower::rebase_foreign`](crate::Follower::rebase_foreign).
    ///
    /// # Errors
    /// `Refused` if the replica stands elsewhere or the log has nothing; `Failed`.
    ///
    /// # Cancel safety
    /// May have happened.
    pub async fn rebase(&self, expected: Cursor) -> Result<Cursor, ControlError> {
        self.decided(Event::Rebase { expected }).await
    }

    async fn tell(&self, event: Event) -> Result<(), ControlError> {
        self.send(|reply| Command::Tell {
            grain: self.grain.clone(),
            event,
            reply,
        })
        .await
    }

    async fn quiet(&self, event: Event) -> Result<(), ControlError> {
        self.send(|reply| Command::Quiet {
            grain: self.grain.clone(),
            event,
            reply,
        })
        .await
    }

    async fn decided(&self, event: Event) -> Result<Cursor, ControlError> {
        let reply = self
            .send(|reply| Command::Decide {
                grain: self.grain.clone(),
                event,
                reply,
            })
            .await?;
        match reply {
            Reply::Done(cursor) => Ok(cursor),
            Reply::Refused(refusal) => Err(ControlError::Refused(refusal)),
            Reply::Failed => Err(ControlError::Failed),
        }
    }

    async fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, ControlError>>) -> Command,
    ) -> Result<T, ControlError> {
        let (reply, answer) = oneshot::channel();
        let commands = self.commands.upgrade().ok_or(ControlError::Ended)?;
        commands
            .send(command(reply))
            .await
            .map_err(|_| ControlError::Ended)?;
        drop(commands);
        answer.await.map_err(|_| ControlError::Ended)?
    }
}
