//! Applies and rebases. How a replica moves is core's [`advance`]; whether it may is core's too.
//!
//! What is to be done to some grains is done in turns, of two round trips each. The first reads their rows
//! with one statement: where each stands, and the state where a Delta is to be folded. Then this process
//! judges and folds. The second writes what moves, in one transaction, each row iff it still is the one
//! that was read: generation and cursor tell, since a cursor only rises within a generation and no
//! generation comes again. So the checks of S3, S8 and S9 hold in the transaction that writes, and no lock is held
//! while the user's fold runs. A grain that somebody else has moved meanwhile is read again in the next
//! turn. Each such loss is another's progress.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use gleaner_core::replica::{Advanced, Rules, Under, advance, refuse_apply, refuse_rebase};
use gleaner_core::{
    Advance, Cursor, Entry, Error, Expected, Fold, FoldError, GrainId, Kind, LogId, Mark, Outcome,
    Rebase, Replica, Result, StopReason,
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

/// What one turn takes at most: some milliseconds of the server's work.
const TURN_GRAINS: usize = 1024;
/// And some of the network's: bytes of payloads given, of states read and of states written.
const TURN_BYTES: usize = 8 << 20;
/// How many turns one after the other may get nowhere, others having been faster each time.
const FRUITLESS: usize = 16;

/// What is to be done to one grain.
#[derive(Debug)]
pub(crate) enum Task {
    Apply(Advance),
    Rebase(Rebase),
}

impl Task {
    fn grain(&self) -> &GrainId {
        match self {
            Self::Apply(run) => &run.grain,
            Self::Rebase(rebase) => &rebase.grain,
        }
    }

    fn entries(&self) -> &[Entry] {
        match self {
            Self::Apply(run) => &run.entries,
            Self::Rebase(rebase) => &rebase.entries,
        }
    }

    fn weight(&self) -> usize {
        let entries = self.entries().iter();
        entries.map(|entry| entry.payload().len()).sum()
    }

    /// From which to below which cursor of the row its state may be looked at: only if the first entry
    /// above the cursor is a Delta.
    fn looks_at(&self) -> (Cursor, Cursor) {
        let entries = self.entries();
        let is_delta = |entry: &Entry| entry.kind() == Kind::Delta;
        if matches!(self, Self::Rebase(_)) || !entries.iter().any(is_delta) {
            return (Cursor::ZERO, Cursor::ZERO);
        }
        let first = entries.first().filter(|first| !is_delta(first));
        let last = entries.iter().map(Entry::cursor).max();
        (
            first.map_or(Cursor::ZERO, Entry::cursor),
            last.unwrap_or(Cursor::ZERO),
        )
    }
}

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
        let (mut moving, mut moves) = (Vec::new(), Vec::new());
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
                    moving.push(*at);
                    moves.push(one);
                }
            }
        }
        if !moves.is_empty() {
            let moved = sessions
                .within(self.writes.carry_out(session, log, &meta, &moves))
                .await
                .map_err(|fault| fault.in_doubt("apply", &place.name))?;
            let moved = moving.into_iter().zip(moves).zip(moved);
            settled.extend(
                moved.filter_map(|((at, one), has_moved)| has_moved.then_some((at, one.outcome))),
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

/// Tasks that are done together, each about another grain.
struct Turn<'a> {
    /// And where they stand among all.
    tasks: Vec<(usize, &'a Task)>,
    /// About a grain that is in already.
    put_off: Vec<usize>,
}

impl<'a> Turn<'a> {
    /// The next of those that wait: at least one, and as many as there is room for.
    fn take(all: &'a [Task], waiting: &mut VecDeque<usize>) -> Self {
        let mut turn = Self {
            tasks: Vec::new(),
            put_off: Vec::new(),
        };
        let (mut grains, mut bytes) = (HashSet::new(), 0_usize);
        while bytes < TURN_BYTES
            && turn.tasks.len().saturating_add(turn.put_off.len()) < TURN_GRAINS
            && let Some(at) = waiting.pop_front()
        {
            let Some(task) = all.get(at) else { continue };
            if grains.insert(task.grain()) {
                bytes = bytes.saturating_add(task.weight());
                turn.tasks.push((at, task));
            } else {
                turn.put_off.push(at);
            }
        }
        turn
    }

    /// Puts what is not settled before those that wait, in the order of all.
    fn put_back(self, outcomes: &[Option<Outcome>], waiting: &mut VecDeque<usize>) {
        let is_open = |at: &usize| outcomes.get(*at).is_some_and(Option::is_none);
        let tasks = self.tasks.into_iter().map(|(at, _)| at);
        let mut left: Vec<usize> = tasks.chain(self.put_off).filter(is_open).collect();
        left.sort_unstable();
        for at in left.into_iter().rev() {
            waiting.push_front(at);
        }
    }

    fn error(&self, error: Error) -> Error {
        match self.tasks.first() {
            Some((_, task)) => error.of(task.grain()),
            None => error,
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
