//! [`GrainActor`]: the state machine of one followed grain.

mod answers;
mod commands;
mod doubt;
mod pushes;
mod rare;
mod state;

use std::sync::Arc;

use gleaner_core::{Cursor, Digest, Generation, Head};

use self::rare::Rare;
use self::state::{Again, Command, How, State, Then, Why};
use crate::{Action, Event, Health, Jitter, Moment, Place, Policy, Refusal, Reply, Rest, Step};

/// The poll-and-apply actor of one grain.
///
/// # Contract
/// One event in, one step out, whatever the order of events. At most one operation is in flight: an
/// event that answers an operation which is not in flight changes nothing. The replica is in step when
/// cursor and digest equal the head's of an answer to a request; only then does a step confirm, and
/// only then is [`Self::is_in_step`] true, which lets a feed page confirm too (C2 to C4). What the log
/// sends unasked leads a replica on that is in step, and neither confirms nor quarantines (F5). After an
/// operation a stop comes first, then a command, then a pause; only then the next operation. Failures
/// in a row double the wait until the replica moves or the log says how it stands, so that nothing
/// that goes on failing, in log or store, is tried in a hot loop.
///
/// 64 bytes, and no heap of its own while nothing is wrong and nothing asked, so that a million are no
/// burden.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and a byte"
)]
pub struct GrainActor {
    policy: Arc<Policy>,
    cursor: Cursor,
    digest: Digest,
    generation: Generation,
    rare: Option<Box<Rare>>,
    jitter: Jitter,
    state: State,
    standing: Health,
    failures: u8,
    /// A feed names this grain when it moves: no timer is needed while it rests.
    fed: bool,
    /// The replica was read from another log.
    foreign: bool,
    /// What happened since the last poll was sent: whether to look again after what is in flight.
    again: Again,
    /// What is known of the log came into doubt under the operation in flight: load after it.
    reload: bool,
    paused: bool,
    stopping: bool,
}

impl GrainActor {
    /// An actor that has not started. `fed` says that a feed names the grain when it moves.
    pub fn new(policy: Arc<Policy>, jitter: Jitter, fed: bool) -> Self {
        Self {
            policy,
            cursor: Cursor::ZERO,
            digest: Digest::ZERO,
            generation: Generation::default(),
            rare: None,
            jitter,
            state: State::New,
            standing: Health::Bootstrapping,
            failures: 0,
            fed,
            foreign: false,
            again: Again::No,
            reload: false,
            paused: false,
            stopping: false,
        }
    }

    pub(crate) fn resting(policy: Arc<Policy>, jitter: Jitter, fed: bool, rest: Rest) -> Self {
        Self {
            cursor: rest.cursor(),
            digest: rest.digest(),
            state: State::Resting,
            standing: Health::Live,
            ..Self::new(policy, jitter, fed)
        }
    }

    /// What is left to know of it if it rests in step and nothing else is the matter.
    pub fn rest(&self) -> Option<Rest> {
        let quiet = self.is_in_step()
            && self.rare.is_none()
            && self.generation == Generation::default()
            && self.again == Again::No
            && !(self.reload || self.paused || self.stopping);
        quiet.then(|| Rest::new(self.cursor, self.digest))
    }

    /// Takes over what a former actor of this grain did not learn: a change that the store failed to
    /// answer may still land after the grain was unfollowed and is followed again.
    #[must_use]
    pub fn after(mut self, former: &Self) -> Self {
        if let Some(doubt) = former.rare().doubt {
            self.rare_mut().doubt = Some(doubt);
        }
        self.generation = former.generation;
        self
    }

    /// Whether a change that the store failed to answer may still land.
    pub fn is_in_doubt(&self) -> bool {
        self.rare().doubt.is_some()
    }

    /// Whether a change that may still land can set the replica back.
    fn may_be_set_back(&self) -> bool {
        self.rare().doubt.is_some_and(|doubt| doubt.backwards)
    }

    /// How the replica stands.
    pub fn health(&self) -> Health {
        if self.paused {
            Health::Paused
        } else {
            self.standing
        }
    }

    /// Whether it rests in step with the log: a complete feed page that does not name it otherwise
    /// confirms it (C3).
    pub fn is_in_step(&self) -> bool {
        self.state == State::Resting
            && self.standing == Health::Live
            && !self.foreign
            && !self.may_be_set_back()
    }

    /// Whether an operation is in flight for it.
    pub fn is_busy(&self) -> bool {
        self.is_in_flight()
    }

    /// Where the replica stood when it was last heard of.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The entry that is quarantined, if one is.
    pub fn quarantined(&self) -> Option<Cursor> {
        (self.standing == Health::Quarantined).then_some(self.rare().bad)
    }

