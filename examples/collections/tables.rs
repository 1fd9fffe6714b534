//! A database's collections and points in their tables, and what an operation does to them: the same
//! as to [`Collections`] in memory.

use std::collections::BTreeMap;

use gleaner::{Bincode, Codec, Schema};
use rusqlite::{Connection, OptionalExtension, params};

use crate::nearest::{Hit, Nearest, Query};
use crate::operation::{Operation, Point, Refused, check_fits};
use crate::payload::Payloads;
use crate::rows::text;
use crate::schema::{Fault, damaged};
use crate::state::{Collection, Collections};

/// One database's part of the tables, inside a transaction.
pub(crate) struct Tables<'a> {
    pub(crate) conn: &'a Connection,
    /// The number of the database's row.
    pub(crate) database: i64,
}

/// Why an operation was not done.
pub(crate) enum NotDone {
    /// The database does not allow it.
    Refused(Refused),
    /// The file failed.
    Failed(Fault),
}

impl From<Refused> for NotDone {
    fn from(why: Refused) -> Self {
        Self::Refused(why)
    }
}

impl From<Fault> for NotDone {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

impl From<rusqlite::Error> for NotDone {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Tables<'_> {
    /// Removes everything.
    pub(crate) fn clear(&self) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "DELETE FROM point WHERE collection IN \
                 (SELECT id FROM collection WHERE database = ?1)",
            )?
            .execute([self.database])?;
        self.conn
            .prepare_cached("DELETE FROM collection WHERE database = ?1")?
            .execute([self.database])?;
        Ok(())
    }

    /// Puts a database in the place of what is there.
    pub(crate) fn replace(&self, whole: &Collections) -> Result<(), Fault> {
        self.clear()?;
        for (name, collection) in &whole.0 {
            let number = self.create(name, collection.dimensions)?;
            for (id, point) in &collection.points {
                self.put(number, id, point)?;
            }
        }
        Ok(())
    }

    /// Does one operation. `size` is that of the database as a `FullState` says it, and kept so.
    pub(crate) fn apply(
        &self,
        operation: &Operation,
        payloads: &dyn Payloads,
        size: &mut usize,
    ) -> Result<(), NotDone> {
        let grown = |size: &mut usize, more: usize| *size = size.saturating_add(more);
        let shrunk = |size: &mut usize, less: usize| *size = size.saturating_sub(less);
        match operation {
            Operation::CreateCollection { name, dimensions } => {
                if self.find(name)?.is_some() {
                    return Err(Refused::Exists { name: name.clone() }.into());
                }
                self.create(name, *dimensions)?;
                grown(size, payloads.size_of_collection(name));
            }
            Operation::DropCollection { name } => {
                let (number, _) = self.known(name)?;
                self.each_point(number, |id, point| {
                    shrunk(size, payloads.size_of_point(&id, &point));
                    Ok(())
                })?;
                let delete = "DELETE FROM point WHERE collection = ?1";
                self.conn.prepare_cached(delete)?.execute([number])?;
                let delete = "DELETE FROM collection WHERE id = ?1";
                self.conn.prepare_cached(delete)?.execute([number])?;
                shrunk(size, payloads.size_of_collection(name));
            }
            Operation::Upsert {
                collection,
                id,
                point,
            } => {
                let (number, dimensions) = self.known(collection)?;
                check_fits(dimensions, &point.vector)?;
                if let Some(former) = self.point(number, id)? {
                    shrunk(size, payloads.size_of_point(id, &former));
                }
                self.put(number, id, point)?;
                grown(size, payloads.size_of_point(id, point));
            }
            Operation::Delete { collection, id } => {
                let (number, _) = self.known(collection)?;
                if let Some(former) = self.point(number, id)? {
                    let delete = "DELETE FROM point WHERE collection = ?1 AND id = ?2";
                    self.conn
                        .prepare_cached(delete)?
                        .execute(params![number, id.as_bytes()])?;
                    shrunk(size, payloads.size_of_point(id, &former));
                }
            }
        }
        Ok(())
    }

    /// All of it, as it is in memory.
    pub(crate) fn whole(&self) -> Result<Collections, Fault> {
        let mut select = self
            .conn
            .prepare_cached("SELECT id, dimensions, name FROM collection WHERE database = ?1")?;
        let mut rows = select.query([self.database])?;
        let mut whole = Collections::default();
        while let Some(row) = rows.next()? {
            let mut points = BTreeMap::new();
            self.each_point(row.get(0)?, |id, point| {
                points.insert(id, point);
                Ok(())
            })?;
            let collection = Collection {
                dimensions: row.get(1)?,
                points,
            };
            whole.0.insert(text(row, 2)?, collection);
        }
        Ok(whole)
    }

    /// How many points a collection has.
    pub(crate) fn count(&self, name: &str) -> Result<u64, NotDone> {
        let (number, _) = self.known(name)?;
        let count = "SELECT count(*) FROM point WHERE collection = ?1";
        let mut count = self.conn.prepare_cached(count)?;
        Ok(count.query_row([number], |row| crate::schema::number(row, 0))?)
    }

    /// The points nearest to a query's vector, nearest first.
    pub(crate) fn search(&self, query: &Query) -> Result<Vec<Hit>, NotDone> {
        query.check()?;
        let (number, dimensions) = self.known(&query.collection)?;
        check_fits(dimensions, &query.vector)?;
        let mut nearest = Nearest::new(query);
        let mut select = self
            .conn
            .prepare_cached("SELECT id, vector FROM point WHERE collection = ?1")?;
        let mut rows = select.query([number])?;
        let mut vector = Vec::new();
        while let Some(row) = rows.next()? {
            read_vector(blob(row, 1)?, &mut vector);
            nearest.offer(str::from_utf8(blob(row, 0)?).map_err(damaged)?, &vector);
        }
        Ok(nearest.into_hits())
    }

    /// A collection's number and dimensions.
    fn find(&self, name: &str) -> Result<Option<(i64, u32)>, Fault> {
        let mut select = self.conn.prepare_cached(
            "SELECT id, dimensions FROM collection WHERE database = ?1 AND name = ?2",
        )?;
        let found = select.query_row(params![self.database, name.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
        Ok(found.optional()?)
    }

    fn known(&self, name: &str) -> Result<(i64, u32), NotDone> {
        let found = self.find(name)?;
        Ok(found.ok_or_else(|| Refused::NoCollection {
            name: name.to_owned(),
        })?)
    }

    fn create(&self, name: &str, dimensions: u32) -> Result<i64, Fault> {
        let insert = "INSERT INTO collection (database, name, dimensions) VALUES (?1, ?2, ?3)";
        self.conn.prepare_cached(insert)?.execute(params![
            self.database,
            name.as_bytes(),
            dimensions
        ])?;
        Ok(self.conn.last_insert_rowid())
    }

    fn point(&self, collection: i64, id: &str) -> Result<Option<Point>, Fault> {
        let mut select = self.conn.prepare_cached(
            "SELECT vector, attributes FROM point WHERE collection = ?1 AND id = ?2",
        )?;
        let mut rows = select.query(params![collection, id.as_bytes()])?;
        let row = rows.next()?;
        row.map(|row| read_point(row, 0)).transpose()
    }

    fn put(&self, collection: i64, id: &str, point: &Point) -> Result<(), Fault> {
        let vector: Vec<u8> = point
            .vector
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        let attributes = Attributes::default()
            .encode(&point.attributes)
            .map_err(damaged)?;
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO point VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                collection,
                id.as_bytes(),
                vector,
                attributes.as_ref()
            ])?;
        Ok(())
    }

    fn each_point(
        &self,
        collection: i64,
        mut each: impl FnMut(String, Point) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut select = self
            .conn
            .prepare_cached("SELECT vector, attributes, id FROM point WHERE collection = ?1")?;
        let mut rows = select.query([collection])?;
        while let Some(row) = rows.next()? {
            each(text(row, 2)?, read_point(row, 0)?)?;
        }
        Ok(())
    }
}

/// How a point's attributes are stored.
type Attributes = Bincode;

fn read_point(row: &rusqlite::Row<'_>, at: usize) -> Result<Point, Fault> {
    let mut vector = Vec::new();
    read_vector(blob(row, at)?, &mut vector);
    let attributes = Attributes::default()
        .decode(blob(row, at + 1)?, Schema::default())
        .map_err(damaged)?;
    Ok(Point { vector, attributes })
}

fn blob<'row>(row: &'row rusqlite::Row<'_>, at: usize) -> Result<&'row [u8], Fault> {
    row.get_ref(at)?.as_blob().map_err(damaged)
}

/// Into a vector that is used again.
fn read_vector(bytes: &[u8], vector: &mut Vec<f32>) {
    vector.clear();
    let (numbers, _) = bytes.as_chunks::<4>();
    vector.extend(numbers.iter().map(|number| f32::from_le_bytes(*number)));
}
