//! What comes back: answers of log and store, told to the actors that they concern.

use std::sync::atomic::Ordering;

use gleaner_actor::{Answer, Applied, Event, Origin, Place};
use gleaner_core::{
    CatchUp, Caught, Cursor, Entry, Error, ErrorKind, GrainId, LogId, Mark, Outcome,
};

use super::grains::{Cargo, bytes};
use super::lines;
use super::ops::{Loaded, RunInfo, Whole};
use super::shard::Shard;
use super::slots::Slot;
use crate::clock::Reading;
use crate::reach::Asked;

impl Shard {
    pub(super) fn loaded(&mut self, slots: Vec<u32>, result: Result<Loaded, (Asked, Error)>) {
        self.queues.loading = self.queues.loading.saturating_sub(1);
        let mut marks = match result {
            Ok((bound, marks)) => {
                self.tools.shared.answered(Asked::Binding);
                self.tools.shared.answered(Asked::Cursors);
                self.tools.shared.found_bound(&bound);
                marks.into_iter()
            }
            Err((asked, error)) => {
                self.tools.shared.failed(asked, &error);
                Vec::new().into_iter()
            }
        };
        for number in slots {
            let mark = match marks.next() {
                Some(Ok(mark)) => mark,
                Some(Err(error)) => {
                    self.unloadable(number, &error);
                    continue;
                }
                None => {
                    self.tell(number, &Event::LoadFailed);
                    continue;
                }
            };
            let place = self.place(&mark);
            let moved = self.moved_unheard(number, mark.cursor);
            let awake = self
                .slots
                .get_mut(number)
                .and_then(|(slot, _)| slot.awake());
            let listed = awake.and_then(|awake| awake.listed.take());
            let cargo = Cargo {
                t0: listed.map(|(_, t0)| t0),
                ..Cargo::default()
            };
            let listed = listed.map(|(head, _)| head);
            self.tell_with(number, &Event::Loaded { place, listed }, cargo);
            if let Some(grain) = moved {
                self.tools.shared.moved(&grain, place.cursor);
            }
        }
    }

    /// The store holds a replica that it cannot read. It may be mended, or rebased; the grain is tried
    /// again after a backoff, and it is said once.
    fn unloadable(&mut self, number: u32, error: &Error) {
        self.tools.shared.erred(Asked::Cursors, error);
        let awake = self
            .slots
            .get_mut(number)
            .and_then(|(slot, _)| slot.awake());
        if let Some(awake) = awake
            && !std::mem::replace(&mut awake.unloadable, true)
        {
            lines::unloadable(error);
        }
        self.tell(number, &Event::LoadFailed);
    }

    /// The grain, if its replica moved since it was last heard of: an apply took effect whose answer was
    /// lost. What the store held at the start is no move.
    fn moved_unheard(&mut self, number: u32, found: Cursor) -> Option<GrainId> {
        let (slot, _) = self.slots.get_mut(number)?;
        let known = slot.cursor();
        let first = !std::mem::replace(&mut slot.awake()?.loaded, true);
        if first || known == found {
            return None;
        }
        self.grain(number)
    }

    pub(super) fn caught_up(
        &mut self,
        slots: Vec<u32>,
        t0: Reading,
        result: Result<CatchUp, Error>,
    ) {
        self.queues.reading = self.queues.reading.saturating_sub(1);
        #[cfg(gleaner_plant)]
        let t0 = if gleaner_core::plant::Plant::ConfirmedAtTheReply.is_planted() {
            self.tools.shared.t0()
        } else {
            t0
        };
        let (log, grains) = match result {
            Ok(answer) => (answer.identity.log, answer.grains),
            Err(error) => {
                self.tools.shared.failed(Asked::Reads, &error);
                for number in slots {
                    self.tell(number, &Event::ReadFailed);
                }
                return;
            }
        };
        self.tools.shared.answered(Asked::Reads);
        let foreign = self.tools.shared.is_foreign(&log);
        // The first grain that moved is always served (L8). A log that serves none and puts some off
        // would be asked again for ever.
        let served = grains
            .iter()
            .any(|caught| matches!(caught, Caught::Run(run) if !run.entries.is_empty()));
        let mut grains = grains.into_iter();
        for number in slots {
            match grains.next() {
                Some(Caught::Run(run)) => {
                    let answer = Answer {
                        head: run.head,
                        first: run.entries.first().map(Entry::cursor),
                        complete: run.complete,
                        foreign,
                    };
                    self.brought(number, t0, log.clone(), run.entries, answer);
                }
                Some(Caught::Deferred) if served => self.tell(number, &Event::Deferred),
                Some(Caught::Failed(error)) => {
                    self.tools.shared.erred(Asked::Reads, &error);
                    self.unreadable(number, &error);
                }
                Some(Caught::Deferred) | None => self.tell(number, &Event::ReadFailed),
            }
        }
    }

