//! [`Replica`]: a grain's state at a cursor, stamp and payload in one allocation.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;
use triomphe::ThinArc;

use super::{Generation, Mark};
use crate::{Cursor, Digest, LogId, Schema, UnixMillis};

/// What a replica's state is of: all that a store keeps of it beside the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The last entry applied.
    pub cursor: Cursor,
    /// That entry's digest.
    pub digest: Digest,
    /// How often the replica was set back.
    pub generation: Generation,
    /// The log it was read from.
    pub log: LogId,
    /// The layout of the state: that of the last entry applied.
    pub schema: Schema,
    /// When the last entry applied was written, by its writer's clock.
    pub written_at: UnixMillis,
}

/// The stamp as it lies before the payload: what a read looks at stands last, so that it shares the
/// payload's first cache line, and the bit of presence fills what alignment leaves over.
#[derive(PartialEq, Eq)]
#[repr(C)]
pub(super) struct Header {
    digest: Digest,
    generation: Generation,
    log: LogId,
    cursor: Cursor,
    written_at: UnixMillis,
    schema: Schema,
    present: bool,
    /// A state of more than [`APART`] bytes.
    apart: Option<Box<Bytes>>,
}

/// A larger state is not copied beside its stamp: it is kept as it came, by reference count. To copy
/// 16 MiB holds up whatever else the core would do, for milliseconds, and spares one miss in a read.
const APART: usize = 64 << 10;

pub(super) type Thin = ThinArc<Header, u8>;

/// One grain's state as a store holds it: state, cursor, digest and generation of one moment (S4).
/// Never changed in place; a newer one takes its place whole.
///
/// # Cost
/// One pointer to one allocation: 80 bytes and the state, which is copied there once, when it is
/// applied, unless it is larger than 64 KiB. A clone costs one reference count.
#[derive(Clone, PartialEq, Eq)]
pub struct Replica(pub(super) Thin);

impl Replica {
    /// A replica with a copy of its state; none after a Tombstone.
    pub fn new(stamp: Stamp, state: Option<&[u8]>) -> Self {
        match state {
            Some(state) if state.len() > APART => {
                Self::build(stamp, true, &[], Some(Bytes::copy_from_slice(state)))
            }
            state => Self::build(stamp, state.is_some(), state.unwrap_or_default(), None),
        }
    }

    /// A replica with its state; none after a Tombstone. A state of more than 64 KiB is shared, a smaller
    /// one is copied.
    pub fn sharing(stamp: Stamp, state: Option<Bytes>) -> Self {
        match state {
            Some(state) if state.len() > APART => Self::build(stamp, true, &[], Some(state)),
            state => Self::new(stamp, state.as_deref()),
        }
    }

    fn build(stamp: Stamp, present: bool, state: &[u8], apart: Option<Bytes>) -> Self {
        let Stamp {
            cursor,
            digest,
            generation,
            log,
            schema,
            written_at,
        } = stamp;
        let header = Header {
            digest,
            generation,
            log,
            cursor,
            written_at,
            schema,
            present,
            apart: apart.map(Box::new),
        };
        Self(ThinArc::from_header_and_slice(header, state))
    }

    /// The bytes of its state, wherever they are.
    fn bytes(&self) -> &[u8] {
        match &self.header().apart {
            None => &self.0.slice,
            Some(apart) => apart,
        }
    }

    fn header(&self) -> &Header {
        &self.0.header.header
    }

    /// All but the state.
    pub fn stamp(&self) -> Stamp {
        Stamp {
            cursor: self.cursor(),
            digest: self.digest(),
            generation: self.generation(),
            log: self.log().clone(),
            schema: self.schema(),
            written_at: self.written_at(),
        }
    }

    /// The state; none after a Tombstone.
    pub fn state(&self) -> Option<&[u8]> {
        self.is_present().then(|| self.bytes())
    }

    /// The state, as long as anybody holds it; none after a Tombstone. Copies nothing.
    pub fn into_state(self) -> Option<RawState> {
        self.is_present().then_some(RawState(self))
    }

    /// Whether it has a state: false after a Tombstone.
    pub fn is_present(&self) -> bool {
        self.header().present
    }

    /// The last entry applied.
    pub fn cursor(&self) -> Cursor {
        self.header().cursor
    }

    /// That entry's digest.
    pub fn digest(&self) -> Digest {
        self.header().digest
    }

    /// How often it was set back.
    pub fn generation(&self) -> Generation {
        self.header().generation
    }

    /// The log it was read from.
    pub fn log(&self) -> &LogId {
        &self.header().log
    }

    /// The layout of the state: that of the last entry applied.
    pub fn schema(&self) -> Schema {
        self.header().schema
    }

