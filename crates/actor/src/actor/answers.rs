//! What an actor makes of the answers of log and store.

use gleaner_core::{Cursor, Expected, Head, StopReason};

use super::GrainActor;
use super::state::{State, Then, Why};
use crate::{Action, Answer, Applied, Health, Moment, Place, Refusal, Reply, Step};

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
        self.take(place);
        let in_step = listed.is_some_and(|head| !self.foreign && self.equals(head));
        if in_step {
            return self.settle(now, Health::Live, true);
        }
        self.poll_unless_told()
    }

    pub(super) fn polled(&mut self, now: Moment, answer: Answer) -> Step {
        self.failures = if self.bad == Cursor::ZERO {
            0
        } else {
            self.failures
        };
        match self.judge(&answer) {
            Verdict::Stands(health) => self.settle(now, health, health == Health::Live),
            Verdict::Behind(head) => {
                if self.skipped && head.base <= self.bad {
                    return self.settle(now, Health::Quarantined, false);
                }
                self.state = State::Applying;
                Step::of(Action::Apply {
                    generation: self.generation,
                })
            }
            Verdict::Senseless => self.back_off(now, Then::Poll),
        }
    }

    /// Base..head has come, for the delta rule or for an operator.
    pub(super) fn reread(&mut self, now: Moment, answer: Answer, why: Why) -> Step {
        let expected = Expected {
            cursor: self.cursor,
            generation: self.generation,
        };
        if why == Why::Asked {
            let refusal = if answer.foreign {
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
            Verdict::Behind(head) if head.base > self.cursor => {
                self.state = State::Applying;
                Step::of(Action::Apply {
                    generation: self.generation,
                })
            }
            Verdict::Behind(_) => {
                self.state = State::Rebasing(why);
                Step::of(Action::Rebase { expected })
            }
            Verdict::Senseless => self.back_off(now, Then::Poll),
        }
    }

    pub(super) fn applied(&mut self, now: Moment, result: &Applied) -> Step {
        let moved = result.applied > 0;
        self.take(result.place);
        match &result.stop {
            None => self.arrived(now, &result.answer, moved),
            Some((at, why)) => match why {
                StopReason::Moved => self.load_unless_told(),
                StopReason::ForeignLog => self.settle(now, Health::Foreign, false),
                StopReason::Gap | StopReason::Fold(_) => {
                    self.bad = *at;
                    self.reread_unless_told()
                }
                StopReason::NoFold
                | StopReason::Schema { .. }
                | StopReason::TooLarge { .. }
                | StopReason::NoBase => self.quarantine(now, *at),
            },
        }
    }

    pub(super) fn rebased(&mut self, now: Moment, result: &Applied, why: Why) -> Step {
        self.take(result.place);
        let done = match &result.stop {
            None => Ok(()),
            Some((_, StopReason::Moved)) => Err(Refusal::Moved { found: self.cursor }),
            Some((_, StopReason::ForeignLog)) => Err(Refusal::Foreign),
            Some((at, _)) => Err(Refusal::NotApplicable { at: *at }),
        };
        match (done, why) {
            (Ok(()), Why::Misfit) => self.arrived(now, &result.answer, true),
            (Ok(()), Why::Asked) => {
                self.bad = Cursor::ZERO;
                self.skipped = false;
                self.end_command(Reply::Done(self.cursor))
            }
            (Err(refusal), Why::Asked) => self.end_command(Reply::Refused(refusal)),
            (Err(Refusal::NotApplicable { at }), Why::Misfit) => self.quarantine(now, at),
            (Err(Refusal::Foreign), Why::Misfit) => self.settle(now, Health::Foreign, false),
            (Err(_), Why::Misfit) => self.load_unless_told(),
        }
    }

    /// A run is applied whole.
    pub(super) fn arrived(&mut self, now: Moment, answer: &Answer, moved: bool) -> Step {
        if moved && self.cursor >= self.bad {
            self.bad = Cursor::ZERO;
            self.skipped = false;
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
            std::cmp::Ordering::Less => Verdict::Stands(Health::Ahead),
            std::cmp::Ordering::Equal if self.equals(&head) => Verdict::Stands(Health::Live),
            std::cmp::Ordering::Equal => Verdict::Stands(Health::Diverged),
            std::cmp::Ordering::Greater if answer.first.is_none() => Verdict::Senseless,
            std::cmp::Ordering::Greater => Verdict::Behind(head),
        }
    }

    pub(super) fn equals(&self, head: &Head) -> bool {
        head.cursor == self.cursor && head.digest == self.digest
    }
}
