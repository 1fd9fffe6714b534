//! [`Reader`] and [`GrainReader`]: reads that go straight to the store, past the actors.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use gleaner_core::{
    Bincode, Codec, Error, GrainId, Raw, RawState, Replica, ReplicaHandle, ReplicaStore,
};
use tokio::time::Instant;

use crate::directory::CellRef;
use crate::read::{Answer, ReadError, ReadOptions, Stamp};
use crate::shared::Shared;
use crate::watch::GrainWatch;

/// Reads the replicas of one follower as values of type `T`. Cheap to clone; outlives the follower,
/// whose replicas then only grow older.
pub struct Reader<T, C = Bincode> {
    /// One pointer, so that a handle, which holds a reader, is small: a read of one begins there.
    parts: Arc<Parts<C>>,
    state: PhantomData<fn() -> T>,
}

struct Parts<C> {
    shared: Arc<Shared>,
    store: Arc<dyn ReplicaStore>,
    codec: C,
}

impl<T, C> Clone for Reader<T, C> {
    fn clone(&self) -> Self {
        Self {
            parts: self.parts.clone(),
            state: PhantomData,
        }
    }
}

impl<T, C> fmt::Debug for Reader<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("shared", &self.parts.shared)
            .finish_non_exhaustive()
    }
}

/// A [`Reader`] of bytes as they are: an answer's state is the replica's own, not a copy.
pub type RawReader = Reader<RawState, Raw>;

impl<T, C: Codec<T>> Reader<T, C> {
    pub(crate) fn new(shared: Arc<Shared>, store: Arc<dyn ReplicaStore>, codec: C) -> Self {
        Self {
            parts: Arc::new(Parts {
                shared,
                store,
                codec,
            }),
            state: PhantomData,
        }
    }

    fn shared(&self) -> &Shared {
        &self.parts.shared
    }

    fn store(&self) -> &dyn ReplicaStore {
        &*self.parts.store
    }

    /// The answer of this moment. Synchronous; for replicas in memory.
    ///
    /// # Contract
    /// C1 to C6: the age is never smaller than the truth; the state is whole and of the cursor that it
    /// is stamped with.
    ///
    /// # Errors
    /// [`ReadError`], but never `Deadline` or `Store`.
    ///
    /// # Cost
    /// Two map look-ups and a decode; no lock that a writer holds across more than a pointer's swap.
    pub fn get(&self, grain: &GrainId, options: ReadOptions) -> Result<Answer<T>, ReadError> {
        // Read under the directory's lock of a stripe: to keep the cell would cost another count.
        let looked = self.shared().directory.with(grain, |cell| {
            let standing = self.shared().standing(cell, cell.tenant());
            let replica = self.peek(grain);
            (cell.still(standing), replica)
        });
        let (standing, replica) = looked.ok_or(ReadError::NotFollowed)?;
        let replica = replica?;
        let stamp = options.admit(standing, replica.as_ref(), &*self.shared().clock)?;
        self.decode(stamp, replica)
    }

    /// The first answer that is what was asked for, waiting for it as long as the options say. Reads
    /// replicas that are not in memory, too.
    ///
    /// # Contract
    /// As [`Self::get`]. A write that was acknowledged is seen by a read that asks for its cursor once
    /// it has come here, however it comes.
    ///
    /// # Errors
    /// [`ReadError`]; `Deadline` when the time is up, saying what stood in the way.
    ///
    /// # Cancel safety
    /// Reads only.
    pub async fn get_when(
        &self,
        grain: &GrainId,
        options: ReadOptions,
    ) -> Result<Answer<T>, ReadError> {
        let began = Instant::now();
        // Subscribed before the first look, so that nothing falls between a look and the wait for it.
        let mut watch = GrainWatch::new(self.parts.shared.clone(), grain.clone());
        let mut confirmations = self.shared().confirmations();
        let patience = options.patience();
        loop {
            let look = self.look(grain, options);
            let looked = if patience.is_zero() {
                look.await
            } else {
                let left = patience.saturating_sub(began.elapsed());
                // A store that does not answer is no reason to wait longer.
                tokio::time::timeout(left, look).await.unwrap_or_else(|_| {
                    let hung = Error::unknown("follower", "the store did not answer in time");
                    Err(ReadError::Deadline {
                        waited: patience,
                        last: Box::new(ReadError::Store(hung)),
                    })
                })
            };
            let refused = match looked {
                Err(refused) if refused.may_pass() && !patience.is_zero() => refused,
                answer => return answer,
            };
            let left = patience.saturating_sub(began.elapsed());
            let changed = async {
                tokio::select! {
                    biased;
                    open = watch.changed() => open,
                    open = confirmations.changed() => open.is_ok(),
                }
            };
            if !tokio::time::timeout(left, changed).await.unwrap_or(false) {
                return Err(ReadError::Deadline {
                    waited: patience,
                    last: Box::new(refused),
                });
            }
        }
    }

