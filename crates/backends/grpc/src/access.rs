//! Who may do what at a leader: bearer tokens from a file, their rights, their scope.
//!
//! Owns the file of tokens and the judgement on a secret that is presented. It keeps hashes, never
//! secrets, and knows nothing of calls: which right a call needs and what it may tell is said by those
//! who serve it.
//!
//! The file has a JSON object a line; blank lines and lines that begin with `#` are passed over:
//!
//! ```text
//! # The readers of the other cluster.
//! {"name":"eu-reader","sha256":"<64 hex digits>","rights":["read"],"scope":[{"type":"aircraft","key_prefix":"N1"}]}
//! {"name":"backup","sha256":"<64 hex digits>","rights":["read"],"expires_unix":1798761600}
//! ```
//!
//! - `name`: for logs; no two are alike.
//! - `sha256`: of the secret. Plain, since a [`Secret`] is drawn with 256 bits: there is nothing to
//!   guess. A secret of one's own making must be as good.
//! - `rights`: of `read`, `append`, `claim`, `truncate`; none implies another.
//! - `scope`: rules, each a type, the beginning of a key, or both; a grain that meets one is in it.
//!   Left out: every grain.
//! - `expires_unix`: the second, UTC, from which on it is refused. Left out: never.
//!
//! Anything else is an error, and a changed file with an error leaves the former tokens in force: it
//! is said in the log, and a token is only revoked once the file is good.

mod error;
mod grant;
mod hash;
mod line;
mod right;
mod secret;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub use error::{AccessError, LineFault, SecretError};
pub use grant::Grant;
use hash::TokenHash;
pub use right::{Right, Rights, UnknownRight};
pub use secret::Secret;
use table::Table;

use crate::small_file;
use crate::watched::Watched;

/// Who is admitted, and to what.
///
/// Every call presents its secret to [`Self::admit`] and asks the [`Grant`] that it gets whether it
/// [may](Grant::may), and which grains it [includes](Grant::includes). A stream that stays open keeps
/// its grant and asks [`Self::still`] before each page that it sends, and at least as often as it
/// would notice a revocation: an idle one at its heartbeat.
///
/// ```
/// use std::time::Duration;
/// use gleaner_core::{Filter, GrainId};
/// use gleaner_grpc::access::{Access, Refused, Right, Rights, Secret};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("tokens");
/// let secret = Secret::draw()?;
/// let planes = Filter::grain_type("aircraft");
/// std::fs::write(&path, secret.line("eu-reader", Rights::of([Right::Read]), &[planes], None)?)?;
///
/// let access = Access::file(&path)?;
/// let grant = access.admit(Some(secret.expose()))?;
/// assert!(grant.may(Right::Read) && !grant.may(Right::Append));
/// assert!(grant.includes(&GrainId::new("aircraft", "N14228")?));
/// assert!(!grant.covers(&Filter::all()));
/// assert_eq!(access.admit(Some("gleaner_guess")), Err(Refused::Unknown));
///
/// // Taken out of the file: what is open ends.
/// std::fs::write(&path, "# nobody\n")?;
/// assert!(access.reload()?);
/// assert_eq!(access.still(&grant), Err(Refused::Unknown));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Concurrency
/// Shared by reference. The tokens are swapped whole: a call is judged by the former file or by the
/// new one. The file is looked at by the calls themselves, at most once a second, by one of them while
/// the others go on; so a change is in force a second after it, and there is no task to stop.
pub struct Access(Kind);

enum Kind {
    Everyone(Arc<Grant>),
    File(Watched<Table, AccessError>),
}

impl Access {
    /// Admits those whose tokens stand in a file, and follows the file.
    ///
    /// Replace it by a rename: a file that is seen half written is refused, or, cut at the end of a
    /// line, is a file with fewer tokens until the next look.
    ///
    /// # Errors
    /// [`AccessError`], if it cannot be read or a line is not as it should be. A file without a token
    /// is said in the log, and admits nobody.
    pub fn file(path: impl AsRef<Path>) -> Result<Self, AccessError> {
        let path = absolute(path.as_ref());
        small_file::warn_if_open(&path, "token file");
        let from = path.clone();
        let tokens = Watched::open("the token file", [path], move || Table::read(&from))?;
        if tokens.current().is_empty() {
            let path = tokens.paths();
            tracing::warn!(?path, "the token file has no token: nobody is admitted");
        }
        Ok(Self(Kind::File(tokens)))
    }

