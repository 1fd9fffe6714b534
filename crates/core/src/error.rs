//! [`Error`]: what went wrong at a log or store, said as what the caller may do now.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::{Cursor, Fence, GrainId, Head};

/// The result of an operation on a log or a store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller may do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing happened; the same call may succeed later. Wait, then retry.
    Transient,
    /// It may have happened. Send the same bytes again, or look.
    Unknown,
    /// Another writer owns the grain. Stop, or claim an epoch above the fence's.
    Fenced {
        /// Who owns it.
        fence: Fence,
    },
    /// The entry does not follow the head. Look at the head and decide.
    Conflict {
        /// The head that was found, if the grain has one.
        head: Option<Head>,
    },
    /// The history asked for is gone. Begin at a base.
    Truncated {
        /// The first cursor that is left.
        floor: Cursor,
    },
    /// A feed position is of no use any more. Take a new one and list again.
    Expired,
    /// The call itself is wrong and will be wrong again.
    Invalid,
    /// The backend cannot serve this and will not by waiting: a newer schema, a damaged row.
    Permanent,
}

impl ErrorKind {
    /// A word for logs and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Unknown => "unknown",
            Self::Fenced { .. } => "fenced",
            Self::Conflict { .. } => "conflict",
            Self::Truncated { .. } => "truncated",
            Self::Expired => "expired",
            Self::Invalid => "invalid",
            Self::Permanent => "permanent",
        }
    }
}

/// An error of a log, feed or store: a [kind](ErrorKind), the backend, and the grain and cursor it
/// concerns where there are some. A clone costs one reference count.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    backend: &'static str,
    message: String,
    grain: Option<GrainId>,
    cursor: Option<Cursor>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of a kind, from a backend (`"sqlite"`), with a sentence in lower case and no full stop.
    pub fn new(kind: ErrorKind, backend: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Arc::new(Inner {
            kind,
            backend,
            message,
            grain: None,
            cursor: None,
            source: None,
        }))
    }

    /// [`ErrorKind::Transient`].
    pub fn transient(backend: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, backend, message)
    }

    /// [`ErrorKind::Unknown`].
    pub fn unknown(backend: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unknown, backend, message)
    }

    /// [`ErrorKind::Invalid`].
    pub fn invalid(backend: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, backend, message)
    }

    /// [`ErrorKind::Expired`].
    pub fn expired(backend: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Expired, backend, message)
    }

    /// [`ErrorKind::Permanent`].
    pub fn permanent(backend: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Permanent, backend, message)
    }

    /// Names the grain and cursor it concerns.
    #[must_use]
    pub fn at(self, grain: &GrainId, cursor: Cursor) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.cursor = Some(cursor);
        inner.grain = Some(grain.clone());
        Self(Arc::new(inner))
    }

    /// Names the grain it concerns.
    #[must_use]
    pub fn of(self, grain: &GrainId) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.grain = Some(grain.clone());
        Self(Arc::new(inner))
    }

    /// Names what caused it.
    #[must_use]
    pub fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.source = Some(Arc::new(source));
        Self(Arc::new(inner))
    }

    /// What the caller may do now.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whose error it is.
    pub fn backend(&self) -> &'static str {
        self.0.backend
    }

    /// The grain it concerns.
    pub fn grain(&self) -> Option<&GrainId> {
        self.0.grain.as_ref()
    }

    /// The cursor it concerns.
    pub fn cursor(&self) -> Option<Cursor> {
        self.0.cursor
    }

    /// Whether the same call may be made again as it stands: `Transient` or `Unknown`.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Transient | ErrorKind::Unknown)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            backend,
            message,
            grain,
            cursor,
            ..
        } = &*self.0;
        write!(f, "{backend}: {}: {message}", kind.name())?;
        if let Some(grain) = grain {
            write!(f, " ({grain}")?;
            if let Some(cursor) = cursor {
                write!(f, " at {cursor}")?;
            }
            write!(f, ")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            backend,
            message,
            grain,
            cursor,
            source,
        } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("backend", backend)
            .field("message", message)
            .field("grain", grain)
            .field("cursor", cursor)
            .field("source", source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}
