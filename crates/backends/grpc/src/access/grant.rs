//! [`Grant`]: what the holder of a token may do, and with which grains.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use gleaner_core::{Filter, GrainId};

use super::hash::TokenHash;
use super::right::{Right, Rights};

/// What the holder of a token may do, and with which grains.
///
/// Both are asked before anything is said about a grain, its existence included.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    pub(super) name: Arc<str>,
    pub(super) hash: TokenHash,
    pub(super) rights: Rights,
    /// Empty: every grain. Made of a line, which has rules or leaves them out.
    pub(super) scope: Vec<Filter>,
    pub(super) expires: Option<SystemTime>,
}

impl Grant {
    /// For a leader that is open to all. Its hash is no secret's: no table has it.
    pub(super) fn everything() -> Self {
        Self {
            name: "everyone".into(),
            hash: TokenHash::NONE,
            rights: Rights::all(),
            scope: Vec::new(),
            expires: None,
        }
    }

    /// The token's name in the file, for logs.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All its rights.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// The rules of its scope; none: every grain.
    pub fn scope(&self) -> &[Filter] {
        &self.scope
    }

    /// From when on it is refused.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Whether it has a right.
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(right)
    }

    /// Whether a grain is in its scope: meets a rule, or there are none.
    pub fn includes(&self, grain: &GrainId) -> bool {
        self.scope.is_empty() || self.scope.iter().any(|rule| rule.includes(grain))
    }

    /// Whether every grain of a filter is in its scope, by one rule alone: no entry of the filter
    /// needs to be asked about then. A filter that only several rules cover together is not covered;
    /// what it names must be asked about one by one.
    pub fn covers(&self, filter: &Filter) -> bool {
        self.scope.is_empty() || self.scope.iter().any(|rule| rule.covers(filter))
    }

    pub(super) fn has_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// Without the hash.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("name", &self.name)
            .field("rights", &self.rights)
            .field("scope", &self.scope)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
