//! [`Filter`]: which grains a listing, a feed or a follower is about.

use std::fmt;
use std::sync::Arc;

use crate::{GrainId, Slice, SliceSet};

/// A set of grains, given by rule: by type, by the beginning of the key, by slices. A grain is in it
/// if it meets each part that was given.
///
/// ```
/// use gleaner_core::{Filter, GrainId};
/// let planes = Filter::grain_type("aircraft");
/// let plane = GrainId::new("aircraft", "N14228")?;
/// assert!(planes.includes(&plane));
/// assert!(Filter::all().covers(&planes) && !planes.covers(&Filter::all()));
///
/// let some = planes.clone().key_prefix("N1");
/// assert!(some.includes(&plane) && planes.covers(&some));
///
/// // Four followers that share the planes: each plane is one's.
/// let mut shares = Vec::new();
/// for index in 0..4 {
///     shares.push(planes.clone().share(index, 4)?);
/// }
/// assert_eq!(shares.iter().filter(|share| share.includes(&plane)).count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A clone costs at most three reference counts. Parts that let everything pass are not kept, so an
/// empty prefix, or all 1,024 slices, make the same filter as none.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    grain_type: Option<Arc<str>>,
    /// Never empty.
    key_prefix: Option<Arc<str>>,
    /// Never full.
    slices: Option<Arc<SliceSet>>,
}

impl Filter {
    /// Every grain.
    pub const fn all() -> Self {
        Self {
            grain_type: None,
            key_prefix: None,
            slices: None,
        }
    }

    /// Every grain of one type, compared as bytes.
    pub fn grain_type(name: impl Into<Arc<str>>) -> Self {
        Self {
            grain_type: Some(name.into()),
            ..Self::all()
        }
    }

    /// Of those, the grains whose key begins with this, compared as bytes; without a type, those of
    /// every type. It takes the place of a former prefix.
    ///
    /// No key is longer than [`GrainId::MAX_PART`] bytes: a longer prefix includes nothing.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.key_prefix = Some(prefix.into()).filter(|prefix| !prefix.is_empty());
        self
    }

    /// Of those, the grains in these [`Slice`]s: `filter.slices(0..256)`. They take the place of
    /// former slices and shares.
    ///
    /// Numbers from [`Slice::COUNT`] on are left out: no grain has such a slice.
    #[must_use]
    pub fn slices(mut self, numbers: impl IntoIterator<Item = u16>) -> Self {
        let set: SliceSet = numbers.into_iter().collect();
        self.slices = (!set.is_full()).then(|| Arc::new(set));
        self
    }

    /// Of those, the share of one of several followers: the `index`-th (from 0) of `of` neighbouring
    /// runs of slices, as equal as they can be. It takes the place of former slices and shares.
    ///
    /// The shares of one number are a partition: every grain is in exactly one. Another number cuts
    /// elsewhere; followers that are added one by one need ranges of slices of their own.
    ///
    /// # Errors
    /// [`InvalidShare`] if there is no such share: `of` is 0 or above [`Slice::COUNT`], or `index` is
    /// not below it. A follower that was miscounted is told, and does not follow nothing in silence.
    pub fn share(self, index: u16, of: u16) -> Result<Self, InvalidShare> {
        if index >= of || of > Slice::COUNT {
            return Err(InvalidShare { index, of });
        }
        // At most 1,024 times 1,024, and below 1,024 after the division.
        let from = |index: u16| {
            let cut = u32::from(index) * u32::from(Slice::COUNT) / u32::from(of);
            u16::try_from(cut).unwrap_or(Slice::COUNT)
        };
        Ok(self.slices(from(index)..from(index + 1)))
    }

    /// The one type it is about, or none if it is about all.
    pub fn only_type(&self) -> Option<&str> {
        self.grain_type.as_deref()
    }

    /// What keys begin with, or none if any key will do.
    pub fn only_prefix(&self) -> Option<&str> {
        self.key_prefix.as_deref()
    }

    /// The slices it is about, or none if it is about all.
    pub fn only_slices(&self) -> Option<&SliceSet> {
        self.slices.as_deref()
    }

    /// Whether a grain is in the set.
    pub fn includes(&self, grain: &GrainId) -> bool {
        self.includes_name(grain.grain_type(), grain.grain_key())
    }

    /// [`Self::includes`], for backends that scan names and make no id of those they pass over.
    pub fn includes_name(&self, grain_type: &str, grain_key: &str) -> bool {
        // The slice last: it costs a hash.
        self.only_type().is_none_or(|name| name == grain_type)
            && self
                .only_prefix()
                .is_none_or(|prefix| grain_key.starts_with(prefix))
            && self
                .only_slices()
                .is_none_or(|set| set.contains(Slice::of_name(grain_type, grain_key)))
    }

    /// Whether every grain in `other` is in this one too: a feed position taken with this filter
    /// serves `other` (F3).
    ///
    /// Decided part by part. It never says so of a filter that is wider; that slices of a prefix of
    /// more than 500 bytes may hold no key at all is not looked at.
    pub fn covers(&self, other: &Self) -> bool {
        other.includes_nothing()
            || (self.grain_type.is_none() || self.grain_type == other.grain_type)
                && self
                    .only_prefix()
                    .is_none_or(|own| other.only_prefix().is_some_and(|its| its.starts_with(own)))
                && self
                    .only_slices()
                    .is_none_or(|own| other.only_slices().is_some_and(|its| its.is_subset(own)))
    }

    /// For backends that keep grains in order: the least id that type and prefix allow, where a scan
    /// begins; none if there is no such id, and nothing to scan.
    pub fn first(&self) -> Option<GrainId> {
        // The least part there can be.
        let least = |part: Option<&str>| part.unwrap_or("\0").to_owned();
        let first = GrainId::new(least(self.only_type()), least(self.only_prefix()));
        first.ok().filter(|_| !self.includes_nothing())
    }

    /// For backends that keep grains in order: whether this grain, which is not before
    /// [`Self::first`], and all behind it lie beyond what type and prefix allow, where a scan ends.
    pub fn is_past(&self, grain: &GrainId) -> bool {
        self.only_type().is_some_and(|name| {
            name != grain.grain_type()
                || self
                    .only_prefix()
                    .is_some_and(|prefix| !grain.grain_key().starts_with(prefix))
        })
    }

    /// No id has an empty type, a part that is too long, or no slice.
    fn includes_nothing(&self) -> bool {
        let too_long = |part: &str| part.len() > GrainId::MAX_PART;
        self.only_type()
            .is_some_and(|name| name.is_empty() || too_long(name))
            || self.only_prefix().is_some_and(too_long)
            || self.only_slices().is_some_and(SliceSet::is_empty)
    }
}

/// For people: `aircraft "N1".. in slices 0-255`. Not an encoding; nothing parses it.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.only_type() {
            Some(name) => write!(f, "{}", name.escape_debug())?,
            None => f.write_str("all grains")?,
        }
        if let Some(prefix) = self.only_prefix() {
            write!(f, " {prefix:?}..")?;
        }
        if let Some(slices) = self.only_slices() {
            write!(f, " in slices {slices}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}

/// A share that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no share {index} of {of}: at most {} shares, counted from 0",
    Slice::COUNT
)]
pub struct InvalidShare {
    index: u16,
    of: u16,
}

#[cfg(test)]
mod tests;
