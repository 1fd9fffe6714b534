//! What an actor makes of the answers of log and store.

use gleaner_core::{Cursor, Expected, Head, StopReason};

use super::GrainActor;
use super::rare::Rare;
use super::state::{How, State, Then, Why};
use crate::{Action, Answer, Applied, Health, Moment, Origin, Place, Refusal, Reply, Rest, Step};

/// What an answer says of a replica.
enum Verdict {
    /// This is how it stands; there is nothing to apply.
    Stands(Health),
    /// The log has more: towards this head.
    Behind(Head),
    /// The log says that it has more, and gives nothing.
    Senseless,
}

impl GrainActor {
    pub(super) fn loaded(&mut self, now: Moment, place: Place, listed: Option<&Head>) -> Step {
        self.take_loaded(now, place);
        let in_step = listed.is_some_and(|head| !self.foreign && self.equals(head));
        if in_step {
            return self.settle(now, Health::Live, true);
        }
        self.poll_unless_told()
    }

    pub(super) fn polled(&mut self, now: Moment, answer: Answer) -> Step {
        match self.judge(&answer) {
            Verdict::Stands(health) => self.settle(now, health, health == Health::Live),
            Verdict::Behind(head) => {
                // What was given up is waited out. If the log has lost it, there is nothing to wait for.
                let Rare { bad, skipped, .. } = *self.rare();
                if skipped && head.base <= bad && bad <= head.cursor {
                    return self.settle(now, Health::Quarantined, false);
                }
                // The poll was the operation in flight; another does not begin if something was told.
                self.told_meanwhile()
                    .unwrap_or_else(|| self.apply(How::Polled))
            }
            Verdict::Senseless => self.back_off(now, Then::Poll),
        }
    }

    pub(super) fn apply(&mut self, how: How) -> Step {
        self.state = State::Applying(how);
        Step::of(Action::Apply {
            generation: self.generation,
        })
    }

    /// Base..head has come, for the delta rule or for an operator.
    pub(super) fn reread(&mut self, now: Moment, answer: Answer, why: Why) -> Step {
        let expected = Expected {
            cursor: self.cursor,
            generation: self.generation,
        };
        if why == Why::Asked {
            let refusal = if self.stopping {
                Some(Refusal::Stopping)
            } else if answer.foreign {
                Some(Refusal::Foreign)
            } else if answer.first.is_none() {
                Some(Refusal::NothingThere)
            } else {
                None
            };
            if let Some(refusal) = refusal {
                return self.end_command(Reply::Refused(refusal));
            }
            self.state = State::Rebasing(why);
            return Step::of(Action::Rebase { expected });
        }
        match self.judge(&answer) {
            // The log has lost its tail, or everything, since it named the entry that did not fit:
            // the replica may be the last copy and is kept.
            Verdict::Stands(health) => self.settle(now, health, health == Health::Live),
            Verdict::Behind(head) => self.told_meanwhile().unwrap_or_else(|| {
                if head.base > self.cursor {
                    return self.apply(How::Reread);
                }
                self.state = State::Rebasing(why);
                Step::of(Action::Rebase { expected })
            }),
            Verdict::Senseless => self.back_off(now, Then::Poll),
        }
    }

    pub(super) fn applied(&mut self, now: Moment, result: &Applied, how: How) -> Step {
        if how == How::Pushed {
            return self.push_applied(now, result);
        }
        let moved = result.applied > 0;
        let same = self.is_at(&result.place);
        self.take(result.place);
        match &result.stop {
            None => self.arrived(now, &result.origin, moved),
            Some((at, why)) => match why {
                StopReason::Moved => self.look_where(now, same),
                StopReason::ForeignLog => self.settle(now, Health::Foreign, false),
                #[cfg(gleaner_plant)]
                StopReason::Gap | StopReason::Fold(_)
                    if gleaner_core::plant::Plant::MisfitNotReread.is_planted() =>
                {
                    self.settle(now, Health::Live, false)
                }
                StopReason::Gap | StopReason::Fold(_) if how == How::Polled => {
                    self.note_bad(*at);
                    self.reread_unless_told()
                }
                StopReason::Gap
                | StopReason::Fold(_)
                | StopReason::NoFold
                | StopReason::Schema { .. }
                | StopReason::TooLarge { .. }
                | StopReason::NoBase => self.quarantine(now, *at),
            },
        }
    }

