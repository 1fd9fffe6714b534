//! What is written to a replica store, inside the writer's transaction. How a replica moves is
//! core's [`advance`]; generation and log are checked in the same transaction.

use std::sync::Arc;

use gleaner_core::replica::{Advanced, Rules, Under, advance, refuse_apply, refuse_rebase};
use gleaner_core::{
    Advance, Binding, Entry, Expected, Fold, Generation, GrainId, Kind, LogId, Mark, Outcome,
    Rebase, Replica,
};
use rusqlite::Connection;

use crate::error::Fault;
use crate::file::FileId;
use crate::replica_rows::{self as rows, ReplicaRow};
use crate::resident::{Known, Residents};
use crate::writer::Session;

/// What the store's writer knows during a transaction.
pub(crate) struct StoreSession {
    fold: Option<Arc<dyn Fold>>,
    max_state: usize,
    residents: Option<Arc<Residents>>,
    bound: Option<LogId>,
    /// Of every grain that the store does not have.
    absent: Generation,
    meta_changed: bool,
    /// What the residents are told after the commit, in this order.
    news: Vec<(GrainId, Option<Replica>)>,
}

impl Session for StoreSession {
    fn replaced(&mut self) {
        if let Some(residents) = &self.residents {
            residents.forget();
        }
    }

    fn begin(&mut self, conn: &Connection, _: FileId) -> Result<(), Fault> {
        self.news.clear();
        self.meta_changed = false;
        let (bound, absent) = rows::read_meta(conn)?;
        self.absent = absent;
        // The same name again keeps its bytes: they are shared with all replicas.
        if self.bound != bound {
            self.bound = bound;
        }
        Ok(())
    }

    fn finish(&mut self, conn: &Connection) -> Result<(), Fault> {
        if self.meta_changed {
            rows::write_meta(conn, self.bound.as_ref(), self.absent)?;
        }
        Ok(())
    }

    fn committed(&mut self) {
        let news = std::mem::take(&mut self.news);
        if let Some(residents) = &self.residents {
            for (grain, replica) in news {
                residents.put(&grain, replica);
            }
        }
    }
}

impl StoreSession {
    pub(crate) fn new(
        fold: Option<Arc<dyn Fold>>,
        max_state: usize,
        residents: Option<Arc<Residents>>,
    ) -> Self {
        Self {
            fold,
            max_state,
            residents,
            bound: None,
            absent: Generation::default(),
            meta_changed: false,
            news: Vec::new(),
        }
    }

    fn find(&self, conn: &Connection, grain: &GrainId) -> Result<Option<ReplicaRow>, Fault> {
        rows::find(conn, grain, self.bound.as_ref())
    }

    fn mark(&self, row: Option<&ReplicaRow>) -> Mark {
        row.map_or_else(|| Mark::absent(self.absent), |row| row.mark.clone())
    }

    fn tell(&mut self, grain: &GrainId, replica: Option<Replica>) {
        if self.residents.is_some() {
            self.news.push((grain.clone(), replica));
        }
    }

    /// What is resident of a row, if it is the row's.
    fn resident(&self, grain: &GrainId, row: &ReplicaRow) -> Option<Replica> {
        let held = self.residents.as_ref()?.peek(grain)?;
        row.is(&held).then_some(held)
    }

    /// Makes a grain resident that is not, or is so with what another process has overtaken.
    fn make_resident(
        &mut self,
        conn: &Connection,
        grain: &GrainId,
        row: Option<&ReplicaRow>,
    ) -> Result<(), Fault> {
        let Some(residents) = &self.residents else {
            return Ok(());
        };
        let current = match (residents.known(grain), row) {
            (Known::Loaded(Some(held)), Some(row)) => row.is(&held),
            (Known::Loaded(None), None) => true,
            _ => false,
        };
        if !current {
            let replica = row.map(|row| row.load(conn)).transpose()?;
            self.tell(grain, replica);
        }
        Ok(())
    }

    /// Binds the store (S9).
    pub(crate) fn bind(&mut self, log: &LogId, replacing: Option<&LogId>) -> Binding {
        match &self.bound {
            Some(bound) if bound == log => {}
            Some(other) if replacing != Some(other) => {
                return Binding::Foreign { log: other.clone() };
            }
            _ => {
                self.bound = Some(log.clone());
                self.meta_changed = true;
            }
        }
        Binding::Bound
    }

