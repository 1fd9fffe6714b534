//! What an actor is told by people: pause, resume, skip, seek, rebase, stop.

use gleaner_core::Cursor;

use super::GrainActor;
use super::state::{Command, State, Then, Why};
use crate::{Action, Moment, Refusal, Reply, Step};

impl GrainActor {
    pub(super) fn pause(&mut self) -> Step {
        self.paused = true;
        match self.state {
            State::Resting | State::BackingOff(_) | State::Quarantined => self.wait_paused(),
            _ => Step::of(Action::Nothing),
        }
    }

    pub(super) fn resume(&mut self) -> Step {
        self.paused = false;
        match self.state {
            State::Paused => self.load(),
            _ => Step::of(Action::Nothing),
        }
    }

    pub(super) fn skip(&mut self, now: Moment, expected: Cursor) -> Step {
        if self.is_ending() {
            return Step::refused(Refusal::Stopping);
        }
        let reply = match self.quarantined() {
            None => Reply::Refused(Refusal::NotQuarantined),
            Some(found) if found != expected => Reply::Refused(Refusal::Moved { found }),
            Some(_) => {
                self.rare_mut().skipped = true;
                Reply::Done(self.cursor)
            }
        };
        let step = if reply == Reply::Done(self.cursor) {
            self.poll_now(now)
        } else {
            Step::of(Action::Nothing)
        };
        Step {
            reply: Some(reply),
            ..step
        }
    }

    pub(super) fn told(&mut self, command: Command) -> Step {
        if self.is_ending() {
            return Step::refused(Refusal::Stopping);
        }
        if self.rare().command.is_some()
            || matches!(
                self.state,
                State::Rereading(Why::Asked) | State::Rebasing(Why::Asked)
            )
        {
            return Step::refused(Refusal::Busy);
        }
        if self.is_in_flight() || self.state == State::New {
            self.rare_mut().command = Some(command);
            return Step::of(Action::Nothing);
        }
        if matches!(self.state, State::Paused | State::BackingOff(Then::Load)) {
            // Where the replica stands may be in doubt: compare with what the store says.
            self.rare_mut().command = Some(command);
            return self.load();
        }
        self.perform(command)
    }

    fn is_ending(&self) -> bool {
        self.stopping || self.state == State::Stopped
    }

    /// Begins a command; nothing is in flight.
    pub(super) fn perform(&mut self, command: Command) -> Step {
        let (Command::Seek { expected, .. } | Command::Rebase { expected }) = command;
        if expected != self.cursor {
            return Step::refused(Refusal::Moved { found: self.cursor });
        }
        self.state = State::Rereading(Why::Asked);
        Step::of(match command {
            Command::Seek { to, .. } => Action::ReadUpTo { to },
            Command::Rebase { .. } => Action::Reread,
        })
    }

    /// A command has ended: load, and go on from there.
    pub(super) fn end_command(&mut self, reply: Reply) -> Step {
        let step = self.load_unless_told();
        Step {
            reply: Some(reply),
            ..step
        }
    }

    pub(super) fn stop(&mut self) -> Step {
        self.stopping = true;
        if self.is_in_flight() {
            return Step::of(Action::Nothing);
        }
        self.end()
    }

    pub(super) fn end(&mut self) -> Step {
        self.state = State::Stopped;
        let reply = self
            .take_command()
            .map(|_| Reply::Refused(Refusal::Stopping));
        Step {
            action: Action::Stopped,
            confirms: false,
            reply,
        }
    }

    /// Stop, command and pause come first, in this order.
    pub(super) fn told_meanwhile(&mut self) -> Option<Step> {
        if self.stopping {
            return Some(self.end());
        }
        if let Some(command) = self.take_command() {
            let step = self.perform(command);
            if step.reply.is_none() {
                return Some(step);
            }
            // Refused: go on as if it had not been told, and say so.
            let next = if self.paused {
                self.wait_paused()
            } else {
                self.load()
            };
            return Some(Step {
                reply: step.reply,
                ..next
            });
        }
        self.paused.then(|| self.wait_paused())
    }

    pub(super) fn wait_paused(&mut self) -> Step {
        self.state = State::Paused;
        Step::of(Action::Wait { until: None })
    }
}
