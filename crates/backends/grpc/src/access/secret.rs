//! [`Secret`]: the token itself, on its holder's side.

use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use gleaner_core::Filter;
use ring::rand::{SecureRandom, SystemRandom};

use super::error::{LineFault, SecretError};
use super::hash::{self, TokenHash};
use super::line;
use super::right::Rights;
use crate::small_file;

/// What a drawn secret begins with, so that people and scanners know it for one.
const PREFIX: &str = "gleaner_";

/// A token. It has no `Display`, and its `Debug` does not tell it: it is told by [`Self::expose`]
/// alone.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Draws one: `gleaner_` and 32 random bytes in hex.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`] if the system gives none.
    pub fn draw() -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| SecretError::NoRandomness)?;
        Ok(Self(PREFIX.to_owned() + &hash::hex(&bytes)))
    }

    /// Reads one from a file that holds nothing else; white space around it is left out. Says in the
    /// log if others than its owner have access to the file.
    ///
    /// # Errors
    /// [`SecretError`], which names the file and nothing of what is in it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SecretError> {
        let path = path.as_ref();
        let bytes = small_file::read(path).map_err(|source| SecretError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        small_file::warn_if_open(path, "file with a secret");
        let bytes = bytes.trim_ascii();
        if bytes.is_empty() {
            let path = path.to_owned();
            return Err(SecretError::Empty { path });
        }
        // What a header carries, and one word.
        let word = std::str::from_utf8(bytes).ok();
        word.filter(|word| word.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(|word| Self(word.to_owned()))
            .ok_or_else(|| SecretError::NotOneWord {
                path: path.to_owned(),
            })
    }

    /// The secret, for the header that presents it: visible ASCII.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The SHA-256 of it.
    pub fn hash(&self) -> [u8; 32] {
        *TokenHash::of(self.0.as_bytes()).bytes()
    }

    /// The line of a token file that admits its holder, with no line break. An empty scope: every
    /// grain. `expires` is rounded up to a second.
    ///
    /// # Errors
    /// [`LineFault`] if such a line would not be read: no rights, a name or a rule that is none, a
    /// filter with slices, a time before 1970.
    pub fn line(
        &self,
        name: &str,
        rights: Rights,
        scope: &[Filter],
        expires: Option<SystemTime>,
    ) -> Result<String, LineFault> {
        let hash = TokenHash::of(self.0.as_bytes());
        line::write(name, hash, rights, scope, expires)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
