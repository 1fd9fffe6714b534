//! [`Filter`]: which grains a listing, a feed or a follower is about.

use std::sync::Arc;

use crate::GrainId;

/// A set of grains, given by rule: all of them, or those of one type.
///
/// ```
/// use gleaner_core::{Filter, GrainId};
/// let planes = Filter::grain_type("aircraft");
/// assert!(planes.includes(&GrainId::new("aircraft", "N14228")?));
/// assert!(Filter::all().covers(&planes) && !planes.covers(&Filter::all()));
/// # Ok::<(), gleaner_core::InvalidGrain>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Filter {
    grain_type: Option<Arc<str>>,
}

impl Filter {
    /// Every grain.
    pub const fn all() -> Self {
        Self { grain_type: None }
    }

    /// Every grain of one type, compared as bytes.
    pub fn grain_type(name: impl Into<Arc<str>>) -> Self {
        Self {
            grain_type: Some(name.into()),
        }
    }

    /// The one type it is about, or none if it is about all.
    pub fn only_type(&self) -> Option<&str> {
        self.grain_type.as_deref()
    }

    /// Whether a grain is in the set.
    pub fn includes(&self, grain: &GrainId) -> bool {
        self.grain_type
            .as_deref()
            .is_none_or(|name| name == grain.grain_type())
    }

    /// Whether every grain in `other` is in this one too: a feed position taken with this filter
    /// serves `other` (F3).
    pub fn covers(&self, other: &Self) -> bool {
        self.grain_type.is_none() || self.grain_type == other.grain_type
    }
}
