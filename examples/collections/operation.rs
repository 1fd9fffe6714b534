//! [`Operation`]: what is done to a database, and the limits that it keeps whatever the database holds.

use std::collections::BTreeMap;

use gleaner::{CodecError, FoldError, PublishError};
use serde::{Deserialize, Serialize};

/// The longest name of a collection and id of a point, in bytes.
pub(crate) const MAX_NAME: usize = 256;
/// The most dimensions of a collection: above what embedding models give.
pub(crate) const MAX_DIMENSIONS: u32 = 4096;
/// The most bytes of one point's attributes, names and values together.
pub(crate) const MAX_ATTRIBUTES: usize = 4 << 10;

/// One change of a database. Several go into a Delta, all or none of them applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Operation {
    /// A new, empty collection.
    CreateCollection { name: String, dimensions: u32 },
    /// A collection and all its points go.
    DropCollection { name: String },
    /// A point comes, or takes the place of the one of that id.
    Upsert {
        collection: String,
        id: String,
        point: Point,
    },
    /// A point goes; nothing happens if there is none of that id.
    Delete { collection: String, id: String },
}

/// A vector, and what is said of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) vector: Vec<f32>,
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Why an operation or a search is refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("a name or id has 1 to {MAX_NAME} bytes, not {bytes}")]
    Name { bytes: usize },
    #[error("a collection has 1 to {MAX_DIMENSIONS} dimensions, not {dimensions}")]
    Dimensions { dimensions: u32 },
    #[error("the attributes of a point have at most {MAX_ATTRIBUTES} bytes, not {bytes}")]
    Attributes { bytes: usize },
    #[error("the number in dimension {dimension} is not finite")]
    NotFinite { dimension: usize },
    #[error("there is no collection {name:?}")]
    NoCollection { name: String },
    #[error("there is a collection {name:?} already")]
    Exists { name: String },
    #[error("the collection has {expected} dimensions, the vector {found}")]
    OtherDimensions { expected: u32, found: usize },
    #[error("a search is for 1 to {max} points, not {count}")]
    Count { count: usize, max: usize },
    #[error("a vector of nothing but zeros has no direction to compare")]
    NoDirection,
}

/// Why a write did not happen, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Nothing was published.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// This database follows another; writes go there.
    #[error("this database follows {leader} and takes no writes: write there")]
    ReadOnly { leader: String },
    /// The log did not take it. Of a write that is larger than one Delta, a first part may be in.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The operations cannot be written down.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// In a follower's log such an operation is a Delta that does not fold.
impl From<Refused> for FoldError {
    fn from(why: Refused) -> Self {
        Self::new(why.to_string())
    }
}

impl Operation {
    /// Refuses what no database would take.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        match self {
            Self::CreateCollection { name, dimensions } => {
                check_name(name)?;
                check_dimensions(*dimensions)
            }
            Self::DropCollection { name } => check_name(name),
            Self::Upsert {
                collection,
                id,
                point,
            } => {
                check_name(collection)?;
                check_name(id)?;
                point.check()
            }
            Self::Delete { collection, id } => {
                check_name(collection)?;
                check_name(id)
            }
        }
    }
}

impl Point {
    /// Refuses what no collection would take.
    pub(crate) fn check(&self) -> Result<(), Refused> {
        check_vector(&self.vector)?;
        let bytes = self
            .attributes
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if bytes > MAX_ATTRIBUTES {
            return Err(Refused::Attributes { bytes });
        }
        Ok(())
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), Refused> {
    match name.len() {
        1..=MAX_NAME => Ok(()),
        bytes => Err(Refused::Name { bytes }),
    }
}

pub(crate) fn check_dimensions(dimensions: u32) -> Result<(), Refused> {
    match dimensions {
        1..=MAX_DIMENSIONS => Ok(()),
        _ => Err(Refused::Dimensions { dimensions }),
    }
}

/// Refuses numbers that have no distance to any other.
pub(crate) fn check_vector(vector: &[f32]) -> Result<(), Refused> {
    match vector.iter().position(|number| !number.is_finite()) {
        None => Ok(()),
        Some(dimension) => Err(Refused::NotFinite { dimension }),
    }
}

/// Refuses a vector that does not lie in a collection's space.
pub(crate) fn check_fits(dimensions: u32, vector: &[f32]) -> Result<(), Refused> {
    if u32::try_from(vector.len()) == Ok(dimensions) {
        Ok(())
    } else {
        Err(Refused::OtherDimensions {
            expected: dimensions,
            found: vector.len(),
        })
    }
}