    /// What `event` leads to at `now`.
    pub fn on(&mut self, now: Moment, event: &Event) -> Step {
        match event {
            Event::Start if self.state == State::New => self.load(),
            Event::Loaded { place, listed } if self.state == State::Loading => {
                self.loaded(now, *place, listed.as_ref())
            }
            Event::LoadFailed if self.state == State::Loading => self.back_off(now, Then::Load),
            Event::Timer => self.timer(now),
            Event::Named(head) => self.named(head),
            Event::Pushed(push) => self.pushed(push),
            Event::Doubted => self.doubted(),
            Event::CaughtUp(answer) => match self.state {
                State::Polling => self.polled(now, *answer),
                State::Rereading(why) => self.reread(now, *answer, why),
                _ => Step::of(Action::Nothing),
            },
            Event::Deferred if self.state == State::Polling => self.poll_unless_told(),
            Event::Deferred => self.if_reading(|actor| actor.back_off(now, Then::Poll)),
            Event::ReadFailed => self.if_reading(|actor| actor.back_off(now, Then::Poll)),
            Event::Unreadable(at) => self.if_reading(|actor| actor.quarantine(now, *at)),
            Event::Applied(result) => match self.state {
                State::Applying(how) => self.applied(now, result, how),
                _ => Step::of(Action::Nothing),
            },
            Event::Rebased(result) => match self.state {
                State::Rebasing(why) => self.rebased(now, result, why),
                _ => Step::of(Action::Nothing),
            },
            Event::ApplyFailed => match self.state {
                State::Applying(_) => {
                    self.begin_doubt(now, false);
                    self.back_off(now, Then::Load)
                }
                State::Rebasing(_) => {
                    self.begin_doubt(now, true);
                    self.back_off(now, Then::Load)
                }
                _ => Step::of(Action::Nothing),
            },
            Event::Pause => self.pause(),
            Event::Resume => self.resume(),
            Event::PollNow => self.poll_now(now),
            Event::Skip { expected } => self.skip(now, *expected),
            Event::Seek { expected, to } => self.told(Command::Seek {
                expected: *expected,
                to: *to,
            }),
            Event::Rebase { expected } => self.told(Command::Rebase {
                expected: *expected,
            }),
            Event::Stop => self.stop(),
            Event::Start | Event::Loaded { .. } | Event::LoadFailed => Step::of(Action::Nothing),
        }
    }

    // Hints.

    fn timer(&mut self, now: Moment) -> Step {
        let look = self.rare().doubt.is_some_and(|doubt| doubt.due <= now);
        match self.state {
            State::Resting | State::Quarantined if look => self.load(),
            State::Resting | State::Quarantined | State::BackingOff(Then::Poll) => self.poll(),
            State::BackingOff(Then::Load) => self.load(),
            // Set before what is applied came unasked: its interval is not put off by that.
            State::Applying(How::Pushed) => self.note(Again::Look),
            _ => Step::of(Action::Nothing),
        }
    }

    fn named(&mut self, head: &Head) -> Step {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::HintQuarantines.is_planted()
            && self.state == State::Resting
            && !self.equals(head)
        {
            self.standing = Health::Quarantined;
            self.rare_mut().bad = head.cursor;
            self.state = State::Quarantined;
            return Step::of(Action::Wait { until: None });
        }
        match self.state {
            State::Resting if self.equals(head) && self.standing == Health::Live => {
                Step::of(Action::Nothing)
            }
            State::Resting => self.poll(),
            State::Applying(How::Pushed) => self.named_under_a_push(head),
            // Healed by the next base above the bad entry, and then at once.
            State::Quarantined if head.base > self.rare().bad => self.poll(),
            _ if self.rare().bad != Cursor::ZERO && head.base > self.rare().bad => {
                self.note(Again::Retry)
            }
            _ => self.note(Again::Look),
        }
    }

    /// The one recovery path of every doubt: load, and go on from there.
    fn doubted(&mut self) -> Step {
        match self.state {
            State::Resting | State::Quarantined => self.load(),
            State::BackingOff(_) => {
                self.state = State::BackingOff(Then::Load);
                Step::of(Action::Nothing)
            }
            _ => {
                self.reload |= self.is_in_flight();
                Step::of(Action::Nothing)
            }
        }
    }

    fn poll_now(&mut self, now: Moment) -> Step {
        match self.state {
            State::Resting | State::Quarantined | State::BackingOff(_) => {
                self.failures = 0;
                self.timer(now)
            }
            _ => self.note(Again::Retry),
        }
    }

    /// Remembers to look again after the operation in flight. With none in flight too: a load that
    /// follows may be given a head that was listed before this.
    fn note(&mut self, again: Again) -> Step {
        self.again = self.again.max(again);
        Step::of(Action::Nothing)
    }

    // What every ended operation leads to, unless something was told meanwhile.

    fn is_in_flight(&self) -> bool {
        matches!(
            self.state,
            State::Loading
                | State::Polling
                | State::Applying(_)
                | State::Rereading(_)
                | State::Rebasing(_)
        )
    }

