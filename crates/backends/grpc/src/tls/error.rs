//! [`TlsError`]: which file cannot be used, and never what is in it.

use std::io;
use std::path::PathBuf;

/// Files that no TLS can be had with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is not there, may not be read, is too large, or is no file.
    #[error("the file {path:?} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not PEM.
    #[error("the file {path:?} is not well-formed PEM")]
    NotPem {
        /// Which file.
        path: PathBuf,
    },
    /// A file has no certificate.
    #[error("the file {path:?} has no certificate in it")]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// A file has no private key.
    #[error("the file {path:?} has no private key in it (PKCS#8, PKCS#1 or SEC1, not encrypted)")]
    NoKey {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate is none that others can be judged by.
    #[error("the file {path:?} has a certificate in it that is no authority's")]
    BadAuthority {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// A key is of another certificate.
    #[error("the private key {key:?} is not that of the certificate {certificate:?}")]
    Mismatch {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
    },
    /// A certificate or its key is damaged, or of a kind that is not supported.
    #[error("the certificate {certificate:?} cannot be used with the private key {key:?}")]
    BadCertificate {
        /// The file with the certificate.
        certificate: PathBuf,
        /// The file with the key.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Whom to believe was not said.
    #[error(
        "no file with an authority is named: the leader's certificate is judged by that alone, the \
         system's authorities are not used"
    )]
    NoAuthority,
    /// A certificate without its key, or a key without its certificate.
    #[error("a client's certificate and its private key must be named together")]
    HalfIdentity,
    /// A name that no certificate can be for.
    #[error("{name:?} is neither a host's name nor an address")]
    BadName {
        /// The name.
        name: String,
    },
    /// The library refuses what was made of the files.
    #[error("TLS cannot be set up")]
    Refused(#[source] rustls::Error),
}
