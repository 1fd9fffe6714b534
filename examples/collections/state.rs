//! [`Collections`]: a whole database in memory, and what an operation does to it.
//!
//! The owner's copy, and what a `FullState` says. The follower's engine does the same in tables
//! (`tables.rs`); the tests hold the two against each other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::nearest::{Hit, Nearest, Query};
use crate::operation::{Operation, Point, Refused, check_dimensions, check_fits, check_name};

/// A database's collections by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Collections(pub(crate) BTreeMap<String, Collection>);

/// A collection's points by id, all of as many dimensions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Collection {
    pub(crate) dimensions: u32,
    pub(crate) points: BTreeMap<String, Point>,
}

impl Collections {
    /// Does one operation; one that is refused changes nothing.
    pub(crate) fn apply(&mut self, operation: Operation) -> Result<(), Refused> {
        operation.check()?;
        match operation {
            Operation::CreateCollection { name, dimensions } => match self.0.entry(name) {
                Entry::Occupied(taken) => {
                    let name = taken.key().clone();
                    return Err(Refused::Exists { name });
                }
                Entry::Vacant(free) => {
                    free.insert(Collection {
                        dimensions,
                        points: BTreeMap::new(),
                    });
                }
            },
            Operation::DropCollection { name } => {
                if self.0.remove(&name).is_none() {
                    return Err(Refused::NoCollection { name });
                }
            }
            Operation::Upsert {
                collection,
                id,
                point,
            } => {
                let collection = self.find_mut(collection)?;
                check_fits(collection.dimensions, &point.vector)?;
                collection.points.insert(id, point);
            }
            Operation::Delete { collection, id } => {
                self.find_mut(collection)?.points.remove(&id);
            }
        }
        Ok(())
    }

    fn find_mut(&mut self, name: String) -> Result<&mut Collection, Refused> {
        match self.0.get_mut(&name) {
            Some(found) => Ok(found),
            None => Err(Refused::NoCollection { name }),
        }
    }

    /// A collection by its name.
    pub(crate) fn find(&self, name: &str) -> Result<&Collection, Refused> {
        self.0.get(name).ok_or_else(|| Refused::NoCollection {
            name: name.to_owned(),
        })
    }

    /// The points nearest to a query's vector, nearest first.
    pub(crate) fn search(&self, query: &Query) -> Result<Vec<Hit>, Refused> {
        query.check()?;
        let collection = self.find(&query.collection)?;
        check_fits(collection.dimensions, &query.vector)?;
        let mut nearest = Nearest::new(query);
        for (id, point) in &collection.points {
            nearest.offer(id, &point.vector);
        }
        Ok(nearest.into_hits())
    }

    /// Refuses what operations could not have led to.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        for (name, collection) in &self.0 {
            check_name(name)?;
            check_dimensions(collection.dimensions)?;
            for (id, point) in &collection.points {
                check_name(id)?;
                point.check()?;
                check_fits(collection.dimensions, &point.vector)?;
            }
        }
        Ok(())
    }
}
