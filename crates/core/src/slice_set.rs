//! [`SliceSet`]: some of the slices of a population.

use std::fmt;

use crate::Slice;

/// A set of [`Slice`]s: 128 bytes, one bit a slice.
///
/// ```
/// use gleaner_core::SliceSet;
/// let half: SliceSet = (0..512).collect();
/// assert_eq!(half.len(), 512);
/// assert_eq!(half.to_string(), "0-511");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct SliceSet([u64; Self::WORDS]);

impl SliceSet {
    const WORDS: usize = Slice::COUNT as usize / u64::BITS as usize;
    /// The most ranges that are shown for people.
    const SHOWN: usize = 4;

    /// Whether a slice is in the set.
    pub fn contains(&self, slice: Slice) -> bool {
        self.has(slice.get())
    }

    /// How many slices there are in it.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all 1,024 are in it.
    pub fn is_full(&self) -> bool {
        self.len() == usize::from(Slice::COUNT)
    }

    /// Whether every slice of this set is in the other too.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(&other.0)
            .all(|(own, other)| own & !other == 0)
    }

    /// The numbers of its slices, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..Slice::COUNT).filter(|number| self.has(*number))
    }

    fn has(&self, number: u16) -> bool {
        let (word, bit) = Self::place(number);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(number: u16) -> (usize, u64) {
        let bits = u64::BITS as usize;
        let number = usize::from(number);
        (number / bits, 1 << (number % bits))
    }

    /// First and last of each run of neighbours.
    fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for number in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == number => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        ranges
    }
}

/// From numbers; those from 1,024 on are left out, since no grain has such a slice.
impl FromIterator<u16> for SliceSet {
    fn from_iter<T: IntoIterator<Item = u16>>(numbers: T) -> Self {
        let mut set = Self::default();
        for number in numbers {
            let (word, bit) = Self::place(number);
            if let Some(word) = set.0.get_mut(word) {
                *word |= bit;
            }
        }
        set
    }
}

/// For people: `0-255,300`; the first few ranges of a set that has many.
impl fmt::Display for SliceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = self.ranges();
        if ranges.is_empty() {
            return f.write_str("none");
        }
        for (at, (first, last)) in ranges.iter().take(Self::SHOWN).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        if ranges.len() > Self::SHOWN {
            write!(f, ",.. ({} in all)", self.len())?;
        }
        Ok(())
    }
}

impl fmt::Debug for SliceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SliceSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in_and_no_number_beyond_the_last() {
        let set: SliceSet = [1023, 0, 63, 64, 1024, u16::MAX, 64].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 1023]);
        assert_eq!(set.len(), 4);
        assert!(!set.is_full() && !set.is_empty());
        let full: SliceSet = (0..=u16::MAX).collect();
        assert!(full.is_full() && full.len() == 1024);
        assert!(SliceSet::default().is_empty());
    }

    #[test]
    fn subsets() {
        let (some, more): (SliceSet, SliceSet) =
            ((60..70).collect(), (0..100).chain([512]).collect());
        assert!(some.is_subset(&more) && some.is_subset(&some));
        assert!(!more.is_subset(&some));
        assert!(SliceSet::default().is_subset(&some));
    }

    #[test]
    fn it_is_shown_short() {
        let shown = |numbers: &[u16]| {
            let set: SliceSet = numbers.iter().copied().collect();
            set.to_string()
        };
        assert_eq!(shown(&[]), "none");
        assert_eq!(shown(&[7]), "7");
        assert_eq!(shown(&[0, 1, 2, 63, 64, 300]), "0-2,63-64,300");
        let odd: SliceSet = (0..1024).filter(|number| number % 2 == 1).collect();
        assert_eq!(odd.to_string(), "1,3,5,7,.. (512 in all)");
    }
}
