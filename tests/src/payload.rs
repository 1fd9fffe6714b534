//! [`Payload`]: a state that says whose it is and shows any damage.

use std::fmt::Write;

use bytes::Bytes;

/// The state of a grain at one turn of one appender. No two turns are alike, and from grain and turn
/// alone follows every byte, up to some thousands of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Payload {
    turn: u64,
}

impl Payload {
    /// The state at a turn.
    pub const fn new(turn: u64) -> Self {
        Self { turn }
    }

    /// At which turn.
    pub const fn turn(self) -> u64 {
        self.turn
    }

    /// As bytes.
    pub fn bytes(self, key: &str) -> Bytes {
        let mut text = format!("{} {key}", self.turn);
        // One of some twenty goes over several pages of a database.
        let words = match self.turn % 21 {
            0 => 900,
            some => some,
        };
        for word in 0..words {
            // Writing to a string does not fail.
            let _ = write!(text, " {:x}", self.turn.wrapping_mul(word + 3));
        }
        text.into()
    }

    /// From bytes; none if they are not exactly those of some turn of this grain.
    pub fn read(key: &str, bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let turn = text.split(' ').next()?.parse().ok()?;
        let payload = Self { turn };
        (payload.bytes(key) == *bytes).then_some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_damage_shows() {
        for turn in [1, 21, 1 << 40] {
            let payload = Payload::new(turn);
            let whole = payload.bytes("N1");
            assert_eq!(Payload::read("N1", &whole), Some(payload));
            assert_eq!(Payload::read("N2", &whole), None);
            assert_eq!(Payload::read("N1", &whole.slice(..whole.len() - 1)), None);
            let mut bent = whole.to_vec();
            bent[whole.len() / 2] ^= 1;
            assert_eq!(Payload::read("N1", &bent), None);
        }
    }
}