    pub(super) fn reread(&mut self, number: u32, t0: Reading, result: Result<Whole, Error>) {
        self.queues.reading = self.queues.reading.saturating_sub(1);
        match result {
            Ok(Whole { log, head, entries }) => {
                self.tools.shared.answered(Asked::Reads);
                let foreign = self.tools.shared.is_foreign(&log);
                let first = entries.first().map(Entry::cursor);
                let answer = Answer {
                    head,
                    first,
                    complete: true,
                    foreign,
                };
                self.brought(number, t0, log, entries, answer);
            }
            Err(error) => {
                if error.is_retryable() {
                    self.tools.shared.failed(Asked::Reads, &error);
                } else {
                    self.tools.shared.erred(Asked::Reads, &error);
                }
                self.unreadable(number, &error);
            }
        }
    }

    fn brought(
        &mut self,
        number: u32,
        t0: Reading,
        log: LogId,
        entries: Vec<Entry>,
        answer: Answer,
    ) {
        self.tools
            .shared
            .counts
            .came(entries.len(), bytes(&entries));
        let cargo = Cargo {
            t0: Some(t0),
            run: Some((log, entries, Origin::Answer(answer))),
            why: None,
        };
        self.tell_with(number, &Event::CaughtUp(answer), cargo);
    }

    /// The log answered, and this grain could not be read.
    fn unreadable(&mut self, number: u32, error: &Error) {
        if !matches!(error.kind(), ErrorKind::Permanent | ErrorKind::Invalid) {
            self.tell(number, &Event::ReadFailed);
            return;
        }
        let at = error
            .cursor()
            .or_else(|| self.slots.get(number).map(Slot::cursor));
        let cargo = Cargo {
            why: Some(error.to_string()),
            ..Cargo::default()
        };
        self.tell_with(number, &Event::Unreadable(at.unwrap_or_default()), cargo);
    }

    pub(super) fn applied(&mut self, runs: Vec<RunInfo>, result: Result<Vec<Outcome>, Error>) {
        self.queues.applying = self.queues.applying.saturating_sub(1);
        let mut outcomes = match result {
            Ok(outcomes) => {
                self.tools.shared.answered(Asked::Writes);
                outcomes.into_iter()
            }
            Err(error) => {
                self.tools.shared.failed(Asked::Writes, &error);
                Vec::new().into_iter()
            }
        };
        for run in runs {
            match outcomes.next() {
                Some(outcome) => self.landed(&run, outcome, Event::Applied),
                None => self.tell(run.slot, &Event::ApplyFailed),
            }
        }
    }

    pub(super) fn rebased(&mut self, run: &RunInfo, result: Result<Outcome, Error>) {
        match result {
            Ok(outcome) => {
                self.tools.shared.answered(Asked::Writes);
                if outcome.stop.is_none()
                    && outcome.mark.cursor < run.before
                    && let Some(grain) = self.grain(run.slot)
                {
                    lines::lowered(&grain, run.before, outcome.mark.cursor);
                }
                self.landed(run, outcome, Event::Rebased);
            }
            Err(error) => {
                self.tools.shared.failed(Asked::Writes, &error);
                self.tell(run.slot, &Event::ApplyFailed);
            }
        }
    }

    fn landed(&mut self, run: &RunInfo, outcome: Outcome, event: impl Fn(Applied) -> Event) {
        let place = self.place(&outcome.mark);
        let moved = outcome.applied > 0;
        let why = outcome
            .stop
            .as_ref()
            .map(|stop| format!("{}: {}", stop.at, stop.why));
        let applied = Applied {
            place,
            applied: outcome.applied,
            stop: outcome.stop.map(|stop| (stop.at, stop.why)),
            origin: run.origin,
        };
        self.tools
            .shared
            .counts
            .entries_applied
            .fetch_add(applied.applied as u64, Ordering::Relaxed);
        let cargo = Cargo {
            t0: run.t0,
            run: None,
            why,
        };
        let grain = if moved { self.grain(run.slot) } else { None };
        self.tell_with(run.slot, &event(applied), cargo);
        if let Some(grain) = grain {
            self.tools.shared.moved(&grain, place.cursor);
        }
    }

    fn place(&self, mark: &Mark) -> Place {
        let foreign = mark
            .log
            .as_ref()
            .is_some_and(|log| !self.tools.shared.is_bound(log));
        Place::of(mark, foreign)
    }
}
