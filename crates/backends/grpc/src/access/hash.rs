//! [`TokenHash`]: what is kept of a secret.

use ring::digest::{SHA256, digest};
use subtle::{Choice, ConstantTimeEq};

/// The SHA-256 of a secret. It has no `Debug`: hashes are in no log either.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; Self::LENGTH]);

impl TokenHash {
    const LENGTH: usize = 32;
    /// No secret is known that has it, and [`Self::parse`] does not let it in.
    pub(super) const NONE: Self = Self([0; Self::LENGTH]);

    pub(super) fn of(secret: &[u8]) -> Self {
        let mut hash = [0; Self::LENGTH];
        // As long as each other, always: SHA-256.
        for (to, from) in hash.iter_mut().zip(digest(&SHA256, secret).as_ref()) {
            *to = *from;
        }
        Self(hash)
    }

    /// Reads 64 hex digits; none if they are not, are all zero, or are the hash of nothing, which is
    /// what a script writes whose variable was not set.
    pub(super) fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 2 * Self::LENGTH {
            return None;
        }
        let mut hash = [0; Self::LENGTH];
        for (to, pair) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
            for digit in pair {
                *to = *to << 4 | u8::try_from(char::from(*digit).to_digit(16)?).ok()?;
            }
        }
        Some(Self(hash)).filter(|hash| *hash != Self::NONE && *hash != Self::of(b""))
    }

    pub(super) const fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    pub(super) fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Whether they are the same, in a time that does not depend on where they differ.
    pub(super) fn same(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

/// Bytes as digits in lower case.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(u32::from(number), 16).unwrap_or('0');
    let pair = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.iter().flat_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256_in_hex() {
        // The vector of FIPS 180-2.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of(b"abc").hex(), abc);
        let read = TokenHash::parse(abc).unwrap();
        assert!(bool::from(read.same(&TokenHash::of(b"abc"))));
        assert!(!bool::from(read.same(&TokenHash::of(b"abd"))));
        assert!(TokenHash::parse(&abc.to_uppercase()) == Some(read));
    }

    #[test]
    fn what_is_no_hash_of_a_secret_is_not_read() {
        let nothing = TokenHash::of(b"").hex();
        for bad in [
            "",
            "ba78",
            &"0".repeat(64),
            &"g".repeat(64),
            &"a".repeat(63),
            &"a".repeat(65),
            &"\u{e9}".repeat(32),
            &nothing,
        ] {
            assert!(TokenHash::parse(bad).is_none(), "{bad}");
        }
    }
}
