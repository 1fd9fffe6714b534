//! For the tests of the invariants: histories made by hand.

use std::time::Duration;

use gleaner::{Cursor, Draft, Entry, Generation, GrainId, Health, LogId, Replica, Stamp, Writer};

use super::Invariant;
use crate::sim::seen::{Change, Got, Seen, Stage};
use crate::sim::states::{delta, state};
use crate::sim::truth::Truth;

/// An invariant, and the truth that it is told with.
pub(super) struct Told<I> {
    invariant: I,
    pub(super) truth: Truth,
    at: Duration,
}

impl<I: Invariant> Told<I> {
    pub(super) fn of(invariant: I) -> Self {
        Self {
            invariant,
            truth: Truth {
                confirms: true,
                ..Truth::default()
            },
            at: Duration::ZERO,
        }
    }

    pub(super) fn at(&mut self, at: Duration) {
        self.at = at;
    }

    #[track_caller]
    pub(super) fn ok(&mut self, seen: impl std::borrow::Borrow<Seen>) {
        let seen = seen.borrow();
        let told = self.invariant.on(&self.truth, self.at, seen);
        assert_eq!(told, Ok(()), "{seen:?}");
        self.truth.take(self.at, seen);
    }

    /// It objects, and the history goes on as if that had not happened.
    #[track_caller]
    pub(super) fn objects(&mut self, seen: impl std::borrow::Borrow<Seen>) {
        let seen = seen.borrow();
        let told = self.invariant.on(&self.truth, self.at, seen);
        assert!(told.is_err(), "no objection to {seen:?}");
    }
}

fn grain() -> GrainId {
    GrainId::new("plane", "N0").unwrap()
}

pub(super) fn full(epoch: u64, sequence: u64, unique: u64) -> Entry {
    let cursor = Cursor::new(epoch, sequence);
    Draft::full(grain(), cursor, Writer::new(1), state(unique)).seal()
}

pub(super) fn entry_by(writer: u64, epoch: u64, sequence: u64) -> Entry {
    let cursor = Cursor::new(epoch, sequence);
    Draft::full(grain(), cursor, Writer::new(writer), state(sequence)).seal()
}

pub(super) fn delta_on(before: &Entry, unique: u64) -> Entry {
    let cursor = Cursor {
        epoch: before.epoch(),
        sequence: before.sequence().next().unwrap(),
    };
    let draft = Draft::delta(
        grain(),
        cursor,
        before.writer(),
        before.digest(),
        delta(unique, false),
    );
    draft.seal()
}

pub(super) fn replica(entry: &Entry, generation: u64) -> Replica {
    let stamp = Stamp {
        cursor: entry.cursor(),
        digest: entry.digest(),
        generation: Generation::new(generation),
        log: LogId::new("log"),
        schema: entry.schema(),
        written_at: entry.written_at(),
    };
    Replica::new(stamp, Some(entry.payload()))
}

pub(super) fn stored(before: Option<&Replica>, after: Option<&Replica>, by: Change) -> Seen {
    Seen::Stored {
        follower: 0,
        grain: grain(),
        before: before.cloned(),
        after: after.cloned(),
        by,
        meant_for: None,
    }
}

pub(super) fn answer(entry: &Entry, age: Option<Duration>) -> Seen {
    Seen::Read {
        follower: 0,
        grain: grain(),
        at_least: None,
        max_age: None,
        got: Got::Answer {
            state: Some(entry.payload().clone()),
            cursor: entry.cursor(),
            age,
            health: Some(Health::Live),
        },
    }
}

pub(super) fn stands(health: Health, replica: Option<&Replica>) -> Seen {
    at_rest(Stage::Calm, health, replica)
}

pub(super) fn healed(health: Health, replica: Option<&Replica>) -> Seen {
    at_rest(Stage::Healed, health, replica)
}

fn at_rest(stage: Stage, health: Health, replica: Option<&Replica>) -> Seen {
    Seen::Stands {
        follower: 0,
        grain: grain(),
        stage,
        health: Some(health),
        age: Some(Duration::from_millis(10)),
        replica: replica.cloned(),
        held: false,
    }
}
