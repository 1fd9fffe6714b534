//! Applies and rebases. How a replica moves is core's [`advance`]; whether it may is core's too.
//!
//! What is to be done to some grains is done in turns, of two round trips each. The first reads their rows
//! with one statement: where each stands, and the state where a Delta is to be folded. Then this process
//! judges and folds. The second writes what moves, in one transaction, each row iff it still is the one
//! that was read: generation and cursor tell, since a cursor only rises within a generation and no
//! generation comes again. So the checks of S3, S8 and S9 hold in the transaction that writes, and no lock is held
//! while the user's fold runs. A grain that somebody else has moved meanwhile is read again in the next
//! turn. Each such loss is another's progress.

use std::collections::VecDeque;
use std::sync::Arc;

use gleaner_core::replica::{Advanced, Rules, Under, advance, refuse_apply, refuse_rebase};
use gleaner_core::{
    Cursor, Error, Expected, Fold, FoldError, GrainId, LogId, Mark, Outcome, Replica, Result,
    StopReason,
};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::columns::{GrainNames, clamped};
use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::replica_rows::{
    META, Meta, REPLICA, ReplicaRow, marked, marks_statement, meta_columns, replica_columns,
};
use crate::replica_writes::{Move, ReplicaWrites};
use crate::rows::compared;
use crate::session::{Session, Sessions, Sql};
use crate::turn::{TURN_BYTES, Task, Turn};

/// How many turns one after the other may get nowhere, others having been faster each time.
const FRUITLESS: usize = 64;

/// Rows with their states, of those whose cursor lies in the span given. A state is given while those before
/// it have not used up the budget, so that the one that crosses it comes too. Large states lie beside their
/// rows and are not fetched for a row that is cut.
const LOOK_WITH_STATES: &str = concat!(
    "SELECT ",
    meta_columns!(),
    ", r.* FROM {s}.store s LEFT JOIN (SELECT r.ord, ",
    replica_columns!(),
    ", CASE WHEN r.looked_at AND (r.before = 0 OR r.before < $7) THEN r.state END, \
     r.looked_at AND r.before > 0 AND r.before >= $7 FROM (\
       SELECT r.*, sum(r.size) OVER (ORDER BY r.ord ROWS UNBOUNDED PRECEDING) - r.size AS before FROM (\
         SELECT r.*, CASE WHEN r.looked_at THEN coalesce(octet_length(r.state), 0) ELSE 0 END AS size \
         FROM (\
           SELECT i.ord, r.*, (r.epoch, r.sequence) >= (i.from_epoch, i.from_sequence) \
           AND (r.epoch, r.sequence) < (i.below_epoch, i.below_sequence) AS looked_at \
           FROM unnest($1, $2, $3, $4, $5, $6) WITH ORDINALITY AS i (grain_type, grain_key, \
           from_epoch, from_sequence, below_epoch, below_sequence, ord) \
           JOIN {s}.replica r USING (grain_type, grain_key)\
         ) r\
       ) r\
     ) r) r ON true"
);

/// How replicas of one store move.
pub(crate) struct Applies {
    look: Sql,
    look_with_states: Sql,
    writes: ReplicaWrites,
    fold: Option<Arc<dyn Fold>>,
    max_state: usize,
}

impl Applies {
    pub(crate) fn new(schema: &str, fold: Option<Arc<dyn Fold>>, max_state: usize) -> Self {
        let sql = |text, types| Sql::new(schema, text, types);
        Self {
            look: sql(marks_statement!(), &[Type::BYTEA_ARRAY, Type::BYTEA_ARRAY]),
            look_with_states: sql(
                LOOK_WITH_STATES,
                &[
                    Type::BYTEA_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8_ARRAY,
                    Type::INT8,
                ],
            ),
            writes: ReplicaWrites::new(schema),
            fold,
            max_state,
        }
    }

    pub(crate) const fn writes(&self) -> &ReplicaWrites {
        &self.writes
    }

