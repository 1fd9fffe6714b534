//! [`ClientTls`]: the follower's end.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::error::TlsError;
use super::pem::{Identity, PemFile};
use super::{H2, Made, provider};
use crate::small_file;
use crate::watched::Watched;

/// Which files a follower's TLS is made of.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ClientTlsConfig {
    authority: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
}

impl ClientTlsConfig {
    /// No files yet; [`Self::authority`] is needed.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file in PEM with the authorities of which the leader's certificate must be. Needed: the
    /// system's authorities are not used.
    pub fn authority(mut self, path: impl AsRef<Path>) -> Self {
        self.authority = Some(path.as_ref().to_owned());
        self
    }

    /// A file in PEM with the client's certificate and those that lead to its authority behind it.
    /// Default: none. It goes with [`Self::key`].
    pub fn certificate(mut self, path: impl AsRef<Path>) -> Self {
        self.certificate = Some(path.as_ref().to_owned());
        self
    }

    /// A file in PEM with the private key of the client's certificate.
    pub fn key(mut self, path: impl AsRef<Path>) -> Self {
        self.key = Some(path.as_ref().to_owned());
        self
    }

    /// The name that the leader's certificate must be for. Default: the host that is connected to.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`]. Whether the certificate has expired is not looked at: the leader does.
    pub fn open(self) -> Result<ClientTls, TlsError> {
        let authority = self.authority.ok_or(TlsError::NoAuthority)?;
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
            _ => return Err(TlsError::HalfIdentity),
        };
        let server_name = self.server_name.as_deref().map(parse_name).transpose()?;
        let mut paths = vec![authority.clone()];
        if let Some(identity) = &identity {
            small_file::warn_if_open(&identity.key, "private key");
            paths.extend([identity.certificate.clone(), identity.key.clone()]);
        }
        let made = Watched::open("the follower's TLS", paths, move || {
            make(&authority, identity.as_ref())
        })?;
        Ok(ClientTls { made, server_name })
    }
}

fn make(authority: &Path, identity: Option<&Identity>) -> Result<Made<ClientConfig>, TlsError> {
    let file = PemFile::read(authority)?;
    let mut digests = vec![file.digest()];
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Refused)?
        .with_root_certificates(file.authorities()?);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let proof = identity.read()?;
            digests.extend(proof.digests);
            builder
                .with_client_auth_cert(proof.chain, proof.key)
                .map_err(|error| identity.refused(error))?
        }
    };
    config.alpn_protocols = vec![H2.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Made {
        digests,
        config: Arc::new(config),
    })
}

/// The follower's end of TLS.
///
/// Its files may be replaced while it follows: connections that are made a second later have the new
/// certificate and judge by the new authorities. New files that cannot be used are said in the log
/// once and leave the former in force.
///
/// # Concurrency
/// As [`ServerTls`](super::ServerTls).
pub struct ClientTls {
    made: Watched<Made<ClientConfig>, TlsError>,
    server_name: Option<ServerName<'static>>,
}

impl ClientTls {
    /// The configuration for the next connection: asked for anew for each.
    ///
    /// A leader that agrees on no protocol is let through the handshake: ask the connection whether
    /// `h2` was agreed on. A leader that refuses this client's certificate, or wants one, says so only
    /// after the handshake, to the first reading.
    ///
    /// # Cost
    /// A reference count; once a second a `stat` a file, and a reading if one has changed.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.made.current().config)
    }

    /// The name that the leader's certificate must be for, at a host: the one that was set, else the
    /// host, a name or an address (of version 6 with or without brackets).
    ///
    /// # Errors
    /// [`TlsError::BadName`] if the host is neither.
    pub fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => parse_name(host),
        }
    }

    /// Reads the files now; whether they are others than before.
    ///
    /// # Errors
    /// [`TlsError`]; the former files stay in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.made.reload()
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("paths", &self.made.paths())
            .field("server_name", &self.server_name)
            .finish()
    }
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(name);
    ServerName::try_from(address.to_owned()).map_err(|_| TlsError::BadName {
        name: name.to_owned(),
    })
}