    /// A reader of one grain that spares the look-ups.
    ///
    /// # Errors
    /// `NotFollowed`.
    pub fn handle(&self, grain: &GrainId) -> Result<GrainReader<T, C>, ReadError> {
        let place = self.shared().find(grain).ok_or(ReadError::NotFollowed)?;
        Ok(self.clone().bound_to(grain.clone(), place))
    }

    pub(crate) fn bound_to(self, grain: GrainId, place: CellRef) -> GrainReader<T, C> {
        let replica = self.store().handle(&grain);
        GrainReader {
            reader: self,
            grain,
            place,
            replica,
        }
    }

    async fn look(&self, grain: &GrainId, options: ReadOptions) -> Result<Answer<T>, ReadError> {
        let place = self.shared().find(grain).ok_or(ReadError::NotFollowed)?;
        let cell = place.cell().ok_or(ReadError::NotFollowed)?;
        let standing = self.shared().standing(cell, place.tenant);
        let replica = if self.store().is_resident() {
            self.store().peek(grain)
        } else {
            self.store().get(grain).await.map_err(ReadError::Store)?
        };
        #[cfg(gleaner_plant)]
        let standing = if gleaner_core::plant::Plant::AgeReadAfterTheState.is_planted() {
            self.shared().standing(cell, place.tenant)
        } else {
            standing
        };
        let standing = cell.still(standing);
        let stamp = options.admit(standing, replica.as_ref(), &*self.shared().clock)?;
        self.decode(stamp, replica)
    }

    fn peek(&self, grain: &GrainId) -> Result<Option<Replica>, ReadError> {
        match self.store().peek(grain) {
            None if !self.store().is_resident() => Err(ReadError::NotResident),
            found => Ok(found),
        }
    }

    fn decode(&self, stamp: Stamp, replica: Option<Replica>) -> Result<Answer<T>, ReadError> {
        let Some(replica) = replica else {
            return Err(stamp.absent());
        };
        let (cursor, schema) = (replica.cursor(), replica.schema());
        let Some(state) = replica.into_state() else {
            return Err(stamp.absent());
        };
        let state = self
            .parts
            .codec
            .decode_state(state, schema)
            .map_err(|error| ReadError::Decode { cursor, error })?;
        Ok(stamp.on(state))
    }
}

/// Reads one grain's replica without a map in between. Survives an unfollow and a new follow.
pub struct GrainReader<T, C = Bincode> {
    reader: Reader<T, C>,
    grain: GrainId,
    place: CellRef,
    /// None if the store keeps replicas elsewhere than in memory.
    replica: Option<ReplicaHandle>,
}

impl<T, C> fmt::Debug for GrainReader<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrainReader")
            .field("grain", &self.grain)
            .finish_non_exhaustive()
    }
}

impl<T, C: Codec<T>> GrainReader<T, C> {
    /// The grain.
    pub fn grain(&self) -> &GrainId {
        &self.grain
    }

    /// As [`Reader::get`].
    ///
    /// # Errors
    /// As [`Reader::get`].
    pub fn get(&self, options: ReadOptions) -> Result<Answer<T>, ReadError> {
        let standing = self.place.cell().map(|cell| {
            let standing = self.reader.shared().standing(cell, self.place.tenant);
            (cell, standing)
        });
        let followed = standing.filter(|(_, standing)| !standing.gone);
        let (Some((cell, standing)), Some(replica)) = (followed, &self.replica) else {
            return self.reader.get(&self.grain, options);
        };
        let replica = replica.load();
        let standing = cell.still(standing);
        let stamp = options.admit(standing, replica.as_ref(), &*self.reader.shared().clock)?;
        self.reader.decode(stamp, replica)
    }

    /// As [`Reader::get_when`].
    ///
    /// # Errors
    /// As [`Reader::get_when`].
    ///
    /// # Cancel safety
    /// Reads only.
    pub async fn get_when(&self, options: ReadOptions) -> Result<Answer<T>, ReadError> {
        self.reader.get_when(&self.grain, options).await
    }
}