    /// Carries out tasks that were read from `log`; an outcome for each, in their order. Of several about
    /// one grain each finds what the one before it did.
    ///
    /// # Errors
    /// Unknown for all, whatever the kind.
    pub(crate) async fn settle(
        &self,
        sessions: &Sessions,
        log: &LogId,
        tasks: &[Task],
    ) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; tasks.len()];
        let mut waiting: VecDeque<usize> = (0..tasks.len()).collect();
        let session = sessions.get().await?;
        let mut fruitless = 0;
        while !waiting.is_empty() {
            let turn = Turn::take(tasks, &mut waiting);
            let settled = self.turn(sessions, &session, log, &turn).await?;
            if settled.is_empty() {
                fruitless += 1;
                if fruitless == FRUITLESS {
                    let message = "the replicas move faster than they can be read";
                    return Err(turn.error(Error::transient(BACKEND, message)));
                }
            } else {
                fruitless = 0;
            }
            for (at, outcome) in settled {
                if let Some(place) = outcomes.get_mut(at) {
                    *place = Some(outcome);
                }
            }
            turn.put_back(&outcomes, &mut waiting);
        }
        let unanswered = || Error::unknown(BACKEND, "a run was not answered");
        outcomes
            .into_iter()
            .map(|outcome| outcome.ok_or_else(unanswered))
            .collect()
    }

    /// One turn: what is settled by it, and where it stands among all. What is not was too much for one
    /// turn, or somebody else was faster.
    async fn turn(
        &self,
        sessions: &Sessions,
        session: &Session,
        log: &LogId,
        turn: &Turn<'_>,
    ) -> Result<Vec<(usize, Outcome)>> {
        let place = &sessions.place;
        let (meta, seen) = sessions
            .within(self.look(session, place, turn))
            .await
            .map_err(|fault| fault.before("read", &place.name))?;
        let mut settled = Vec::with_capacity(turn.tasks.len());
        let (mut places, mut moves) = (Vec::new(), Vec::new());
        let mut bytes = 0_usize;
        for ((at, task), seen) in turn.tasks.iter().zip(seen) {
            if bytes >= TURN_BYTES {
                break;
            }
            match self.judge(log, &meta, task, seen)? {
                Judged::Later => {}
                Judged::Settled(outcome) => settled.push((*at, outcome)),
                Judged::Moves(one) => {
                    bytes = bytes.saturating_add(one.replica.state().map_or(0, <[u8]>::len));
                    places.push(*at);
                    moves.push(one);
                }
            }
        }
        if !moves.is_empty() {
            let written = sessions
                .within(self.writes.carry_out(session, log, &meta, &moves))
                .await
                .map_err(|fault| fault.in_doubt("apply", &place.name))?;
            let answers = places.into_iter().zip(moves).zip(written);
            settled.extend(
                answers.filter_map(|((at, one), has_moved)| has_moved.then_some((at, one.outcome))),
            );
        }
        Ok(settled)
    }

    /// Reads the store's own row and those of the grains, in one snapshot.
    async fn look(
        &self,
        session: &Session,
        place: &Place,
        turn: &Turn<'_>,
    ) -> Result<(Meta, Vec<Seen>), Fault> {
        self.writes.prepare(session).await?;
        let names = GrainNames::of(turn.tasks.iter().map(|(_, task)| task.grain()));
        let spans: Vec<(Cursor, Cursor)> =
            turn.tasks.iter().map(|(_, task)| task.looks_at()).collect();
        let has_states = spans.iter().any(|(_, below)| *below != Cursor::ZERO);
        let rows = if has_states {
            let (from, below) = (
                spans.iter().map(|span| span.0),
                spans.iter().map(|span| span.1),
            );
            let (from, below) = (CursorColumns::of(from), CursorColumns::of(below));
            let budget = clamped(TURN_BYTES);
            session
                .rows(
                    &self.look_with_states,
                    &[
                        &names.types,
                        &names.keys,
                        &from.epochs,
                        &from.sequences,
                        &below.epochs,
                        &below.sequences,
                        &budget,
                    ],
                )
                .await?
        } else {
            session
                .rows(&self.look, &[&names.types, &names.keys])
                .await?
        };
        let meta = Meta::read(&rows, place)?;
        let mut seen: Vec<Seen> = turn.tasks.iter().map(|_| Seen::Absent).collect();
        for row in &rows {
            let Some(at) = marked(row)? else { continue };
            if let (Some((_, task)), Some(seen)) = (turn.tasks.get(at), seen.get_mut(at)) {
                *seen = Seen::read(row, task.grain(), &meta, has_states)?;
            }
        }
        Ok((meta, seen))
    }

    /// What is to become of one grain.
    ///
    /// # Errors
    /// `Permanent` for a rebase of a damaged row: its answer has no other word for it.
    fn judge<'a>(
        &self,
        log: &LogId,
        meta: &Meta,
        task: &'a Task,
        seen: Seen,
    ) -> Result<Judged<'a>> {
        let bound = meta.bound.as_ref();
        let (mark, current) = match seen {
            Seen::Cut => return Ok(Judged::Later),
            Seen::Absent => (Mark::absent(meta.absent), None),
            Seen::Row(replica, mark) => (mark, Some(replica)),
            Seen::Damaged(error) if matches!(task, Task::Rebase(_)) => return Err(error),
            Seen::Damaged(error) => {
                let why = StopReason::Fold(FoldError::new(format!("there is no state: {error}")));
                let mark = Mark::absent(meta.absent);
                return Ok(Judged::Settled(Outcome::unmoved(mark, task.entries(), why)));
            }
        };
        let refused = match task {
            Task::Apply(run) => refuse_apply(&mark, bound, log, run),
            Task::Rebase(rebase) => refuse_rebase(&mark, bound, log, rebase),
        };
        if let Some(why) = refused {
            return Ok(Judged::Settled(Outcome::unmoved(mark, task.entries(), why)));
        }
        let (from, generation) = match task {
            Task::Apply(_) => (current.as_ref(), mark.generation),
            Task::Rebase(_) => (None, mark.generation.next()),
        };
        let under = Under {
            log: bound.unwrap_or(log),
            generation,
            rules: Rules {
                fold: self.fold.as_deref(),
                max_state: self.max_state,
            },
        };
        let advanced = advance(from, under, task.entries());
        Ok(match (task, advanced) {
            // All of it or nothing (S8).
            (
                Task::Rebase(_),
                Advanced {
                    stop: Some(stop), ..
                },
            ) => Judged::Settled(Outcome {
                mark,
                applied: 0,
                stop: Some(stop),
            }),
            (
                _,
                Advanced {
                    replica: None,
                    applied,
                    stop,
                },
            ) => Judged::Settled(Outcome {
                mark,
                applied,
                stop,
            }),
            (
                _,
                Advanced {
                    replica: Some(replica),
                    applied,
                    stop,
                },
            ) => Judged::Moves(Move {
                grain: task.grain(),
                was: current.is_some().then(|| Expected::from(&mark)),
                outcome: Outcome {
                    mark: replica.mark(),
                    applied,
                    stop,
                },
                replica,
            }),
        })
    }
}

