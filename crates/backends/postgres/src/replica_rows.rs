//! Rows of the replica store as the words of the contracts, and back.

use gleaner_core::{
    Digest, Error, Generation, GrainId, LogId, Mark, Replica, Schema, Stamp, UnixMillis,
};
use tokio_postgres::Row;

use crate::error::{BACKEND, Fault};
use crate::place::Place;
use crate::rows::{self, bits, count};
use crate::schema::STORE;

/// Columns that [`Meta::read`] reads, of the row `s` of `store`. No version on a standby: it may lag, and a
/// state that is older than the age that is told for it breaks what a reader is promised.
macro_rules! meta_columns {
    () => {
        "(SELECT version FROM {s}.layout WHERE name = 'replica store' AND NOT pg_is_in_recovery()), \
         s.log, s.generation"
    };
}
/// Columns that [`ReplicaRow::read`] reads, of a row `r` of `replica`.
macro_rules! replica_columns {
    () => {
        "r.epoch, r.sequence, r.digest, r.generation, r.log, r.schema, r.written_at, \
         r.state IS NOT NULL AS present"
    };
}
/// Where grains stand: a row for each that is there, with its place among those asked for, which
/// [`marked`] reads. One row, without a replica, if none is.
macro_rules! marks_statement {
    () => {
        concat!(
            "SELECT ",
            $crate::replica_rows::meta_columns!(),
            ", r.* FROM {s}.store s LEFT JOIN (SELECT i.ord, ",
            $crate::replica_rows::replica_columns!(),
            " FROM unnest($1, $2) WITH ORDINALITY AS i (grain_type, grain_key, ord) \
             JOIN {s}.replica r USING (grain_type, grain_key)) r ON true"
        )
    };
}
pub(crate) use {marks_statement, meta_columns, replica_columns};

/// How many columns [`meta_columns`] are.
pub(crate) const META: usize = 3;
/// How many columns [`replica_columns`] are.
pub(crate) const REPLICA: usize = 8;

/// What a store knows beside its replicas.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) bound: Option<LogId>,
    /// Of every grain that the store does not have.
    pub(crate) absent: Generation,
}

impl Meta {
    /// From the first three columns of an answer, which are the same in each of its rows; refuses a
    /// version of the tables that is not this crate's.
    pub(crate) fn read(rows: &[Row], place: &Place) -> Result<Self, Fault> {
        let Some(row) = rows.first() else {
            let message = format!("the replica store in {} has lost its own row", place.name);
            return Err(Error::permanent(BACKEND, message).into());
        };
        rows::check_version_of(&STORE, row, 0, place)?;
        let bound: Option<&[u8]> = row.try_get(1)?;
        Ok(Self {
            bound: bound.map(LogId::new),
            absent: Generation::new(count(row, 2)?),
        })
    }
}

/// The place of a row's grain among those asked for, counted from 0; none for a row about none.
pub(crate) fn marked(row: &Row) -> Result<Option<usize>, Fault> {
    if rows::is_null(row, META)? {
        return Ok(None);
    }
    let at = usize::try_from(count(row, META)?).unwrap_or_default();
    Ok(at.checked_sub(1))
}

/// A replica's row without its state.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaRow {
    stamp: Stamp,
    present: bool,
}

impl ReplicaRow {
    /// From the columns [`replica_columns`] that begin at `at`. `bound` is shared by all rows of that
    /// log, so that a page of replicas does not hold as many copies of its name.
    ///
    /// # Errors
    /// `Permanent`, naming the grain, for a row that no store has written.
    pub(crate) fn read(
        row: &Row,
        at: usize,
        grain: &GrainId,
        bound: Option<&LogId>,
    ) -> Result<Self, Fault> {
        let name: &[u8] = row.try_get(at + 4)?;
        let log = match bound {
            Some(bound) if bound.as_bytes() == name => bound.clone(),
            _ => LogId::new(name),
        };
        let read = || {
            let schema = u32::try_from(row.try_get::<_, i64>(at + 5)?)
                .map_err(|_| Error::permanent(BACKEND, "the schema is no number of 32 bits"))?;
            Ok(Self {
                stamp: Stamp {
                    cursor: rows::cursor(row, at)?,
                    digest: Digest::new(bits(row, at + 2)?),
                    generation: Generation::new(count(row, at + 3)?),
                    log,
                    schema: Schema::new(schema),
                    written_at: UnixMillis::new(row.try_get(at + 6)?),
                },
                present: row.try_get(at + 7)?,
            })
        };
        read().map_err(|fault| match fault {
            Fault::Refused(error) => {
                let message = "the replica's row is damaged";
                let said = Error::permanent(BACKEND, message).caused_by(error);
                Fault::Refused(said.of(grain))
            }
            other => other,
        })
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            cursor: self.stamp.cursor,
            digest: self.stamp.digest,
            generation: self.stamp.generation,
            log: Some(self.stamp.log.clone()),
            present: self.present,
        }
    }

    /// The replica with its state, or without one for rules that do not look at it.
    pub(crate) fn with_state(self, state: Option<&[u8]>) -> Replica {
        Replica::new(self.stamp, state)
    }
}