    /// Admits everyone to everything, with or without a token. Only for an explicit insecure option,
    /// and for tests.
    pub fn open_to_all() -> Self {
        Self(Kind::Everyone(Arc::new(Grant::everything())))
    }

    /// Whether everyone is admitted to everything.
    pub fn is_open_to_all(&self) -> bool {
        matches!(self.0, Kind::Everyone(_))
    }

    /// What the holder of a secret may do; `bearer` is the secret as presented, without the word
    /// `Bearer`.
    ///
    /// # Contract
    /// Its hash is compared with that of every token, each in constant time: how long it takes tells
    /// how many tokens there are, and nothing about them.
    ///
    /// # Errors
    /// [`Refused`], which carries nothing of what was presented.
    ///
    /// # Cost
    /// A hash and 32 bytes compared a token: 0.3 µs with one, 0.8 with ten, 50 with a thousand. Once a
    /// second a `stat`, and a reading if the file has changed.
    pub fn admit(&self, bearer: Option<&str>) -> Result<Arc<Grant>, Refused> {
        let tokens = match &self.0 {
            Kind::Everyone(grant) => return Ok(Arc::clone(grant)),
            Kind::File(tokens) => tokens.current(),
        };
        let secret = bearer
            .filter(|secret| !secret.is_empty())
            .ok_or(Refused::NoToken)?;
        let grant = tokens.presented(&TokenHash::of(secret.as_bytes()));
        valid(grant, SystemTime::now())
    }

    /// What the token of a grant is good for now, for streams that stay open.
    ///
    /// # Contract
    /// The answer is the grant of the same secret in the newest tokens. If it equals the one that was
    /// handed in, nothing has changed; if not, the caller goes on with the new one: it asks it again
    /// whether the stream may, and whether it covers the stream's filter, and ends the stream if not.
    ///
    /// # Errors
    /// [`Refused`] if the token was taken out or has expired: the stream ends.
    ///
    /// # Cost
    /// A comparison a token; else as [`Self::admit`].
    pub fn still(&self, grant: &Grant) -> Result<Arc<Grant>, Refused> {
        match &self.0 {
            Kind::Everyone(grant) => Ok(Arc::clone(grant)),
            Kind::File(tokens) => valid(tokens.current().of(&grant.hash), SystemTime::now()),
        }
    }

    /// Reads the file now; whether its tokens are others than before.
    ///
    /// # Errors
    /// As [`Self::file`]; the former tokens stay in force.
    pub fn reload(&self) -> Result<bool, AccessError> {
        match &self.0 {
            Kind::Everyone(_) => Ok(false),
            Kind::File(tokens) => tokens.reload(),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Everyone(_) => f.write_str("Access(open to all)"),
            Kind::File(tokens) => f.debug_tuple("Access").field(&tokens.paths()).finish(),
        }
    }
}

/// Why somebody is not admitted. It carries nothing of what was presented.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No secret was presented, or an empty one.
    #[error("no token was presented")]
    NoToken,
    /// There is no such token, or not any more.
    #[error("the token is not known")]
    Unknown,
    /// Its time is over.
    #[error("the token {name:?} has expired")]
    Expired {
        /// The token's name in the file.
        name: Arc<str>,
    },
}

fn valid(grant: Option<&Arc<Grant>>, now: SystemTime) -> Result<Arc<Grant>, Refused> {
    let grant = grant.ok_or(Refused::Unknown)?;
    if grant.has_expired(now) {
        return Err(Refused::Expired {
            name: Arc::clone(&grant.name),
        });
    }
    Ok(Arc::clone(grant))
}

/// So that a changed working directory leads to no other file. One that cannot be made absolute is
/// refused when it is read.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
