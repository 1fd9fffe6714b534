//! [`GrainPublisher`]: one grain's way into the log.

use std::sync::Arc;

use bytes::Bytes;
use gleaner_core::{Bincode, Codec, CodecError, Cursor, Epoch, GrainId, Schema, Writer};

use crate::error::PublishError;
use crate::grain::{Grain, Status};
use crate::publisher::Owner;
use crate::queue::Offer;
use crate::shared::Admitted;

/// Publishes the states of one grain, under one epoch that was claimed for it.
///
/// # Contract
/// - **P1** Numbers are given when a state is taken, in the order in which states are taken, and are
///   never used again.
/// - **P2** Dropped is only an unsent `FullState` directly followed by a `FullState` or Tombstone.
///   Its `publish` answers Ok, with its own cursor, once the one that took its place is durable.
/// - **P3** One append of a grain is in flight; after an unknown outcome the identical bytes go again
///   until there is a definite answer.
/// - **P4** When another writer has claimed the grain, it stops: unsent states are given back, those
///   that may have landed are named. Every later call is refused likewise.
/// - **P5** When the log has lost what it acknowledged, the newest state goes under the next number,
///   with an error in the traces. It is learnt from an append that does not fit, and settled by
///   claiming the epoch again.
/// - **P6** A grain of Deltas keeps its state and can always give it whole: it does so as the first
///   entry of its epoch, behind a Tombstone or a refused entry, after [`full_every`] deltas, and for
///   P5.
/// - **P7** Dropping the future of a `publish` whose state was taken gives up only the answer. While
///   it still waits for room, the state was not taken and no number was used.
///
/// A log that refuses an entry for good (`Invalid`, `Permanent`) fails the calls that wait for that
/// entry, and the next `flush`; what is published behind it goes on, Deltas as the state that they
/// lead to. Everything else that can go wrong is tried again, for ever, with the same bytes.
///
/// [`full_every`]: crate::DeltaOptions::full_every
///
/// # Concurrency
/// Any number of tasks may publish on one grain; the order of numbers is the order in which they were
/// taken. A clone is a second handle of the same grain. When the last handle of a grain is dropped,
/// what was taken is still sent, and then the grain is forgotten; the next opening claims anew.
pub struct GrainPublisher {
    owner: Arc<Owner>,
    grain: Arc<Grain>,
    schema: Schema,
}

impl GrainPublisher {
    /// A handle for which the caller has already counted one.
    pub(crate) fn counted(owner: Arc<Owner>, grain: Arc<Grain>) -> Self {
        let schema = owner.shared.config.schema;
        Self {
            owner,
            grain,
            schema,
        }
    }

    /// Publishes payloads of that layout from now on, through this handle.
    #[must_use]
    pub fn with_schema(mut self, schema: Schema) -> Self {
        self.schema = schema;
        self
    }

    /// Whose states these are.
    pub fn id(&self) -> &GrainId {
        &self.grain.id
    }

    /// Publishes a state, encoded as [`Bincode`] does, and waits until it is durable. The state is
    /// encoded by the call itself; nothing else happens before the future is polled.
    ///
    /// # Errors
    /// `Codec` and `TooLarge` before a number is used; `Fenced`, `Stopped`, `Log`; `Closed`.
    ///
    /// # Cancel safety
    /// P7: once the state was taken, dropping the future gives up only the answer; before that, while
    /// it waits for room, nothing has happened.
    ///
    /// # Cost
    /// One append, shared with whatever else is due.
    pub fn publish<T>(
        &self,
        state: &T,
    ) -> impl Future<Output = Result<Cursor, PublishError>> + Send + use<'_, T>
    where
        Bincode: Codec<T>,
    {
        let payload = encode(state);
        async move { self.publish_bytes(payload?).await }
    }

    /// [`Self::publish`] of a state that is already encoded.
    ///
    /// # Errors
    /// As [`Self::publish`].
    ///
    /// # Cancel safety
    /// As [`Self::publish`].
    pub async fn publish_bytes(
        &self,
        state: impl Into<Bytes> + Send,
    ) -> Result<Cursor, PublishError> {
        self.durable(Offer::Full(state.into())).await
    }

