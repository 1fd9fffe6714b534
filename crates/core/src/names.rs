//! [`Names`]: which part of an index on names a listing walks, for backends that keep one.

use crate::{Filter, GrainId};

/// For backends that keep grains in order: the range of names, in the order of their bytes, that a
/// filter's type and key prefix allow and that lies strictly after a grain.
///
/// What lies in it may still be passed over: for its slice, or its prefix where every type is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// There is none.
    None,
    /// Of every type, strictly after type and key.
    All(Vec<u8>, Vec<u8>),
    /// Of this type: keys from the first to before the second.
    OfType(Vec<u8>, Vec<u8>, Vec<u8>),
}

/// Above every key: no byte of UTF-8 is as high.
const ABOVE: &[u8] = &[0xff];

impl Names {
    /// How many grains outside its filter a page passes over before it is handed back as it is, so that
    /// no snapshot is held while all of a large log is looked at.
    pub const SCAN: usize = 4096;

    /// The range of `filter` strictly after `after`.
    pub fn of(filter: &Filter, after: Option<&GrainId>) -> Self {
        let after =
            after.map(|grain| (grain.grain_type().as_bytes(), grain.grain_key().as_bytes()));
        if filter.first().is_none() {
            return Self::None;
        }
        let Some(name) = filter.only_type().map(str::as_bytes) else {
            let (name, key) = after.unwrap_or_default();
            return Self::All(name.to_vec(), key.to_vec());
        };
        let prefix = filter.only_prefix().unwrap_or_default().as_bytes();
        let from = match after {
            // All of the type lies before.
            Some((other, _)) if other > name => return Self::None,
            // The least key above this one.
            Some((other, key)) if other == name && key >= prefix => [key, b"\0"].concat(),
            _ => prefix.to_vec(),
        };
        let mut below = prefix.to_vec();
        // The last byte of a prefix is below 0xff: it is UTF-8.
        match below.last_mut() {
            Some(last) => *last = last.saturating_add(1),
            None => below.extend(ABOVE),
        }
        Self::OfType(name.to_vec(), from, below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_type(from: &[u8], below: &[u8]) -> Names {
        Names::OfType(b"t".to_vec(), from.to_vec(), below.to_vec())
    }

    #[test]
    fn a_range_begins_behind_the_grain_and_ends_behind_the_prefix() {
        let rule = Filter::grain_type("t").key_prefix("k\u{10ffff}");
        let prefix = "k\u{10ffff}".as_bytes();
        let below = b"k\xf4\x8f\xbf\xc0";
        let grain = |name: &str, key: &str| GrainId::new(name, key).unwrap();
        for (after, range) in [
            (None, of_type(prefix, below)),
            (Some(grain("s", "z")), of_type(prefix, below)),
            (Some(grain("t", "a")), of_type(prefix, below)),
            (
                Some(grain("t", "k\u{10ffff}")),
                of_type("k\u{10ffff}\0".as_bytes(), below),
            ),
            // Empty, and no error.
            (Some(grain("t", "l")), of_type(b"l\0", below)),
            (Some(grain("u", "a")), Names::None),
        ] {
            assert_eq!(Names::of(&rule, after.as_ref()), range, "after {after:?}");
        }
        assert_eq!(
            Names::of(&Filter::grain_type("t"), None),
            of_type(b"", b"\xff")
        );
        assert_eq!(Names::of(&Filter::grain_type(""), None), Names::None);
        assert_eq!(
            Names::of(&Filter::all().key_prefix("k"), Some(&grain("t", "a"))),
            Names::All(b"t".to_vec(), b"a".to_vec())
        );
    }
}