    fn settle(&mut self, now: Moment, health: Health, confirms: bool) -> Step {
        let confirms = confirms && !self.may_be_set_back();
        if let Some(step) = self.goes_on(now, health) {
            return Step { confirms, ..step };
        }
        let look = self.rare().doubt.map(|doubt| doubt.due);
        // A feed names what moves; without one, and for a bad entry that is given up, look every
        // interval. What may still land is named by nobody: look for it too.
        let poll = (!self.fed || health == Health::Quarantined)
            .then(|| now.plus(self.policy.rest(&mut self.jitter)));
        Step {
            action: Action::Wait {
                until: poll.into_iter().chain(look).min(),
            },
            confirms,
            reply: None,
        }
    }

    /// Takes a replica's standing; what is to be done first, or none if it rests now.
    fn goes_on(&mut self, now: Moment, health: Health) -> Option<Step> {
        self.standing = health;
        if health != Health::Quarantined {
            self.failures = 0;
        }
        if health == Health::Live {
            self.clear_bad();
        }
        if let Some(step) = self.told_meanwhile() {
            return Some(step);
        }
        let look = self.rare().doubt.map(|doubt| doubt.due);
        if self.reload || look.is_some_and(|due| due <= now) {
            return Some(self.load());
        }
        // Names alone do not make a bad entry worth another look; the interval does.
        let named = self.again == Again::Look || self.has_heard_more();
        if self.again == Again::Retry || (named && health != Health::Quarantined) {
            return Some(self.poll());
        }
        self.forget_pushes();
        self.state = if health == Health::Quarantined {
            State::Quarantined
        } else {
            State::Resting
        };
        None
    }

    fn quarantine(&mut self, now: Moment, at: Cursor) -> Step {
        if self.state == State::Rereading(Why::Asked) {
            return self.end_command(Reply::Refused(Refusal::NotApplicable { at }));
        }
        let unknown = self.rare().bad == Cursor::ZERO;
        self.note_bad(at);
        self.standing = Health::Quarantined;
        self.failures = self.failures.saturating_add(1);
        if let Some(step) = self.told_meanwhile() {
            return step;
        }
        if self.reload {
            return self.load();
        }
        // What was named before the entry was known to be bad may have passed it, so it is worth one
        // look. Trying a bad entry again waits, however often the grain is named.
        let named = self.again == Again::Look || self.rare().heard > at;
        if self.again == Again::Retry || (named && unknown) {
            return self.poll();
        }
        self.forget_pushes();
        self.state = State::Quarantined;
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::QuarantineForEver.is_planted() {
            self.state = State::Paused;
            return Step::of(Action::Wait { until: None });
        }
        let wait = self.policy.backoff(self.failures, &mut self.jitter);
        Step::of(Action::Wait {
            until: Some(now.plus(wait)),
        })
    }

    fn back_off(&mut self, now: Moment, then: Then) -> Step {
        let asked = matches!(
            self.state,
            State::Rereading(Why::Asked) | State::Rebasing(Why::Asked)
        );
        let then = if self.reload { Then::Load } else { then };
        // Where the replica stands is in doubt: a command that compares has nothing to compare with.
        let in_doubt = then == Then::Load && !self.stopping && self.take_command().is_some();
        let reply = (asked || in_doubt).then_some(Reply::Failed);
        self.failures = self.failures.saturating_add(1);
        if let Some(step) = self.told_meanwhile() {
            return Step {
                reply: step.reply.or(reply),
                ..step
            };
        }
        self.state = State::BackingOff(then);
        let wait = self.policy.backoff(self.failures, &mut self.jitter);
        Step {
            action: Action::Wait {
                until: Some(now.plus(wait)),
            },
            confirms: false,
            reply,
        }
    }

    fn if_reading(&mut self, then: impl FnOnce(&mut Self) -> Step) -> Step {
        match self.state {
            State::Polling | State::Rereading(_) => then(self),
            _ => Step::of(Action::Nothing),
        }
    }

    fn poll_unless_told(&mut self) -> Step {
        self.told_meanwhile().unwrap_or_else(|| self.poll())
    }

    fn load_unless_told(&mut self) -> Step {
        self.told_meanwhile().unwrap_or_else(|| self.load())
    }

    fn reread_unless_told(&mut self) -> Step {
        self.told_meanwhile().unwrap_or_else(|| {
            self.state = State::Rereading(Why::Misfit);
            Step::of(Action::Reread)
        })
    }

    fn poll(&mut self) -> Step {
        self.again = Again::No;
        self.forget_pushes();
        self.state = State::Polling;
        Step::of(Action::CatchUp { from: self.cursor })
    }

    fn load(&mut self) -> Step {
        self.reload = false;
        self.state = State::Loading;
        Step::of(Action::Load)
    }

    fn take(&mut self, place: Place) {
        if place.generation != self.generation {
            self.change_rare(|rare| rare.doubt = None);
        }
        self.cursor = place.cursor;
        self.digest = place.digest;
        self.generation = place.generation;
        self.foreign = place.foreign;
    }
}

impl Step {
    const fn of(action: Action) -> Self {
        Self {
            action,
            confirms: false,
            reply: None,
        }
    }

    const fn refused(refusal: Refusal) -> Self {
        Self {
            action: Action::Nothing,
            confirms: false,
            reply: Some(Reply::Refused(refusal)),
        }
    }
}
