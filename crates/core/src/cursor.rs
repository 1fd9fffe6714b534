//! [`Epoch`], [`Sequence`] and [`Cursor`]: where in a grain's history an entry stands.

use std::fmt;

/// The largest epoch and sequence: 2^53 - 1, the largest integer that every client language and
/// every backend's number type holds exactly.
const MAX: u64 = (1 << 53) - 1;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(u64);

        impl $name {
            /// What stands for "none yet"; no entry carries it.
            pub const ZERO: Self = Self(0);
            /// The largest that an entry may carry: 2^53 - 1.
            pub const MAX: Self = Self(MAX);

            /// Wraps a number. Whether an entry may carry it is asked by [`Self::is_valid`], so that
            /// a decoder can name the bad value that it read.
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number itself.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Whether an entry may carry it: 1 to 2^53 - 1.
            pub const fn is_valid(self) -> bool {
                self.0 >= 1 && self.0 <= MAX
            }

            /// The number that follows, or none behind [`Self::MAX`].
            #[must_use]
            pub const fn next(self) -> Option<Self> {
                if self.0 < MAX { Some(Self(self.0 + 1)) } else { None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The fencing token of one writer of a grain. It grows at every change of writer: a restart, an
    /// activation elsewhere, a failover.
    Epoch
}
number! {
    /// The number of an entry within its grain, from 1, given by the publisher. It never restarts,
    /// not even when the epoch grows.
    Sequence
}

/// A place in a grain's history: epoch, then sequence, ordered as written.
///
/// ```
/// use gleaner_core::Cursor;
/// assert!(Cursor::new(2, 6) > Cursor::new(1, 900));
/// assert!(Cursor::ZERO < Cursor::new(1, 1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Cursor {
    /// The writer's epoch.
    pub epoch: Epoch,
    /// The entry's number.
    pub sequence: Sequence,
}

impl Cursor {
    /// Before everything: the cursor of a replica that has applied nothing.
    pub const ZERO: Self = Self {
        epoch: Epoch::ZERO,
        sequence: Sequence::ZERO,
    };

    /// A cursor from plain numbers.
    pub const fn new(epoch: u64, sequence: u64) -> Self {
        Self {
            epoch: Epoch::new(epoch),
            sequence: Sequence::new(sequence),
        }
    }

    /// Whether an entry may carry it.
    pub const fn is_valid(self) -> bool {
        self.epoch.is_valid() && self.sequence.is_valid()
    }

    /// Whether this is exactly one below `next`, in the same epoch: what a Delta at `next` asks of
    /// its predecessor.
    pub fn is_just_below(self, next: Self) -> bool {
        self.epoch == next.epoch && self.sequence.next() == Some(next.sequence)
    }

    /// The greatest cursor below this one: reading strictly after it begins here.
    #[must_use]
    pub const fn predecessor(self) -> Self {
        Self {
            epoch: self.epoch,
            sequence: Sequence::new(self.sequence.get().saturating_sub(1)),
        }
    }

    /// Whether both parts are at least `wanted`'s: what a read that asks `at_least` needs (C6). A
    /// higher epoch with a lower sequence does not hold the wanted write.
    pub fn holds(self, wanted: Self) -> bool {
        #[cfg(gleaner_plant)]
        if crate::plant::Plant::LowerNumberOfAHigherEpochHolds.is_planted() {
            return self >= wanted;
        }
        self.epoch >= wanted.epoch && self.sequence >= wanted.sequence
    }
}

/// `epoch:sequence`.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_ends_at_two_to_the_53() {
        assert!(Cursor::new(1, MAX).is_valid());
        assert!(!Cursor::new(1, MAX + 1).is_valid());
        assert!(!Cursor::new(0, 1).is_valid());
        assert!(!Cursor::new(1, 0).is_valid());
        assert_eq!(Sequence::MAX.next(), None);
    }

    #[test]
    fn just_below_needs_the_same_epoch() {
        assert!(Cursor::new(1, 4).is_just_below(Cursor::new(1, 5)));
        assert!(!Cursor::new(1, 4).is_just_below(Cursor::new(2, 5)));
        assert!(!Cursor::new(1, 3).is_just_below(Cursor::new(1, 5)));
    }

    #[test]
    fn holds_asks_both_parts() {
        assert!(Cursor::new(2, 7).holds(Cursor::new(1, 7)));
        assert!(!Cursor::new(2, 6).holds(Cursor::new(1, 7)));
    }
}
