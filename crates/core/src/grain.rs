//! [`GrainId`]: which grain an entry, a head or a replica belongs to.

use std::fmt;
use std::sync::Arc;

/// The identity of a grain (virtual actor, keyed entity): a type and a key within that type.
///
/// Each part is any non-empty UTF-8 of at most [`GrainId::MAX_PART`] bytes; U+0000, slashes, dots,
/// wildcards and emoji included. Parts are compared as bytes and never joined into one string, so
/// `("a/b", "c")` and `("a", "b/c")` are two grains. The order is that of the type's bytes, then of
/// the key's. A clone costs two reference counts.
///
/// ```
/// use gleaner_core::GrainId;
/// let plane = GrainId::new("aircraft", "N14228")?;
/// assert_eq!(plane.grain_type(), "aircraft");
/// assert_ne!(GrainId::new("a/b", "c")?, GrainId::new("a", "b/c")?);
/// assert!(GrainId::new("aircraft", "").is_err());
/// # Ok::<(), gleaner_core::InvalidGrain>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrainId {
    grain_type: Arc<str>,
    grain_key: Arc<str>,
}

impl GrainId {
    /// The longest type or key, in bytes. Every backend can index a key of this size.
    pub const MAX_PART: usize = 512;

    /// Builds an id from its two parts. Passing an `Arc<str>` that is already held shares it.
    ///
    /// # Errors
    /// [`InvalidGrain`] if a part is empty or longer than [`Self::MAX_PART`] bytes.
    pub fn new(
        grain_type: impl Into<Arc<str>>,
        grain_key: impl Into<Arc<str>>,
    ) -> Result<Self, InvalidGrain> {
        let (grain_type, grain_key) = (grain_type.into(), grain_key.into());
        InvalidGrain::check("grain type", &grain_type)?;
        InvalidGrain::check("grain key", &grain_key)?;
        Ok(Self {
            grain_type,
            grain_key,
        })
    }

    /// The type: the kind of actor, such as `aircraft`.
    pub fn grain_type(&self) -> &str {
        &self.grain_type
    }

    /// The key within the type, such as a tail number.
    pub fn grain_key(&self) -> &str {
        &self.grain_key
    }
}

/// For people: `type "key"` with both parts escaped. Not an encoding; nothing parses it.
impl fmt::Display for GrainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.grain_type.escape_debug(), self.grain_key)
    }
}

impl fmt::Debug for GrainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrainId({:?}, {:?})", self.grain_type, self.grain_key)
    }
}

/// A grain type or key that is empty or too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{part} is {length} bytes long; 1 to {} are allowed",
    GrainId::MAX_PART
)]
pub struct InvalidGrain {
    part: &'static str,
    length: usize,
}

impl InvalidGrain {
    fn check(part: &'static str, value: &str) -> Result<(), Self> {
        let length = value.len();
        if (1..=GrainId::MAX_PART).contains(&length) {
            Ok(())
        } else {
            Err(Self { part, length })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_never_joined() {
        let one = GrainId::new("a/b", "c").unwrap();
        let other = GrainId::new("a", "b/c").unwrap();
        assert_ne!(one, other);
        assert_ne!(one.to_string(), other.to_string());
    }

    #[test]
    fn order_is_that_of_bytes_type_first() {
        let mut ids: Vec<GrainId> = [("b", "a"), ("a", "é"), ("a", "z"), ("aa", "a"), ("a", "\0")]
            .into_iter()
            .map(|(t, k)| GrainId::new(t, k).unwrap())
            .collect();
        ids.sort();
        let keys: Vec<_> = ids
            .iter()
            .map(|id| (id.grain_type(), id.grain_key()))
            .collect();
        assert_eq!(
            keys,
            [("a", "\0"), ("a", "z"), ("a", "é"), ("aa", "a"), ("b", "a")]
        );
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert!(GrainId::new("t", "é".repeat(256)).is_ok());
        assert!(GrainId::new("t", "é".repeat(256) + "x").is_err());
        assert!(GrainId::new("", "k").is_err());
    }
}