    /// Applies a run to its grain.
    pub(crate) fn apply(
        &mut self,
        conn: &Connection,
        log: &LogId,
        run: &Advance,
    ) -> Result<Outcome, Fault> {
        let (grain, entries) = (&run.grain, &run.entries);
        let row = self.find(conn, grain)?;
        let mark = self.mark(row.as_ref());
        if let Some(why) = refuse_apply(&mark, self.bound.as_ref(), log, run) {
            self.make_resident(conn, grain, row.as_ref())?;
            return Ok(Outcome::unmoved(mark, entries, why));
        }
        let current = match &row {
            Some(row) => Some(self.current(conn, grain, row, entries)?),
            None => None,
        };
        let fold = self.fold.clone();
        let under = Under {
            // The store's own copy of the name, shared by all its replicas.
            log: self.bound.as_ref().unwrap_or(log),
            generation: mark.generation,
            rules: Rules {
                fold: fold.as_deref(),
                max_state: self.max_state,
            },
        };
        let Advanced {
            replica,
            applied,
            stop,
        } = advance(current.as_ref(), under, entries);
        let mark = if let Some(replica) = replica {
            rows::write(conn, grain, row.map(|row| row.id), &replica)?;
            let mark = replica.mark();
            self.tell(grain, Some(replica));
            mark
        } else {
            self.make_resident(conn, grain, row.as_ref())?;
            mark
        };
        Ok(Outcome {
            mark,
            applied,
            stop,
        })
    }

    /// The replica that a run is applied to. Its state is read only if the first entry that counts
    /// is a Delta: nothing else looks at it.
    fn current(
        &self,
        conn: &Connection,
        grain: &GrainId,
        row: &ReplicaRow,
        entries: &[Entry],
    ) -> Result<Replica, Fault> {
        let first = entries
            .iter()
            .find(|entry| entry.cursor() > row.mark.cursor);
        if first.is_none_or(|first| first.kind() != Kind::Delta) {
            return Ok(row.without_state());
        }
        match self.resident(grain, row) {
            Some(held) => Ok(held),
            None => row.load(conn),
        }
    }

    /// Puts a run in a replica's place, all of it or nothing (S8).
    pub(crate) fn rebase(
        &mut self,
        conn: &Connection,
        log: &LogId,
        rebase: &Rebase,
    ) -> Result<Outcome, Fault> {
        let (grain, entries) = (&rebase.grain, &rebase.entries);
        let row = self.find(conn, grain)?;
        let mark = self.mark(row.as_ref());
        if let Some(why) = refuse_rebase(&mark, self.bound.as_ref(), log, rebase) {
            self.make_resident(conn, grain, row.as_ref())?;
            return Ok(Outcome::unmoved(mark, entries, why));
        }
        let fold = self.fold.clone();
        let under = Under {
            log: self.bound.as_ref().unwrap_or(log),
            generation: mark.generation.next(),
            rules: Rules {
                fold: fold.as_deref(),
                max_state: self.max_state,
            },
        };
        match advance(None, under, entries) {
            Advanced {
                replica: Some(replica),
                applied,
                stop: None,
            } => {
                rows::write(conn, grain, row.map(|row| row.id), &replica)?;
                let mark = replica.mark();
                self.tell(grain, Some(replica));
                Ok(Outcome {
                    mark,
                    applied,
                    stop: None,
                })
            }
            Advanced { stop, .. } => {
                self.make_resident(conn, grain, row.as_ref())?;
                Ok(Outcome {
                    mark,
                    applied: 0,
                    stop,
                })
            }
        }
    }

    /// Removes a replica if it is the expected one, or whichever it is; whether it did.
    pub(crate) fn remove(
        &mut self,
        conn: &Connection,
        grain: &GrainId,
        expected: Option<Expected>,
    ) -> Result<bool, Fault> {
        let Some(row) = self.find(conn, grain)? else {
            return Ok(false);
        };
        if expected.is_some_and(|expected| expected != Expected::from(&row.mark)) {
            return Ok(false);
        }
        rows::delete(conn, row.id)?;
        self.absent = self.absent.max(row.mark.generation.next());
        self.meta_changed = true;
        self.tell(grain, None);
        Ok(true)
    }

    /// Where a replica stands; resident from then on.
    pub(crate) fn look(&mut self, conn: &Connection, grain: &GrainId) -> Result<Mark, Fault> {
        let row = self.find(conn, grain)?;
        self.make_resident(conn, grain, row.as_ref())?;
        Ok(self.mark(row.as_ref()))
    }
}
