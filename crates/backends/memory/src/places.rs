//! [`Places`]: the slots of all grains, close together and found by number.

use std::fmt;
use std::sync::OnceLock;

use crate::sync::{AtomicU32, Mutex, MutexGuard, Ordering, Pointer};
use gleaner_core::Replica;

/// One grain's place: 16 bytes. Readers swap nothing and wait for nobody; writers hold `writing` from
/// the read of the former replica until the new one has taken its place.
#[derive(Default)]
pub(crate) struct Slot {
    replica: Pointer,
    /// Handles, and calls that are under way: while there are any, the place is this grain's.
    holders: AtomicU32,
    writing: Mutex<()>,
}

impl Slot {
    pub(crate) fn load(&self) -> Option<Replica> {
        self.replica.load()
    }

    /// The right to change it.
    pub(crate) fn write(&self) -> Writing<'_> {
        Writing {
            slot: self,
            _guard: self.writing.lock(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.replica.is_empty()
    }

    pub(crate) fn hold(&self) {
        self.holders.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn let_go(&self) {
        self.holders.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.holders.load(Ordering::SeqCst) > 0
    }
}

/// A slot whose only writer is the holder.
pub(crate) struct Writing<'a> {
    slot: &'a Slot,
    _guard: MutexGuard<'a, ()>,
}

impl Writing<'_> {
    pub(crate) fn current(&self) -> Option<Replica> {
        self.slot.load()
    }

    pub(crate) fn put(&self, replica: Option<Replica>) {
        self.slot.replica.store(replica);
    }
}

/// Slots in chunks that never move, so that a number leads to a slot without a lock. Eight chunks of
/// one size, then eight of twice that: there is room for an eighth more than is used, at most. Places
/// given back are given out again; chunks stay.
pub(crate) struct Places {
    chunks: Box<[OnceLock<Box<[Slot]>>]>,
    spare: Mutex<Spare>,
}

/// What is given out next.
#[derive(Default)]
struct Spare {
    next: u64,
    back: Vec<u64>,
}

/// The first chunk's slots, as a power of two.
const FIRST: u32 = 3;
/// Enough for 2^40 places: their replicas alone would fill 72 tebibytes.
const CHUNKS: usize = (40 - 5) * 8;

/// Where a place lies: its chunk, and where in that.
fn whereabouts(place: u64) -> (usize, usize) {
    // As a number with three binary digits behind the leading one, which is a chunk's number, and the
    // rest, which is the place in it.
    let number = place.saturating_add(8 << FIRST);
    let width = number.ilog2() - 3;
    let chunk = u64::from(width - FIRST) * 8 + ((number >> width) & 7);
    let within = number & ((1 << width) - 1);
    // Only a number that was never given out does not fit.
    let fits = |number| usize::try_from(number).unwrap_or(usize::MAX);
    (fits(chunk), fits(within))
}

impl Default for Places {
    fn default() -> Self {
        Self {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            spare: Mutex::default(),
        }
    }
}

impl Places {
    /// The slot of a place that was given out; none for another number.
    pub(crate) fn at(&self, place: u64) -> Option<&Slot> {
        let (chunk, within) = whereabouts(place);
        self.chunks.get(chunk)?.get()?.get(within)
    }

    /// A place with an empty slot that nobody holds.
    pub(crate) fn take(&self) -> u64 {
        let mut spare = self.spare.lock();
        if let Some(place) = spare.back.pop() {
            return place;
        }
        let place = spare.next;
        let (chunk, _) = whereabouts(place);
        if let Some(slots) = self.chunks.get(chunk) {
            slots.get_or_init(|| {
                let slots = 1_usize << (chunk / 8 + FIRST as usize);
                (0..slots).map(|_| Slot::default()).collect()
            });
        }
        spare.next = place.saturating_add(1);
        place
    }

    /// Gives back a place whose slot is empty and held by nobody.
    pub(crate) fn give_back(&self, place: u64) {
        self.spare.lock().back.push(place);
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(gleaner_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for place in 0..1_000_000 {
            let at = whereabouts(place);
            if at != expected {
                assert_eq!((at.0, at.1), (expected.0 + 1, 0), "{place}");
                assert_eq!(expected.1, 1 << (expected.0 / 8 + 3), "{place}");
            }
            expected = (at.0, at.1 + 1);
        }
        let (last, within) = whereabouts((1 << 40) - 65);
        assert!(last < CHUNKS && within < 1 << (last / 8 + 3));
    }

    #[test]
    fn places_are_given_out_again() {
        let places = Places::default();
        let taken: Vec<u64> = (0..100).map(|_| places.take()).collect();
        assert_eq!(taken, (0..100).collect::<Vec<_>>());
        assert!(taken.iter().all(|place| places.at(*place).is_some()));
        assert!(places.at(1 << 20).is_none());
        places.give_back(7);
        assert_eq!((places.take(), places.take()), (7, 100));
    }
}
