//! [`Right`] and [`Rights`]: what a token is good for.

use std::fmt;
use std::str::FromStr;

/// A kind of call. None implies another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// Heads, listings, entries, feeds.
    Read,
    /// Appending entries.
    Append,
    /// Claiming grains for a writer.
    Claim,
    /// Removing history.
    Truncate,
}

impl Right {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Read, Self::Append, Self::Claim, Self::Truncate];

    /// As it stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Claim => "claim",
            Self::Truncate => "truncate",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(name: &str) -> Result<Self, UnknownRight> {
        let mut all = Self::ALL.into_iter();
        all.find(|right| right.name() == name).ok_or(UnknownRight)
    }
}

/// A word that is no right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such right; there are read, append, claim and truncate")]
pub struct UnknownRight;

/// A set of rights.
///
/// ```
/// use gleaner_grpc::access::{Right, Rights};
/// let writer = Rights::of([Right::Append, Right::Claim]);
/// assert!(writer.contains(Right::Claim) && !writer.contains(Right::Read));
/// assert_eq!(writer.to_string(), "append, claim");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rights(u8);

impl Rights {
    /// The set of these.
    pub fn of(rights: impl IntoIterator<Item = Right>) -> Self {
        rights.into_iter().collect()
    }

    /// All of them.
    pub fn all() -> Self {
        Self::of(Right::ALL)
    }

    /// Whether this one is among them.
    pub const fn contains(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = Right> {
        Right::ALL
            .into_iter()
            .filter(move |right| self.contains(*right))
    }
}

impl FromIterator<Right> for Rights {
    fn from_iter<I: IntoIterator<Item = Right>>(rights: I) -> Self {
        Self(rights.into_iter().fold(0, |set, right| set | right.bit()))
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, right) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{right}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}