/// What core says of one grain.
enum Judged<'a> {
    /// Nothing is to be written.
    Settled(Outcome),
    Moves(Move<'a>),
    /// Its state was too much for this turn.
    Later,
}

/// A grain's row as it was read.
enum Seen {
    Absent,
    /// With its state, where the task looks at it.
    Row(Replica, Mark),
    Damaged(Error),
    /// Its state was not read, the budget being used up.
    Cut,
}

impl Seen {
    fn read(row: &Row, grain: &GrainId, meta: &Meta, has_states: bool) -> Result<Self, Fault> {
        const AT: usize = META + 1;
        let (state, is_cut) = if has_states {
            let cut: Option<bool> = row.try_get(AT + REPLICA + 1)?;
            (row.try_get(AT + REPLICA)?, cut.unwrap_or(false))
        } else {
            (None, false)
        };
        if is_cut {
            return Ok(Self::Cut);
        }
        match ReplicaRow::read(row, AT, grain, meta.bound.as_ref()) {
            Ok(found) => {
                let mark = found.mark();
                Ok(Self::Row(found.with_state(state), mark))
            }
            Err(Fault::Refused(error)) => Ok(Self::Damaged(error)),
            Err(fault) => Err(fault),
        }
    }
}

/// The columns of cursors that are only compared with.
struct CursorColumns {
    epochs: Vec<i64>,
    sequences: Vec<i64>,
}

impl CursorColumns {
    fn of(cursors: impl Iterator<Item = Cursor> + Clone) -> Self {
        Self {
            epochs: cursors
                .clone()
                .map(|cursor| compared(cursor.epoch.get()))
                .collect(),
            sequences: cursors
                .map(|cursor| compared(cursor.sequence.get()))
                .collect(),
        }
    }
}
