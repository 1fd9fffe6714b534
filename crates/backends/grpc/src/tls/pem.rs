//! [`PemFile`] and [`Identity`]: files with certificates and keys.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::TlsError;
use crate::small_file;

/// A file that was read. No `Debug`: it may be a key.
pub(super) struct PemFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl PemFile {
    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        let path = path.to_owned();
        match small_file::read(&path) {
            Ok(bytes) => Ok(Self { path, bytes }),
            Err(source) => Err(TlsError::Unreadable { path, source }),
        }
    }

    /// By what it is known when it is read again.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut copy = [0; 32];
        // As long as each other, always: SHA-256.
        for (to, from) in copy.iter_mut().zip(digest(&SHA256, &self.bytes).as_ref()) {
            *to = *from;
        }
        copy
    }

    /// All certificates in it, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let path = || self.path.clone();
        match read {
            Ok(none) if none.is_empty() => Err(TlsError::NoCertificate { path: path() }),
            Ok(some) => Ok(some),
            // The cause is left out: it repeats lines of the file.
            Err(_) => Err(TlsError::NotPem { path: path() }),
        }
    }

    /// The first key in it.
    fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| {
            let path = self.path.clone();
            match error {
                pem::Error::NoItemsFound => TlsError::NoKey { path },
                _ => TlsError::NotPem { path },
            }
        })
    }

    /// The authorities in it, at least one.
    pub(super) fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|source| {
                let path = self.path.clone();
                TlsError::BadAuthority { path, source }
            })?;
        }
        Ok(roots)
    }
}

/// Where a certificate, with those that lead to its authority behind it, and its key lie.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A certificate, its chain and its key, and the files' digests.
pub(super) struct Proof {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) digests: [[u8; 32]; 2],
}

impl Identity {
    pub(super) fn read(&self) -> Result<Proof, TlsError> {
        let certificate = PemFile::read(&self.certificate)?;
        let key = PemFile::read(&self.key)?;
        Ok(Proof {
            chain: certificate.certificates()?,
            key: key.key()?,
            digests: [certificate.digest(), key.digest()],
        })
    }

    /// What the library's refusal of them means.
    pub(super) fn refused(&self, source: rustls::Error) -> TlsError {
        let Self { certificate, key } = self.clone();
        match source {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key },
            source => TlsError::BadCertificate {
                certificate,
                key,
                source,
            },
        }
    }
}
