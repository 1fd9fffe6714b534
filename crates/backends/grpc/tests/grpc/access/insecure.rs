//! Nothing is insecure unless that is said.

use std::sync::Arc;

use gleaner_grpc::access::{Access, Secret};
use gleaner_grpc::tls::{ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig};
use gleaner_grpc::{ConfigError, GrpcLog, Leader, LeaderError};
use gleaner_memory::MemoryLog;
use rcgen::{CertificateParams, KeyPair};

use crate::said::Said;

/// Both ends of TLS, and tokens.
fn means(folder: &std::path::Path) -> (ServerTls, ClientTls, Access) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap();
    let path = |name: &str| folder.join(name);
    std::fs::write(path("pem"), certificate.pem()).unwrap();
    std::fs::write(path("key"), key.serialize_pem()).unwrap();
    std::fs::write(path("tokens"), "# nobody\n").unwrap();
    (
        ServerTlsConfig::new(path("pem"), path("key"))
            .open()
            .unwrap(),
        ClientTlsConfig::new()
            .authority(path("pem"))
            .open()
            .unwrap(),
        Access::file(path("tokens")).unwrap(),
    )
}

#[tokio::test]
async fn a_leader_without_tls_or_tokens_does_not_open_unless_that_is_meant() {
    let said = Said::listen();
    let folder = tempfile::tempdir().unwrap();
    for address in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
        for (with_tls, with_tokens) in [(false, false), (false, true), (true, false), (true, true)]
        {
            for meant in [false, true] {
                let (tls, _, access) = means(folder.path());
                let mut builder = Leader::builder(Arc::new(MemoryLog::new())).insecure(meant);
                if with_tls {
                    builder = builder.tls(tls);
                }
                if with_tokens {
                    builder = builder.access(access);
                }
                let warned = said.count("the leader is insecure");
                let opened = builder.bind(address.parse().unwrap()).await;
                let what =
                    format!("{address}, TLS {with_tls}, tokens {with_tokens}, meant {meant}");
                let secure = with_tls && with_tokens;
                match opened {
                    Err(LeaderError::Insecure { what: missing, .. }) => {
                        assert!(!secure && !meant, "{what}");
                        let wanted = if with_tls { "no tokens" } else { "no TLS" };
                        assert_eq!(missing, wanted, "{what}");
                    }
                    // A machine without that address.
                    Err(LeaderError::Listen { .. }) if address.starts_with('[') => {
                        assert!(secure || meant, "{what}");
                    }
                    Err(error) => panic!("{what}: {error}"),
                    Ok(_) => {
                        assert!(secure || meant, "{what}");
                        // Said each time, where it is.
                        let warnings = said.count("the leader is insecure") - warned;
                        assert_eq!(warnings, usize::from(!secure), "{what}");
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_log_without_tls_does_not_open_unless_that_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let tls = || means(folder.path()).1;
    let builder = |url: &str| GrpcLog::builder(url).token(Secret::draw().unwrap());
    let refused = |url: &str| builder(url).open().unwrap_err();
    assert!(matches!(
        refused("grpc://127.0.0.1:1"),
        ConfigError::Insecure { .. }
    ));
    assert!(builder("grpc://127.0.0.1:1").insecure(true).open().is_ok());
    // Encrypted for nobody in particular is not secure, whatever was said.
    for meant in [false, true] {
        let error = builder("grpcs://127.0.0.1:1").insecure(meant).open();
        assert!(matches!(
            error.unwrap_err(),
            ConfigError::NoAuthority { .. }
        ));
    }
    assert!(builder("grpcs://127.0.0.1:1").tls(tls()).open().is_ok());
    // One who says which certificates does not get a connection without.
    for meant in [false, true] {
        let plain = builder("grpc://127.0.0.1:1").tls(tls()).insecure(meant);
        assert!(matches!(
            plain.open().unwrap_err(),
            ConfigError::NoTls { .. }
        ));
    }
    for url in [
        "grpcs://gleaner_secret@127.0.0.1:1",
        "grpcs://me:gleaner_secret@127.0.0.1:1",
        "grpcs://127.0.0.1:1/?token=gleaner_secret",
        "grpcs://127.0.0.1",
        "http://127.0.0.1:1",
    ] {
        let error = builder(url).tls(tls()).open().unwrap_err();
        assert!(matches!(error, ConfigError::NotAUrl { .. }), "{url}");
    }
}