    pub(super) fn rebased(&mut self, now: Moment, result: &Applied, why: Why) -> Step {
        let same = self.is_at(&result.place);
        self.take(result.place);
        let done = match &result.stop {
            None => Ok(()),
            Some((_, StopReason::Moved)) => Err(Refusal::Moved { found: self.cursor }),
            Some((_, StopReason::ForeignLog)) => Err(Refusal::Foreign),
            Some((at, _)) => Err(Refusal::NotApplicable { at: *at }),
        };
        match (done, why) {
            (Ok(()), Why::Misfit) => self.arrived(now, &result.origin, true),
            (Ok(()), Why::Asked) => {
                self.clear_bad();
                if self.standing != Health::Live {
                    // What stood in the way is gone; the next answer says how it stands now.
                    self.standing = Health::Bootstrapping;
                }
                self.end_command(Reply::Done(self.cursor))
            }
            (Err(refusal), Why::Asked) => self.end_command(Reply::Refused(refusal)),
            (Err(Refusal::NotApplicable { at }), Why::Misfit) => self.quarantine(now, at),
            (Err(Refusal::Foreign), Why::Misfit) => self.settle(now, Health::Foreign, false),
            (Err(_), Why::Misfit) => self.look_where(now, same),
        }
    }

    /// The store says that the replica has moved: load. If it stands where it stood, the store
    /// contradicts itself, and not in a hot loop.
    pub(super) fn look_where(&mut self, now: Moment, same: bool) -> Step {
        if same {
            self.back_off(now, Then::Load)
        } else {
            self.load_unless_told()
        }
    }

    pub(super) fn is_at(&self, place: &Place) -> bool {
        self.cursor == place.cursor && self.generation == place.generation
    }

    /// A run is applied whole.
    fn arrived(&mut self, now: Moment, origin: &Origin, moved: bool) -> Step {
        let Origin::Answer(answer) = origin else {
            // No answer, so nothing is known of the head.
            return self.poll_unless_told();
        };
        if moved && self.cursor >= self.rare().bad {
            self.clear_bad();
            self.failures = 0;
        }
        if !answer.complete {
            // Behind: on at once. A run that moves nothing would be asked for for ever.
            return if moved {
                self.poll_unless_told()
            } else {
                self.back_off(now, Then::Poll)
            };
        }
        match self.judge(answer) {
            // Another apply (a lost one that came late) has led beyond this answer: a newer decides.
            Verdict::Stands(Health::Ahead) => self.poll_unless_told(),
            Verdict::Stands(health) => self.settle(now, health, health == Health::Live),
            Verdict::Behind(_) | Verdict::Senseless => self.back_off(now, Then::Poll),
        }
    }

    /// Standing of a replica: what an answer says of it.
    fn judge(&self, answer: &Answer) -> Verdict {
        if answer.foreign || self.foreign {
            return Verdict::Stands(Health::Foreign);
        }
        let Some(head) = answer.head else {
            // Nothing here and nothing there is in step.
            let nothing = self.cursor == Cursor::ZERO;
            return Verdict::Stands(if nothing {
                Health::Live
            } else {
                Health::Missing
            });
        };
        match head.cursor.cmp(&self.cursor) {
            #[cfg(gleaner_plant)]
            std::cmp::Ordering::Less if gleaner_core::plant::Plant::AheadIsLive.is_planted() => {
                Verdict::Stands(Health::Live)
            }
            std::cmp::Ordering::Less => Verdict::Stands(Health::Ahead),
            std::cmp::Ordering::Equal if self.equals(&head) => Verdict::Stands(Health::Live),
            std::cmp::Ordering::Equal => Verdict::Stands(Health::Diverged),
            std::cmp::Ordering::Greater if answer.first.is_none() => Verdict::Senseless,
            std::cmp::Ordering::Greater => Verdict::Behind(head),
        }
    }

    pub(super) fn equals(&self, head: &Head) -> bool {
        Rest::new(self.cursor, self.digest).is_at(head)
    }
}
