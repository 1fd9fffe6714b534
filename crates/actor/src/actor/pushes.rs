//! What an actor makes of entries that the log sends unasked (F5).
//!
//! They are hints. A run is applied only where the replica is in step and in no doubt, and only if it
//! fits it; whatever else comes is at most worth a look, and the poll decides. So a run that is lost, doubled,
//! late, out of order, cut or foreign costs a read at the most, and no stop of one rebases or quarantines.
//!
//! # Why a replica that a pushed run has led on is in step again (C3)
//! A replica in step is at no entry below any head that it was named with. A run that fits leads it upwards
//! in the same history, so that is still so. A complete page then confirms: its grain's head is one that
//! the actor was named with by then (F1), or one that stood when the grain was last settled by an answer. What was
//! confirmed before stays true, as the replica holds no less than it did. The push itself proves
//! nothing: another entry may have been written since it was read.
//!
//! A name that comes while the run is applied is compared with where it leads to, and settled by that if it
//! is the same: the log names what it pushes, and to look up every entry that came unasked would double
//! the reads. Any other name is looked up.

use gleaner_core::{Cursor, Head, StopReason};

use super::GrainActor;
use super::state::{Again, How, State};
use crate::{Action, Applied, Health, Moment, Origin, Push, Step};

impl GrainActor {
    pub(super) fn pushed(&mut self, push: &Push) -> Step {
        if push.last <= self.cursor {
            return Step::of(Action::Nothing);
        }
        let base = if push.prev.is_none() {
            push.first
        } else {
            Cursor::ZERO
        };
        let passes = self.rare().bad != Cursor::ZERO && base > self.rare().bad;
        match self.state {
            State::Resting if self.fits(push) => self.apply(How::Pushed),
            #[cfg(gleaner_plant)]
            State::Resting if gleaner_core::plant::Plant::PushedMisfitQuarantines.is_planted() => {
                self.quarantined_by_a_push(push.first)
            }
            State::Resting => self.poll(),
            // Healed by a base above the bad entry, as by a name.
            State::Quarantined if passes => self.poll(),
            State::Quarantined | State::Stopped => Step::of(Action::Nothing),
            _ if passes => self.note(Again::Retry),
            _ => {
                let rare = self.rare_mut();
                rare.heard = rare.heard.max(push.last);
                Step::of(Action::Nothing)
            }
        }
    }

    fn fits(&self, push: &Push) -> bool {
        let follows = match push.prev {
            None => push.first > self.cursor,
            Some(prev) => self.cursor.is_just_below(push.first) && prev == self.digest,
        };
        // What may still land would be a second change in flight.
        follows && self.is_in_step() && !self.is_in_doubt() && !push.foreign
    }

    /// What came unasked was given to the store. It confirms nothing.
    pub(super) fn push_applied(&mut self, now: Moment, result: &Applied) -> Step {
        let same = self.is_at(&result.place);
        self.take(result.place);
        match (&result.stop, result.origin) {
            (Some((_, StopReason::Moved)), _) => self.look_where(now, same),
            // Where it led to is where it was meant to lead to.
            (None, Origin::Push(push)) if push.last == self.cursor && !self.foreign => {
                self.compare_name();
                // A timer that was set before stays set, or entries that come often would put the
                // interval off for ever.
                let step = self
                    .goes_on(now, Health::Live)
                    .unwrap_or(Step::of(Action::Nothing));
                #[cfg(gleaner_plant)]
                let step = Step {
                    confirms: gleaner_core::plant::Plant::PushConfirms.is_planted(),
                    ..step
                };
                step
            }
            #[cfg(gleaner_plant)]
            (Some((at, _)), _)
                if gleaner_core::plant::Plant::PushedMisfitQuarantines.is_planted() =>
            {
                self.quarantined_by_a_push(*at)
            }
            _ => self.poll_unless_told(),
        }
    }

    #[cfg(gleaner_plant)]
    fn quarantined_by_a_push(&mut self, at: Cursor) -> Step {
        self.standing = Health::Quarantined;
        self.rare_mut().bad = at;
        self.state = State::Quarantined;
        Step::of(Action::Wait { until: None })
    }

    pub(super) fn named_under_a_push(&mut self, head: &Head) -> Step {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::NameUnderAPushForgotten.is_planted() {
            return Step::of(Action::Nothing);
        }
        let rare = self.rare_mut();
        if *rare.named.get_or_insert(*head) == *head {
            return Step::of(Action::Nothing);
        }
        self.note(Again::Look)
    }

    fn compare_name(&mut self) {
        if let Some(head) = self.rare().named
            && !self.equals(&head)
        {
            let _ = self.note(Again::Look);
        }
    }

    /// Whether more has come unasked than the replica holds now.
    pub(super) fn has_heard_more(&self) -> bool {
        self.rare().heard > self.cursor
    }

    /// What came unasked is dealt with, or a read that is sent now deals with it.
    pub(super) fn forget_pushes(&mut self) {
        self.change_rare(|rare| {
            rare.heard = Cursor::ZERO;
            rare.named = None;
        });
    }
}
