//! TLS at both ends: certificates from files, read again when they change.
//!
//! Owns what a connection is encrypted with and who is believed to be at its other end. It knows
//! nothing of sockets: the configurations are for whoever makes the handshake.
//!
//! TLS 1.3 alone, with ring, and no other protocol than `h2`: both ends are ours. No session is
//! resumed: connections last long, and every new one then proves anew that its certificates are still
//! good. The system's authorities are not used: those who sign for the web have no say in which leader
//! is believed, so the file with one's own is named.

mod client;
mod error;
mod pem;
mod server;

use std::sync::Arc;

pub use client::{ClientTls, ClientTlsConfig};
pub use error::TlsError;
use rustls::crypto::CryptoProvider;
pub use server::{ServerTls, ServerTlsConfig};

/// What HTTP/2 is called in the handshake.
const H2: &[u8] = b"h2";

/// A configuration, and by which bytes it is another than the next.
struct Made<C> {
    digests: Vec<[u8; 32]>,
    config: Arc<C>,
}

impl<C> PartialEq for Made<C> {
    fn eq(&self, other: &Self) -> bool {
        self.digests == other.digests
    }
}

/// The process may have a default of its own; it is left alone.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;
