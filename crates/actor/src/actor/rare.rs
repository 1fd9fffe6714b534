//! [`Rare`]: what an actor holds only while something is wrong or asked.

use gleaner_core::Cursor;

use super::doubt::Doubt;
use super::state::Command;

/// Kept beside the actor, so that the many that rest do not hold room for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rare {
    /// The entry that cannot be applied; `ZERO` for none.
    pub(super) bad: Cursor,
    /// That entry is given up.
    pub(super) skipped: bool,
    /// What was told and waits for the operation in flight.
    pub(super) command: Option<Command>,
    /// What the store failed to answer may still land.
    pub(super) doubt: Option<Doubt>,
}

/// Nothing wrong and nothing asked.
pub(super) static NOTHING: Rare = Rare {
    bad: Cursor::ZERO,
    skipped: false,
    command: None,
    doubt: None,
};