    /// Publishes a change of the state and waits until it is durable. The delta is folded first: one
    /// that the fold refuses uses no number.
    ///
    /// # Errors
    /// As [`Self::publish`]; `Fold` if the fold refuses it, the grain is deleted, or it was opened
    /// without a fold; `TooLarge` also if the state that it leads to is.
    ///
    /// # Cancel safety
    /// As [`Self::publish`].
    pub async fn publish_delta(
        &self,
        delta: impl Into<Bytes> + Send,
    ) -> Result<Cursor, PublishError> {
        self.durable(Offer::Delta(delta.into())).await
    }

    /// Publishes the end of the grain and waits until it is durable. A later state brings it back.
    ///
    /// # Errors
    /// As [`Self::publish`].
    ///
    /// # Cancel safety
    /// As [`Self::publish`].
    pub async fn delete(&self) -> Result<Cursor, PublishError> {
        self.durable(Offer::Tombstone).await
    }

    /// Takes a state, waiting only for room, and returns its cursor. It is sent even if this handle
    /// is dropped; whether it became durable is told by [`Self::flush`].
    ///
    /// # Errors
    /// `Codec`, `TooLarge`, `Fenced`, `Stopped`, `Closed`.
    ///
    /// # Cancel safety
    /// A dropped future has taken nothing and used no number.
    ///
    /// # Cost
    /// No round trip. Where the publisher is full, those who came first go first; a state that takes
    /// the place of an unsent one needs room only for the difference.
    pub fn enqueue<T>(
        &self,
        state: &T,
    ) -> impl Future<Output = Result<Cursor, PublishError>> + Send + use<'_, T>
    where
        Bincode: Codec<T>,
    {
        let payload = encode(state);
        async move { self.enqueue_bytes(payload?).await }
    }

    /// [`Self::enqueue`] of a state that is already encoded.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    ///
    /// # Cancel safety
    /// As [`Self::enqueue`].
    pub async fn enqueue_bytes(
        &self,
        state: impl Into<Bytes> + Send,
    ) -> Result<Cursor, PublishError> {
        Ok(self.take(Offer::Full(state.into()), false).await?.0)
    }

    /// [`Self::enqueue`] of a change; folded first, as in [`Self::publish_delta`].
    ///
    /// # Errors
    /// As [`Self::enqueue`]; `Fold`.
    ///
    /// # Cancel safety
    /// As [`Self::enqueue`].
    pub async fn enqueue_delta(
        &self,
        delta: impl Into<Bytes> + Send,
    ) -> Result<Cursor, PublishError> {
        Ok(self.take(Offer::Delta(delta.into()), false).await?.0)
    }

    /// [`Self::enqueue`] of the end of the grain.
    ///
    /// # Errors
    /// As [`Self::enqueue`].
    ///
    /// # Cancel safety
    /// As [`Self::enqueue`].
    pub async fn enqueue_delete(&self) -> Result<Cursor, PublishError> {
        Ok(self.take(Offer::Tombstone, false).await?.0)
    }

    /// Takes a state if there is room now.
    ///
    /// # Errors
    /// As [`Self::enqueue`]; `Full`, with the encoded state, if there is no room: it was not taken
    /// and no number was used.
    pub fn try_enqueue<T>(&self, state: &T) -> Result<Cursor, PublishError>
    where
        Bincode: Codec<T>,
    {
        self.try_enqueue_bytes(encode(state)?)
    }

    /// [`Self::try_enqueue`] of a state that is already encoded.
    ///
    /// # Errors
    /// As [`Self::try_enqueue`].
    pub fn try_enqueue_bytes(&self, state: impl Into<Bytes>) -> Result<Cursor, PublishError> {
        let offer = Offer::Full(state.into());
        let shared = &self.owner.shared;
        match shared.admit(&self.grain, &offer, self.schema, 0, false)? {
            Admitted::Taken {
                cursor, surplus, ..
            } => {
                shared.room.give(surplus);
                Ok(cursor)
            }
            Admitted::Needs { .. } => Err(PublishError::Full {
                state: offer.payload(),
            }),
        }
    }

