//! What entries do to a replica, inside the engine's one writing transaction: clauses S1 to S3 and S6
//! to S9.
//!
//! Stores that keep states as bytes have core's `advance` for this. Here an entry changes rows, and
//! every entry has a savepoint of its own: what one that is refused had changed is undone, what
//! preceded it stays.

use std::panic::{AssertUnwindSafe, catch_unwind};

use gleaner::replica::{refuse_apply, refuse_rebase};
use gleaner::{
    Advance, Binding, Cursor, Digest, Entry, Expected, FoldError, Generation, GrainId, Kind, LogId,
    Outcome, Rebase, Stamp, Stop, StopReason,
};
use rusqlite::Connection;

use crate::payload::Payloads;
use crate::rows::{self, DatabaseRow, Meta};
use crate::schema::Fault;
use crate::tables::{NotDone, Tables};

/// The engine's rules, inside a transaction.
pub(crate) struct Session<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) meta: Meta,
    pub(crate) payloads: &'a dyn Payloads,
    pub(crate) max_state: usize,
}

/// A replica on its way through a run.
struct Moving<'a> {
    grain: &'a GrainId,
    log: &'a LogId,
    /// What its row will carry.
    generation: Generation,
    row: Option<DatabaseRow>,
    /// Where it has come, and whether a Delta finds something to change there; nothing is below it.
    at: Option<(Cursor, Digest, bool)>,
}

/// Why an entry did not go in.
enum Halt {
    Stop(StopReason),
    Fault(Fault),
}

impl From<StopReason> for Halt {
    fn from(why: StopReason) -> Self {
        Self::Stop(why)
    }
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<NotDone> for Halt {
    fn from(not: NotDone) -> Self {
        match not {
            NotDone::Refused(why) => Self::Stop(StopReason::Fold(why.into())),
            NotDone::Failed(fault) => Self::Fault(fault),
        }
    }
}

impl Session<'_> {
    /// S9.
    pub(crate) fn bind(
        &mut self,
        log: &LogId,
        replacing: Option<&LogId>,
    ) -> Result<Binding, Fault> {
        match &self.meta.bound {
            Some(bound) if bound == log => {}
            Some(other) if replacing != Some(other) => {
                return Ok(Binding::Foreign { log: other.clone() });
            }
            _ => {
                self.meta.bound = Some(log.clone());
                self.meta.write(self.conn)?;
            }
        }
        Ok(Binding::Bound)
    }

    /// Applies a run to its grain.
    pub(crate) fn apply(&self, log: &LogId, run: &Advance) -> Result<Outcome, Fault> {
        let row = rows::find(self.conn, &run.grain)?;
        let mark = rows::mark(row.as_ref(), &self.meta);
        if let Some(why) = refuse_apply(&mark, self.meta.bound.as_ref(), log, run) {
            return Ok(Outcome::unmoved(mark, &run.entries, why));
        }
        let mut moving = Moving {
            grain: &run.grain,
            log,
            generation: mark.generation,
            at: row
                .as_ref()
                .map(|_| (mark.cursor, mark.digest, mark.present)),
            row,
        };
        let (applied, stop) = self.advance(&mut moving, &run.entries)?;
        Ok(Outcome {
            mark: rows::mark(moving.row.as_ref(), &self.meta),
            applied,
            stop,
        })
    }

    /// Puts a run in a replica's place, all of it or nothing (S8).
    pub(crate) fn rebase(&self, log: &LogId, rebase: &Rebase) -> Result<Outcome, Fault> {
        let row = rows::find(self.conn, &rebase.grain)?;
        let mark = rows::mark(row.as_ref(), &self.meta);
        if let Some(why) = refuse_rebase(&mark, self.meta.bound.as_ref(), log, rebase) {
            return Ok(Outcome::unmoved(mark, &rebase.entries, why));
        }
        let mut moving = Moving {
            grain: &rebase.grain,
            log,
            generation: mark.generation.next(),
            at: None,
            row,
        };
        self.conn.execute_batch("SAVEPOINT whole_run")?;
        let (applied, stop) = self.advance(&mut moving, &rebase.entries)?;
        if stop.is_some() {
            self.conn.execute_batch("ROLLBACK TO whole_run")?;
        }
        self.conn.execute_batch("RELEASE whole_run")?;
        Ok(match stop {
            Some(_) => Outcome {
                mark,
                applied: 0,
                stop,
            },
            None => Outcome {
                mark: rows::mark(moving.row.as_ref(), &self.meta),
                applied,
                stop,
            },
        })
    }