    /// When the last entry applied was written, by its writer's clock.
    pub fn written_at(&self) -> UnixMillis {
        self.header().written_at
    }

    /// Where it stands.
    pub fn mark(&self) -> Mark {
        Mark {
            cursor: self.cursor(),
            digest: self.digest(),
            generation: self.generation(),
            log: Some(self.log().clone()),
            present: self.is_present(),
        }
    }

    /// Whether two are one: clones of the same replica, not only equal.
    pub fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("stamp", &self.stamp())
            .field("state", &self.state().map(Bytes::copy_from_slice))
            .finish()
    }
}

/// A replica's state as it is: `&[u8]` by dereference.
///
/// # Cost
/// A clone is one reference count. It keeps the whole replica, and nothing else, in memory. Made a
/// `Bytes`, it is still not copied; that costs one small allocation.
#[derive(Clone)]
pub struct RawState(Replica);

impl RawState {
    /// A state of no replica: a copy of these bytes.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let stamp = Stamp {
            digest: Digest::ZERO,
            generation: Generation::default(),
            log: LogId::new([]),
            cursor: Cursor::ZERO,
            written_at: UnixMillis::default(),
            schema: Schema::default(),
        };
        Self(Replica::new(stamp, Some(bytes)))
    }
}

impl Deref for RawState {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl AsRef<[u8]> for RawState {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<RawState> for Bytes {
    fn from(state: RawState) -> Self {
        Self::from_owner(state)
    }
}

/// Of the bytes alone, whatever replica they are of.
impl PartialEq for RawState {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RawState {}

impl PartialEq<[u8]> for RawState {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialEq<&[u8]> for RawState {
    fn eq(&self, other: &&[u8]) -> bool {
        **self == **other
    }
}

impl PartialEq<str> for RawState {
    fn eq(&self, other: &str) -> bool {
        **self == *other.as_bytes()
    }
}

impl PartialEq<&str> for RawState {
    fn eq(&self, other: &&str) -> bool {
        **self == *other.as_bytes()
    }
}

impl fmt::Debug for RawState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Bytes::copy_from_slice(self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_state_is_shared_and_a_small_one_copied() {
        for (length, shared) in [(0, false), (APART, false), (APART + 1, true)] {
            let state = Bytes::from(vec![7; length]);
            let replica = Replica::sharing(stamp(), Some(state.clone()));
            let held = replica.state().unwrap();
            assert_eq!(held, &state[..]);
            let same = std::ptr::eq(held.as_ptr(), state.as_ptr());
            assert!(same == shared || length == 0, "{length}");
            assert_eq!(replica, Replica::new(stamp(), Some(&state)));
            assert_eq!(replica.into_state().unwrap(), &state[..]);
        }
    }

    fn stamp() -> Stamp {
        Stamp {
            digest: Digest::new(3),
            generation: Generation::new(4),
            log: LogId::new("the log"),
            cursor: Cursor::new(1, 2),
            written_at: UnixMillis::new(5),
            schema: Schema::new(6),
        }
    }

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_replica_costs_what_its_docs_say() {
        assert_eq!(size_of::<Replica>(), 8);
        assert_eq!(size_of::<Option<RawState>>(), 8);
        let (count, length) = (8, 8);
        assert_eq!(count + size_of::<Header>() + length, 80);
    }

    #[test]
    fn a_state_is_the_replicas_own_and_outlives_it() {
        let replica = Replica::new(stamp(), Some(b"state"));
        let at = replica.state().unwrap().as_ptr();
        let state = replica.clone().into_state().unwrap();
        let bytes = Bytes::from(state.clone());
        assert_eq!(
            (state.as_ptr(), bytes.as_ptr()),
            (at, at),
            "the state was copied"
        );
        drop((replica, state));
        assert_eq!(bytes, "state");
    }

    #[test]
    fn an_empty_state_is_a_state_and_a_tombstone_is_none() {
        let empty = Replica::new(stamp(), Some(b""));
        let ended = Replica::new(stamp(), None);
        assert_ne!(empty, ended);
        assert_eq!(empty.state(), Some(&b""[..]));
        assert_eq!((ended.state(), ended.mark().present), (None, false));
        assert_eq!(empty.into_state().unwrap(), "");
        assert!(ended.into_state().is_none());
    }

    #[test]
    fn a_replica_gives_back_its_stamp() {
        let replica = Replica::new(stamp(), None);
        assert_eq!(replica.stamp(), stamp());
        assert!(replica.is_same(&replica.clone()));
        assert!(!replica.is_same(&Replica::new(stamp(), None)));
    }
}
