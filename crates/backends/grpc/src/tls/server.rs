//! [`ServerTls`]: the leader's end.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::error::TlsError;
use super::pem::{Identity, PemFile};
use super::{H2, Made, provider};
use crate::small_file;
use crate::watched::Watched;

/// Which files a leader's TLS is made of.
#[derive(Debug, Clone)]
#[must_use]
pub struct ServerTlsConfig {
    identity: Identity,
    client_authority: Option<PathBuf>,
}

impl ServerTlsConfig {
    /// Files in PEM: the leader's certificate, with those that lead to its authority behind it, and
    /// its private key.
    pub fn new(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self {
            identity: Identity {
                certificate: certificate.as_ref().to_owned(),
                key: key.as_ref().to_owned(),
            },
            client_authority: None,
        }
    }

    /// A file in PEM with the authorities of whom every client must have a certificate. Default: none,
    /// and clients need none.
    pub fn client_authority(mut self, path: impl AsRef<Path>) -> Self {
        self.client_authority = Some(path.as_ref().to_owned());
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`]. Whether the certificate has expired is not looked at: clients do.
    pub fn open(self) -> Result<ServerTls, TlsError> {
        small_file::warn_if_open(&self.identity.key, "private key");
        let Identity { certificate, key } = self.identity.clone();
        let mut paths = vec![certificate, key];
        paths.extend(self.client_authority.clone());
        let made = Watched::open("the leader's TLS", paths, move || self.make())?;
        Ok(ServerTls(made))
    }

    fn make(&self) -> Result<Made<ServerConfig>, TlsError> {
        let proof = self.identity.read()?;
        let mut digests = proof.digests.to_vec();
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Refused)?;
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let file = PemFile::read(path)?;
                digests.push(file.digest());
                let roots = Arc::new(file.authorities()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                    .build()
                    .map_err(|error| {
                        TlsError::Refused(rustls::Error::General(error.to_string()))
                    })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(proof.chain, proof.key)
            .map_err(|error| self.identity.refused(error))?;
        config.alpn_protocols = vec![H2.to_vec()];
        // Without a ticket there is nothing to resume by.
        config.send_tls13_tickets = 0;
        Ok(Made {
            digests,
            config: Arc::new(config),
        })
    }
}

/// The leader's end of TLS.
///
/// Its files may be replaced while it serves: connections that are made a second later have the new
/// certificate and are judged by the new authorities; those that are open stay. New files that cannot
/// be used, such as a certificate whose key is not there yet, are said in the log once and leave the
/// former in force.
///
/// # Concurrency
/// Shared by reference. Certificate, key and authorities are swapped as one. The files are looked at
/// by whoever asks for the configuration, at most once a second.
pub struct ServerTls(Watched<Made<ServerConfig>, TlsError>);

impl ServerTls {
    /// The configuration for the next connection: asked for anew for each.
    ///
    /// A client that offers no protocol is let through the handshake: ask the connection whether `h2`
    /// was agreed on. With TLS 1.3 a client believes itself connected before its certificate is
    /// judged; it learns of a refusal when it first reads.
    ///
    /// # Cost
    /// A reference count; once a second a `stat` a file, and a reading if one has changed.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current().config)
    }

    /// Reads the files now; whether they are others than before.
    ///
    /// # Errors
    /// [`TlsError`]; the former files stay in force.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.0.reload()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerTls").field(&self.0.paths()).finish()
    }
}