    /// Removes a replica if it is the expected one, or whichever it is; whether it did.
    pub(crate) fn remove(
        &mut self,
        grain: &GrainId,
        expected: Option<Expected>,
    ) -> Result<bool, Fault> {
        let Some(row) = rows::find(self.conn, grain)? else {
            return Ok(false);
        };
        let mark = row.mark();
        if expected.is_some_and(|expected| expected != Expected::from(&mark)) {
            return Ok(false);
        }
        self.tables(row.id).clear()?;
        rows::delete(self.conn, row.id)?;
        // A late apply must not bring it back.
        self.meta.absent = self.meta.absent.max(mark.generation.next());
        self.meta.write(self.conn)?;
        Ok(true)
    }

    fn tables(&self, database: i64) -> Tables<'_> {
        Tables {
            conn: self.conn,
            database,
        }
    }

    /// Entry by entry, each in a savepoint; how many moved the replica, and where it stopped.
    fn advance(
        &self,
        moving: &mut Moving<'_>,
        entries: &[Entry],
    ) -> Result<(usize, Option<Stop>), Fault> {
        let mut applied = 0;
        for entry in entries {
            if moving.at.is_some_and(|(at, ..)| entry.cursor() <= at) {
                continue;
            }
            self.conn.execute_batch("SAVEPOINT entry")?;
            match self.step(moving, entry) {
                Ok(row) => {
                    self.conn.execute_batch("RELEASE entry")?;
                    moving.at = Some((entry.cursor(), entry.digest(), row.size.is_some()));
                    moving.row = Some(row);
                    applied += 1;
                }
                Err(Halt::Stop(why)) => {
                    self.conn
                        .execute_batch("ROLLBACK TO entry; RELEASE entry")?;
                    let at = entry.cursor();
                    return Ok((applied, Some(Stop { at, why })));
                }
                // The whole transaction is given up.
                Err(Halt::Fault(fault)) => return Err(fault),
            }
        }
        Ok((applied, None))
    }

    /// One entry: the row that it leads to, written.
    fn step(&self, moving: &Moving<'_>, entry: &Entry) -> Result<DatabaseRow, Halt> {
        let newest = caught(|| Ok(self.payloads.newest_schema()))?;
        let schema = entry.schema();
        if schema > newest {
            return Err(StopReason::Schema { schema, newest }.into());
        }
        let stamp = Stamp {
            cursor: entry.cursor(),
            digest: entry.digest(),
            generation: moving.generation,
            log: moving.log.clone(),
            schema,
            written_at: entry.written_at(),
        };
        let (known, before) = match &moving.row {
            Some(row) => (Some(row.id), row.size),
            None => (None, None),
        };
        let row = || match known {
            Some(id) => Ok(id),
            None => rows::insert(self.conn, moving.grain, &stamp),
        };
        let (id, size) = match entry.kind() {
            Kind::Tombstone => {
                let id = row()?;
                self.tables(id).clear()?;
                (id, None)
            }
            Kind::FullState => {
                let size = entry.payload().len();
                self.refuse_large(size)?;
                let whole = caught(|| {
                    let whole = self.payloads.whole(entry.payload());
                    whole.map_err(StopReason::Fold)
                })?;
                let id = row()?;
                self.tables(id).replace(&whole)?;
                (id, Some(size))
            }
            Kind::Delta => {
                let fits = moving.at.is_some_and(|(at, digest, present)| {
                    present && at.is_just_below(entry.cursor()) && entry.prev() == Some(digest)
                });
                let (Some(mut size), true) = (before, fits) else {
                    return Err(StopReason::Gap.into());
                };
                let operations = caught(|| self.payloads.operations(entry))?;
                let id = row()?;
                let tables = self.tables(id);
                for operation in &operations {
                    tables.apply(operation, self.payloads, &mut size)?;
                }
                self.refuse_large(size)?;
                (id, Some(size))
            }
        };
        let row = DatabaseRow { id, stamp, size };
        rows::update(self.conn, &row)?;
        Ok(row)
    }

    fn refuse_large(&self, size: usize) -> Result<(), StopReason> {
        if size > self.max_state {
            return Err(StopReason::TooLarge {
                size,
                limit: self.max_state,
            });
        }
        Ok(())
    }
}

/// Reads a payload with a panic caught: it stops this run, and no neighbour's (S7).
fn caught<T>(read: impl FnOnce() -> Result<T, StopReason>) -> Result<T, StopReason> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .map(|said| (*said).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        let error = FoldError::new(format!("the fold panicked: {said}"));
        Err(StopReason::Fold(error))
    })
}