    /// Waits until everything that was taken before the call is durable.
    ///
    /// # Errors
    /// Why it is not: `Fenced` or `Stopped` with what is given back; `Log` for an entry that was
    /// refused since the last flush, reported once; `Closed`.
    ///
    /// # Cancel safety
    /// Dropping it gives up only the answer.
    pub async fn flush(&self) -> Result<(), PublishError> {
        let answer = self.grain.lock().flush()?;
        let Some(answer) = answer else {
            return Ok(());
        };
        let hurry = self.owner.shared.hurry();
        let told = answer.await;
        drop(hurry);
        let failed = self.grain.lock().flushed();
        told.map_err(|_| PublishError::Closed { state: None })??;
        failed
    }

    /// The newest cursor known to be durable; `ZERO` for a grain without entries.
    pub fn acked(&self) -> Cursor {
        self.grain.lock().queue.acked
    }

    /// The epoch that was claimed.
    pub fn epoch(&self) -> Epoch {
        self.grain.lock().queue.epoch
    }

    /// Who owns it: the writer that this opening was claimed for, as fences name it.
    pub fn writer(&self) -> Writer {
        self.grain.lock().queue.writer
    }

    /// How the grain stands.
    pub fn status(&self) -> Status {
        self.grain.lock().status()
    }

    async fn durable(&self, offer: Offer) -> Result<Cursor, PublishError> {
        let (cursor, answer) = self.take(offer, true).await?;
        #[cfg(gleaner_plant)]
        let answer =
            answer.filter(|_| !gleaner_core::plant::Plant::AcknowledgedWhenSent.is_planted());
        if let Some(answer) = answer {
            answer
                .await
                .map_err(|_| PublishError::Closed { state: None })??;
        }
        Ok(cursor)
    }

    /// Takes an offer, waiting for room. In the first wait it asks for what it needs beside the state
    /// whose place it takes; if that one was sent meanwhile, for the whole.
    async fn take(
        &self,
        offer: Offer,
        answer: bool,
    ) -> Result<(Cursor, Option<crate::grain::Answer>), PublishError> {
        // A task that publishes in a loop hardly ever waits: it gives way now and then, so that the
        // sender and whoever follows on the same threads get their turn.
        tokio::task::coop::consume_budget().await;
        let shared = &self.owner.shared;
        let mut held = None;
        let mut again = false;
        loop {
            let bytes = held
                .as_ref()
                .map_or(0, tokio::sync::SemaphorePermit::num_permits);
            match shared.admit(&self.grain, &offer, self.schema, bytes, answer)? {
                Admitted::Taken {
                    cursor,
                    surplus,
                    answer,
                } => {
                    if let Some(held) = held.take() {
                        // They belong to the entry now.
                        held.forget();
                    }
                    shared.room.give(surplus);
                    return Ok((cursor, answer));
                }
                Admitted::Needs { cost, charge } => {
                    drop(held.take());
                    let hurry = shared.hurry();
                    let wanted = if again { charge } else { cost };
                    again = true;
                    let permit = shared.room.wait(wanted).await;
                    drop(hurry);
                    held = Some(permit.map_err(|_| PublishError::Closed {
                        state: Some(offer.payload()),
                    })?);
                }
            }
        }
    }
}

fn encode<T>(state: &T) -> Result<Bytes, CodecError>
where
    Bincode: Codec<T>,
{
    let codec: Bincode = Bincode;
    codec.encode(state)
}

impl Clone for GrainPublisher {
    fn clone(&self) -> Self {
        self.grain.lock().handles += 1;
        Self {
            owner: self.owner.clone(),
            grain: self.grain.clone(),
            schema: self.schema,
        }
    }
}

impl Drop for GrainPublisher {
    fn drop(&mut self) {
        self.grain.lock().handles -= 1;
        self.owner.shared.forget(&self.grain);
    }
}

impl std::fmt::Debug for GrainPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let status = self.status();
        f.debug_struct("GrainPublisher")
            .field("grain", &self.grain.id)
            .field("epoch", &status.epoch)
            .field("acked", &status.acked)
            .field("pending", &status.pending)
            .field("stopped", &status.stopped.is_some())
            .finish_non_exhaustive()
    }
}
