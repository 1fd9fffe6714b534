//! [`Payloads`]: how a database's entries are read and its state is written; and [`Bincoded`], the
//! layout that leader and followers speak.

use bytes::Bytes;
use gleaner::{
    Bincode, Codec, CodecError, Entry, Fold, FoldError, GrainId, Limits, Schema, StopReason,
};

use crate::operation::{Operation, Point};
use crate::state::Collections;

/// The layout of these payloads.
pub(crate) const SCHEMA: Schema = Schema::new(1);

/// What the engine asks about payloads. It keeps collections and points in tables whatever the
/// payloads look like, so that the conformance kit, whose payloads are its own, can be run on it.
pub(crate) trait Payloads: Send + Sync + 'static {
    /// The newest layout that is understood.
    fn newest_schema(&self) -> Schema;

    /// The database that a `FullState` says.
    fn whole(&self, payload: &[u8]) -> Result<Collections, FoldError>;

    /// What a Delta does.
    fn operations(&self, delta: &Entry) -> Result<Vec<Operation>, StopReason>;

    /// A database as a `FullState` says it.
    fn write(&self, whole: &Collections) -> Result<Bytes, CodecError>;

    /// What a collection without points adds to the bytes of [`Self::write`].
    fn size_of_collection(&self, name: &str) -> usize;

    /// What a point adds to them.
    fn size_of_point(&self, id: &str, point: &Point) -> usize;
}

/// A `FullState` is a [`Collections`], a Delta a list of [`Operation`]s, both as [`Bincode`] lays
/// them out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bincoded;

/// No payload is larger than a log with the default limits takes.
type Layout = Bincode<{ Limits::DEFAULT_MAX_PAYLOAD }>;

impl Bincoded {
    /// Operations as the payload of a Delta.
    pub(crate) fn delta(operations: &Vec<Operation>) -> Result<Bytes, CodecError> {
        Layout::default().encode(operations)
    }

    /// The operations of a Delta, each within its limits.
    pub(crate) fn read_delta(payload: &[u8]) -> Result<Vec<Operation>, FoldError> {
        let operations: Vec<Operation> = Layout::default()
            .decode(payload, SCHEMA)
            .map_err(|error| FoldError::new(format!("not a list of operations: {error}")))?;
        for operation in &operations {
            operation.check()?;
        }
        Ok(operations)
    }
}

impl Payloads for Bincoded {
    fn newest_schema(&self) -> Schema {
        SCHEMA
    }

    fn whole(&self, payload: &[u8]) -> Result<Collections, FoldError> {
        let whole: Collections = Layout::default()
            .decode(payload, SCHEMA)
            .map_err(|error| FoldError::new(format!("not a database: {error}")))?;
        whole.check()?;
        // Names in another order, or twice, would be read as something that is written otherwise.
        if self.write(&whole).is_ok_and(|written| written == payload) {
            Ok(whole)
        } else {
            Err(FoldError::new("a database whose names are out of order"))
        }
    }

    fn operations(&self, delta: &Entry) -> Result<Vec<Operation>, StopReason> {
        Self::read_delta(delta.payload()).map_err(StopReason::Fold)
    }

    fn write(&self, whole: &Collections) -> Result<Bytes, CodecError> {
        Layout::default().encode(whole)
    }

    fn size_of_collection(&self, name: &str) -> usize {
        LENGTH + name.len() + size_of::<u32>() + LENGTH
    }

    fn size_of_point(&self, id: &str, point: &Point) -> usize {
        let attributes: usize = point
            .attributes
            .iter()
            .map(|(name, value)| LENGTH + name.len() + LENGTH + value.len())
            .sum();
        LENGTH + id.len() + LENGTH + size_of_val(point.vector.as_slice()) + LENGTH + attributes
    }
}

/// Of whatever can be of different lengths.
const LENGTH: usize = size_of::<u64>();

/// The publisher's side of the same: it keeps the database as the bytes of a `FullState`, so that it
/// can always give it whole (P6). That costs a reading and a writing of the database each Delta;
/// operations that come together belong into one.
impl Fold for Bincoded {
    fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
        let mut whole = self.whole(state)?;
        for operation in Self::read_delta(delta.payload())? {
            whole.apply(operation)?;
        }
        self.write(&whole)
            .map_err(|error| FoldError::new(error.to_string()))
    }

    fn newest_schema(&self) -> Schema {
        SCHEMA
    }
}
