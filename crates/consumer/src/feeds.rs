//! [`Feeds`]: up to when each feed has confirmed.

use std::sync::OnceLock;

use crate::cell::{Confirmed, FeedNumber};

/// The feeds of one follower by number, each one's [`Confirmed`] in the same place for ever, so that a
/// cell names its feed in two bytes and readers get to it without a lock or a count.
///
/// Segments double: the first holds 8 feeds, all of them together 65,528.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    segments: [OnceLock<Box<[Confirmed]>>; 13],
}

const FIRST: usize = 8;

impl Feeds {
    /// What the feed has confirmed; none for a number that no feed has.
    pub(crate) fn get(&self, number: FeedNumber) -> Option<&Confirmed> {
        let (segment, at) = place(number);
        self.segments.get(segment)?.get()?.get(at)
    }

    /// The latest that any has confirmed.
    #[cfg(feature = "metrics")]
    pub(crate) fn latest(&self) -> Option<crate::clock::Reading> {
        let open = self.segments.iter().filter_map(OnceLock::get);
        let all = open.flat_map(|segment| segment.iter().filter_map(Confirmed::get));
        all.max_by_key(|reading| reading.monotonic)
    }

    /// Makes room for the feed of this number; `false` if there can be no more.
    pub(crate) fn open(&self, number: FeedNumber) -> bool {
        let (segment, _) = place(number);
        let Some(room) = self.segments.get(segment) else {
            return false;
        };
        room.get_or_init(|| (0..FIRST << segment).map(|_| Confirmed::never()).collect());
        true
    }
}

/// The segment of a number, and its place there.
fn place(number: FeedNumber) -> (usize, usize) {
    let from_first = usize::from(number) + FIRST;
    let segment = (from_first / FIRST).ilog2() as usize;
    (segment, from_first - (FIRST << segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut places: Vec<_> = (0..=FeedNumber::MAX).map(place).collect();
        places.dedup();
        assert_eq!(places.len(), usize::from(FeedNumber::MAX) + 1);
        let inside = |(segment, at): (usize, usize)| at < FIRST << segment;
        assert!(places.iter().all(|place| inside(*place)));
        let feeds = Feeds::default();
        assert!(feeds.get(0).is_none());
        assert!(feeds.open(0) && feeds.open(65_527) && !feeds.open(65_528));
        assert!(feeds.get(7).is_some() && feeds.get(8).is_none() && feeds.get(65_527).is_some());
    }
}
