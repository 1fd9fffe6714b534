//! [`Order`]: which entry comes when, known to all processes beforehand.

use std::sync::Arc;

use gleaner::{Entry, GrainId, RawReader};

use super::PAYLOAD;
use crate::Outcome;
use crate::versus::following::readable;
use crate::versus::logs;

/// The type of all grains.
pub(crate) const TYPE: &str = "grain";
/// How many states of each grain are in the log before anybody follows.
pub(crate) const FIRST: u32 = 1;

/// Grains in turn, round after round: the entry at `place` (from 0) is the next one of grain `place`
/// modulo their number.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    ids: Arc<[GrainId]>,
}

impl Order {
    /// Of so many grains, with keys of 12 bytes.
    pub(crate) fn new(grains: u32) -> Outcome<Self> {
        let kind: Arc<str> = TYPE.into();
        let ids = (0..grains).map(|grain| GrainId::new(kind.clone(), format!("{grain:012}")));
        Ok(Self {
            ids: ids.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn ids(&self) -> &[GrainId] {
        &self.ids
    }

    fn grains(&self) -> u64 {
        self.ids.len() as u64
    }

    /// The state that each grain has before anybody follows.
    pub(crate) fn first(&self) -> impl Iterator<Item = Entry> {
        let first = |grain| logs::entry(grain, u64::from(FIRST), PAYLOAD);
        self.ids.iter().map(first)
    }

    /// Whose the entry at a place is, and its number in the grain.
    pub(crate) fn at(&self, place: u64) -> Outcome<(&GrainId, u64)> {
        let grain = self.ids.get((place % self.grains().max(1)) as usize);
        let sequence = u64::from(FIRST) + 1 + place / self.grains().max(1);
        Ok((grain.ok_or("there are no grains")?, sequence))
    }

    /// The entry at a place.
    pub(crate) fn entry(&self, place: u64) -> Outcome<Entry> {
        let (grain, sequence) = self.at(place)?;
        Ok(logs::entry(grain, sequence, PAYLOAD))
    }

    /// Whether the entry at a place, or a later one of its grain, can be read.
    pub(crate) fn is_readable(&self, place: u64, reader: &RawReader) -> Outcome<bool> {
        let (grain, sequence) = self.at(place)?;
        Ok(readable(reader, grain).is_some_and(|newest| newest >= sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grains_take_turns_and_numbers_rise_by_round() {
        let order = Order::new(3).unwrap();
        assert!(
            order
                .first()
                .all(|entry| entry.cursor().sequence.get() == 1)
        );
        let key = |place| {
            let (grain, sequence) = order.at(place).unwrap();
            (grain.grain_key().to_owned(), sequence)
        };
        assert_eq!(key(0), ("000000000000".to_owned(), 2));
        assert_eq!(key(2), ("000000000002".to_owned(), 2));
        assert_eq!(key(3), ("000000000000".to_owned(), 3));
        assert_eq!(order.entry(4).unwrap().payload().len(), PAYLOAD);
        assert!(Order::new(0).unwrap().at(0).is_err());
    }
}
