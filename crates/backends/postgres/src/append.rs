//! Appends. One takes one of two ways.
//!
//! The [straight](crate::straight) way is a single statement for any number of grains, each with one
//! entry: it writes those entries whose fence is the grain's own and whose number follows the head, which
//! is what a publisher that has claimed its grains sends. What it does not write, and runs of several
//! entries, go the [long](crate::long) way: a transaction that locks, reads head and fence, and is judged by
//! core. The straight way accepts a part of what the long way accepts and refuses nothing by itself: only
//! the long way says no.
//!
//! # Concurrency
//! Whoever moves a head or a fence first locks the counters of the feed shards of all its grains, in
//! ascending order, and holds them until its commit is visible. So no two of them wait for each other in
//! a ring, heads and fences stand still between the reading and the writing, and the order of places in a
//! shard is the order in which they become visible (F1, F2).

use gleaner_core::{Appended, Entry, Error, GrainId, Limits, Result};

use crate::error::BACKEND;
use crate::long::Long;
use crate::place::Place;
use crate::session::Session;
use crate::straight::Straight;

/// What is to be appended to one grain: at least one entry.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) grain: &'a GrainId,
    pub(crate) entries: Vec<&'a Entry>,
}

/// Where feed shards end now, for those who wait.
pub(crate) type Moves = Vec<(usize, u64)>;

/// What became of some runs.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// In the order of the runs. An error here is that of a whole call: the run's entries were not
    /// written, or may have been.
    pub(crate) answers: Vec<Result<Appended>>,
    pub(crate) moves: Moves,
    /// Whether an error may be the fault of one run alone.
    pub(crate) is_spoilt: bool,
}

/// Both ways.
#[derive(Debug)]
pub(crate) struct Appends {
    straight: Straight,
    pub(crate) long: Long,
}

impl Appends {
    pub(crate) fn new(schema: &str) -> Self {
        Self {
            straight: Straight::new(schema),
            long: Long::new(schema),
        }
    }

    /// Appends runs of different grains.
    pub(crate) async fn append(
        &self,
        session: &Session,
        place: &Place,
        limits: &Limits,
        runs: &[Run<'_>],
    ) -> Done {
        let mut answers: Vec<Option<Result<Appended>>> = runs.iter().map(|_| None).collect();
        let mut done = Done::default();
        let straight: Vec<(usize, &Run<'_>, &Entry)> = runs
            .iter()
            .enumerate()
            .filter_map(|(at, run)| match run.entries.as_slice() {
                [entry] if entry.check(limits, BACKEND).is_ok() => Some((at, run, *entry)),
                _ => None,
            })
            .collect();
        if !straight.is_empty() {
            let written = self
                .straight
                .append(session, &straight, &mut answers, &mut done.moves)
                .await;
            if let Err(fault) = written {
                done.is_spoilt = fault.is_permanent();
                let error = fault.in_doubt("append", &place.name);
                for (at, ..) in &straight {
                    if let Some(answer) = answers.get_mut(*at) {
                        *answer = Some(Err(error.clone()));
                    }
                }
            }
        }
        let left: Vec<(usize, &Run<'_>)> = runs
            .iter()
            .zip(&answers)
            .enumerate()
            .filter(|(_, (_, answer))| answer.is_none())
            .map(|(at, (run, _))| (at, run))
            .collect();
        if !left.is_empty() {
            let written = self.long.append(session, place, limits, &left).await;
            let written = written.unwrap_or_else(|stopped| {
                done.is_spoilt |= stopped.fault.is_permanent();
                let error = if stopped.is_in_doubt {
                    stopped.fault.in_doubt("append", &place.name)
                } else {
                    stopped.fault.before("append", &place.name)
                };
                (
                    left.iter().map(|_| Err(error.clone())).collect(),
                    Moves::new(),
                )
            });
            done.moves.extend(written.1);
            for ((at, _), answered) in left.iter().zip(written.0) {
                if let Some(answer) = answers.get_mut(*at) {
                    *answer = Some(answered);
                }
            }
        }
        let unanswered = || Err(Error::unknown(BACKEND, "an append was not answered"));
        done.answers = answers
            .into_iter()
            .map(|answer| answer.unwrap_or_else(unanswered))
            .collect();
        done
    }
}
