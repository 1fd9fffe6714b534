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

use futures::future::join_all;
use gleaner_core::{Appended, Entry, Error, GrainId, Limits, Result};

use crate::columns::Lot;
use crate::error::BACKEND;
use crate::long::Long;
use crate::place::Place;
use crate::schema::SHARDS;
use crate::session::Session;
use crate::straight::Straight;

/// What is to be appended to one grain: at least one entry.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) grain: &'a GrainId,
    pub(crate) entries: Vec<&'a Entry>,
}

/// From how many entries on a group goes in two statements at once, each about half of the feed shards: they
/// meet at no lock, and two of the server's cores work. A statement and its sync cost what some ten entries
/// do, so that fewer would gain little.
pub(crate) const LARGE: usize = 128;

/// A run of one entry, and its place among the runs.
pub(crate) type Single<'a> = (usize, &'a Run<'a>, &'a Entry);

/// What each session is to append.
fn parts<'a, 's>(
    all: Vec<Single<'a>>,
    session: &'s Session,
    second: Option<&'s Session>,
) -> Vec<(&'s Session, Vec<Single<'a>>)> {
    let parts = match second {
        Some(second) => {
            let in_first_half = |(_, run, _): &Single<'_>| {
                usize::try_from(Lot::of(run.grain).shard).is_ok_and(|shard| shard < SHARDS / 2)
            };
            let (first, others) = all.into_iter().partition(in_first_half);
            vec![(session, first), (second, others)]
        }
        None => vec![(session, all)],
    };
    parts
        .into_iter()
        .filter(|(_, part)| !part.is_empty())
        .collect()
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

    /// Appends runs of different grains; with a second session, half of what goes the straight way on each.
    pub(crate) async fn append(
        &self,
        session: &Session,
        second: Option<&Session>,
        place: &Place,
        limits: &Limits,
        runs: &[Run<'_>],
    ) -> Done {
        let mut answers: Vec<Option<Result<Appended>>> = runs.iter().map(|_| None).collect();
        let mut done = Done::default();
        let straight: Vec<Single<'_>> = runs
            .iter()
            .enumerate()
            .filter_map(|(at, run)| match run.entries.as_slice() {
                [entry] if entry.check(limits, BACKEND).is_ok() => Some((at, run, *entry)),
                _ => None,
            })
            .collect();
        let parts = parts(straight, session, second);
        let statements = parts
            .iter()
            .map(|(session, part)| self.straight.append(session, part));
        let written = join_all(statements).await;
        for ((_, part), written) in parts.iter().zip(written) {
            let error = match written {
                Ok(written) => {
                    done.moves.extend(written.moves);
                    for (at, appended) in written.answers {
                        if let Some(answer) = answers.get_mut(at) {
                            *answer = Some(Ok(appended));
                        }
                    }
                    continue;
                }
                Err(fault) => {
                    done.is_spoilt |= fault.is_permanent();
                    fault.in_doubt("append", &place.name)
                }
            };
            for (at, ..) in part {
                if let Some(answer) = answers.get_mut(*at) {
                    *answer = Some(Err(error.clone()));
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
