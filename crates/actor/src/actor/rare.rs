//! [`Rare`]: what an actor holds only while something is wrong or asked.

use std::sync::Arc;

use gleaner_core::{Cursor, Head};

use super::GrainActor;
use super::doubt::Doubt;
use super::state::Command;
use crate::{Moment, Place};

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
    /// The last entry that came unasked since the last poll was sent, and was not applied; `ZERO` for none.
    pub(super) heard: Cursor,
    /// The head that named the grain while what came unasked was applied.
    pub(super) named: Option<Head>,
}

/// Nothing wrong and nothing asked.
pub(super) static NOTHING: Rare = Rare {
    bad: Cursor::ZERO,
    skipped: false,
    command: None,
    doubt: None,
    heard: Cursor::ZERO,
    named: None,
};

impl GrainActor {
    /// Remembers the entry that cannot be applied. What was given up is that entry and no other.
    pub(super) fn note_bad(&mut self, at: Cursor) {
        let rare = self.rare_mut();
        rare.skipped &= rare.bad == at;
        rare.bad = at;
    }

    /// No entry is known to be bad any more.
    pub(super) fn clear_bad(&mut self) {
        self.change_rare(|rare| {
            rare.bad = Cursor::ZERO;
            rare.skipped = false;
        });
    }

    pub(super) fn take_command(&mut self) -> Option<Command> {
        self.change_rare(|rare| rare.command.take())
    }

    pub(super) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING)
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Changes what is rare if there is any, and gives its room back if nothing is left of it.
    pub(super) fn change_rare<T: Default>(&mut self, change: impl FnOnce(&mut Rare) -> T) -> T {
        let Some(rare) = &mut self.rare else {
            return T::default();
        };
        let out = change(rare);
        if **rare == NOTHING {
            self.rare = None;
        }
        out
    }

    pub(super) fn begin_doubt(&mut self, now: Moment, backwards: bool) {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::LateApplyNotLookedFor.is_planted() {
            return;
        }
        let doubt = Doubt::begin(now, &self.policy, backwards, self.rare().doubt);
        self.rare_mut().doubt = Some(doubt);
    }

    /// Takes what a load said.
    pub(super) fn take_loaded(&mut self, now: Moment, place: Place) {
        self.take(place);
        let (policy, mut jitter) = (Arc::clone(&self.policy), self.jitter);
        self.change_rare(|rare| {
            rare.doubt = rare
                .doubt
                .and_then(|doubt| doubt.look(now, &policy, &mut jitter));
        });
        self.jitter = jitter;
    }
}
