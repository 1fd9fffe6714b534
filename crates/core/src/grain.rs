//! [`GrainId`]: which grain an entry, a head or a replica belongs to.

use std::cmp::Ordering;
use std::fmt;

use arcstr::ArcStr;

/// The identity of a grain (virtual actor, keyed entity): a type and a key within that type.
///
/// Each part is any non-empty UTF-8 of at most [`GrainId::MAX_PART`] bytes; U+0000, slashes, dots,
/// wildcards and emoji included. Parts are compared as bytes and never joined without their lengths,
/// so `("a/b", "c")` and `("a", "b/c")` are two grains. The order is that of the type's bytes, then of
/// the key's.
///
/// # Cost
/// One pointer to one allocation: 18 bytes and both parts. A clone costs one reference count. Ids that
/// are clones of one another are found equal without a look at their bytes.
///
/// ```
/// use gleaner_core::GrainId;
/// let plane = GrainId::new("aircraft", "N14228")?;
/// assert_eq!(plane.grain_type(), "aircraft");
/// assert_ne!(GrainId::new("a/b", "c")?, GrainId::new("a", "b/c")?);
/// assert!(GrainId::new("aircraft", "").is_err());
/// # Ok::<(), gleaner_core::InvalidGrain>(())
/// ```
// Two characters below 128 that hold the type's length to the base of 128, then the type, then the
// key: two ids have the same text iff they have the same parts, so the text's equality and hash are
// the id's.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct GrainId(ArcStr);

/// How many bytes of the text hold the type's length.
const PREFIX: usize = 2;

impl GrainId {
    /// The longest type or key, in bytes. Every backend can index a key of this size.
    pub const MAX_PART: usize = 512;

    /// Builds an id from its two parts, which are copied.
    ///
    /// # Errors
    /// [`InvalidGrain`] if a part is empty or longer than [`Self::MAX_PART`] bytes.
    pub fn new(
        grain_type: impl AsRef<str>,
        grain_key: impl AsRef<str>,
    ) -> Result<Self, InvalidGrain> {
        let (name, key) = (grain_type.as_ref(), grain_key.as_ref());
        InvalidGrain::check("grain type", name)?;
        InvalidGrain::check("grain key", key)?;
        let mut text = String::with_capacity(PREFIX + name.len() + key.len());
        // At most 512, so that both digits lie below 128.
        for digit in [name.len() / 128, name.len() % 128] {
            text.push(u8::try_from(digit).map_or('\0', char::from));
        }
        text.push_str(name);
        text.push_str(key);
        Ok(Self(ArcStr::from(text)))
    }

    /// The type: the kind of actor, such as `aircraft`.
    pub fn grain_type(&self) -> &str {
        self.parts().0
    }

    /// The key within the type, such as a tail number.
    pub fn grain_key(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        let text = self.0.as_str();
        let split = match text.as_bytes() {
            [high, low, ..] => PREFIX + usize::from(*high) * 128 + usize::from(*low),
            _ => 0,
        };
        // `new` alone makes ids, and both are there.
        (
            text.get(PREFIX..split).unwrap_or_default(),
            text.get(split..).unwrap_or_default(),
        )
    }
}

impl Ord for GrainId {
    fn cmp(&self, other: &Self) -> Ordering {
        if ArcStr::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for GrainId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// For people: `type "key"` with both parts escaped. Not an encoding; nothing parses it.
impl fmt::Display for GrainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key) = self.parts();
        write!(f, "{} {key:?}", name.escape_debug())
    }
}

impl fmt::Debug for GrainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key) = self.parts();
        write!(f, "GrainId({name:?}, {key:?})")
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

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn an_id_is_one_thin_pointer() {
        assert_eq!(size_of::<GrainId>(), 8);
        assert_eq!(size_of::<Option<GrainId>>(), 8);
    }

    /// Lengths about the digits of the prefix, characters of several bytes at the boundary.
    fn parts() -> Vec<String> {
        let mut parts: Vec<String> = [1, 2, 127, 128, 129, 255, 256, 257, 511, 512]
            .into_iter()
            .flat_map(|length| ["a", "b", "\u{1}", "\0"].map(|letter| letter.repeat(length)))
            .collect();
        for tail in ["é", "€", "🛩"] {
            for length in [0, 125, 126, 127, 128, 508] {
                parts.push("a".repeat(length) + tail);
                parts.push(tail.to_owned() + &"a".repeat(length));
            }
        }
        parts
    }

    #[test]
    fn parts_come_back_as_they_went_in() {
        for name in parts() {
            for key in parts() {
                let id = GrainId::new(&name, &key).unwrap();
                assert_eq!((id.grain_type(), id.grain_key()), (&*name, &*key));
            }
        }
    }

    #[test]
    fn equality_hash_and_order_are_those_of_the_parts() {
        use std::hash::BuildHasher;
        let hash = std::hash::RandomState::new();
        let mut pairs = Vec::new();
        for name in parts().into_iter().step_by(5) {
            for key in parts().into_iter().step_by(7) {
                pairs.push((name.clone(), key));
            }
        }
        // The same texts, cut elsewhere.
        for cut in 1..5 {
            let (name, key) = "aéb🛩".split_at_checked(cut).unwrap_or(("\u{2}aé", "b🛩"));
            pairs.push((name.to_owned(), key.to_owned()));
        }
        let ids: Vec<_> = pairs
            .iter()
            .map(|(name, key)| GrainId::new(name, key).unwrap())
            .collect();
        for (one, parts) in ids.iter().zip(&pairs) {
            for (other, others) in ids.iter().zip(&pairs) {
                assert_eq!(one == other, parts == others);
                let order = (parts.0.as_bytes(), parts.1.as_bytes())
                    .cmp(&(others.0.as_bytes(), others.1.as_bytes()));
                assert_eq!(one.cmp(other), order);
                if one == other {
                    assert_eq!(hash.hash_one(one), hash.hash_one(other));
                }
            }
        }
    }
}
