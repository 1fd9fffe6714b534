//! Both ends over a pipe in memory, with certificates of our own.

mod authority;
mod files;

use std::fs;
use std::io;
use std::time::Duration;

use authority::{Authority, When};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::server::ServerSessionMemoryCache;
use rustls::{AlertDescription, CertificateError, HandshakeKind};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// A folder with files, and the ends made of them.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        // Put in its place as a whole, as they should be.
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    /// Writes `<name>.pem` and `<name>.key`.
    fn issue(&self, name: &str, authority: &Authority, when: When) {
        let (certificate, key) = authority.issue("leader.test", when);
        self.write(&format!("{name}.key"), &key);
        self.write(&format!("{name}.pem"), &certificate);
    }

    fn trust(&self, name: &str, authorities: &[&Authority]) {
        let pem: String = authorities
            .iter()
            .map(|authority| authority.pem())
            .collect();
        self.write(&format!("{name}.pem"), &pem);
    }

    fn server(&self) -> ServerTlsConfig {
        ServerTlsConfig::new(self.path("leader.pem"), self.path("leader.key"))
    }

    /// Requires certificates of `clients.pem`.
    fn strict(&self) -> ServerTls {
        let config = self.server().client_authority(self.path("clients.pem"));
        config.open().unwrap()
    }

    fn client(&self) -> ClientTlsConfig {
        ClientTlsConfig::new().authority(self.path("leaders.pem"))
    }

    fn known_client(&self) -> ClientTls {
        self.client()
            .certificate(self.path("client.pem"))
            .key(self.path("client.key"))
            .open()
            .unwrap()
    }
}

/// What each end says of a connection on which the client sends a byte and the leader sends it back,
/// and the certificate that the client was shown.
async fn meet(
    server: &ServerTls,
    client: &ClientTls,
) -> (Result<(), rustls::Error>, Result<Vec<u8>, rustls::Error>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let acceptor = TlsAcceptor::from(server.config());
    let connector = TlsConnector::from(client.config());
    let name = client.server_name("leader.test").unwrap();
    let serve = async {
        let mut stream = acceptor.accept(far).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(H2));
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.shutdown().await
    };
    let follow = async {
        let mut stream = connector.connect(name, near).await?;
        let (_, state) = stream.get_ref();
        assert_eq!(state.alpn_protocol(), Some(H2));
        let shown = state.peer_certificates().unwrap()[0].to_vec();
        stream.write_u8(7).await?;
        assert_eq!(stream.read_u8().await?, 7);
        Ok(shown)
    };
    let (at_leader, at_client) = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::join!(serve, follow)
    })
    .await
    .unwrap();
    (
        at_leader.map_err(|error| reason(&error)),
        at_client.map_err(|error| reason(&error)),
    )
}

/// Why TLS refused. What is no refusal of its own is a failure of the test.
fn reason(error: &io::Error) -> rustls::Error {
    let refusal = error.get_ref().and_then(|source| source.downcast_ref());
    refusal.cloned().unwrap_or_else(|| panic!("{error:?}"))
}

fn bad(error: CertificateError) -> rustls::Error {
    rustls::Error::InvalidCertificate(error)
}

fn is_expired(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. }
        )
    )
}

fn is_alert(error: &rustls::Error, of: AlertDescription) -> bool {
    *error == rustls::Error::AlertReceived(of)
}

#[tokio::test]
async fn the_leader_s_own_authority_is_believed() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.issue("leader", &authority, When::Now);
    place.trust("leaders", &[&Authority::new("former"), &authority]);
    let (server, client) = (
        place.server().open().unwrap(),
        place.client().open().unwrap(),
    );
    let (at_leader, at_client) = meet(&server, &client).await;
    assert_eq!(at_leader, Ok(()));
    assert!(at_client.is_ok());
}

#[tokio::test]
async fn another_authority_of_the_same_name_is_not() {
    let place = Place::new();
    place.issue("leader", &Authority::new("leaders"), When::Now);
    place.trust("leaders", &[&Authority::new("leaders")]);
    let (server, client) = (
        place.server().open().unwrap(),
        place.client().open().unwrap(),
    );
    let (at_leader, at_client) = meet(&server, &client).await;
    assert!(at_leader.is_err());
    assert!(
        matches!(
            at_client,
            Err(rustls::Error::InvalidCertificate(
                CertificateError::BadSignature | CertificateError::UnknownIssuer
            ))
        ),
        "{at_client:?}"
    );
}

#[tokio::test]
async fn a_leader_s_certificate_is_refused_out_of_its_time() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.trust("leaders", &[&authority]);
    let client = place.client().open().unwrap();
    place.issue("leader", &authority, When::Past);
    let (at_leader, at_client) = meet(&place.server().open().unwrap(), &client).await;
    let error = at_client.unwrap_err();
    assert!(is_expired(&error), "{error:?}");
    assert!(is_alert(
        &at_leader.unwrap_err(),
        AlertDescription::CertificateExpired
    ));

    place.issue("leader", &authority, When::Future);
    let (_, at_client) = meet(&place.server().open().unwrap(), &client).await;
    let error = at_client.unwrap_err();
    assert!(
        matches!(
            error,
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
            )
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_certificate_is_for_a_name() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.issue("leader", &authority, When::Now);
    place.trust("leaders", &[&authority]);
    let server = place.server().open().unwrap();
    for (name, good) in [
        ("leader.test", true),
        ("other.test", false),
        ("127.0.0.1", false),
    ] {
        let client = place.client().server_name(name).open().unwrap();
        let (_, at_client) = meet(&server, &client).await;
        assert_eq!(at_client.is_ok(), good, "{name}: {at_client:?}");
    }
}

#[tokio::test]
async fn a_client_s_certificate_is_wanted_and_judged() {
    let place = Place::new();
    let (leaders, clients) = (Authority::new("leaders"), Authority::new("clients"));
    place.issue("leader", &leaders, When::Now);
    place.trust("leaders", &[&leaders]);
    place.trust("clients", &[&clients]);
    let server = place.strict();

    place.issue("client", &clients, When::Now);
    let (at_leader, at_client) = meet(&server, &place.known_client()).await;
    assert_eq!(at_leader, Ok(()));
    assert!(at_client.is_ok());

    // None. The client learns it from its first reading.
    let (at_leader, at_client) = meet(&server, &place.client().open().unwrap()).await;
    assert_eq!(at_leader, Err(rustls::Error::NoCertificatesPresented));
    assert!(is_alert(
        &at_client.unwrap_err(),
        AlertDescription::CertificateRequired
    ));

    // Of an authority that is believed of leaders alone.
    place.issue("client", &leaders, When::Now);
    let (at_leader, at_client) = meet(&server, &place.known_client()).await;
    assert!(at_client.is_err());
    assert_eq!(at_leader, Err(bad(CertificateError::UnknownIssuer)));

    place.issue("client", &clients, When::Past);
    let (at_leader, at_client) = meet(&server, &place.known_client()).await;
    assert!(is_expired(&at_leader.unwrap_err()));
    assert!(is_alert(
        &at_client.unwrap_err(),
        AlertDescription::CertificateExpired
    ));
}

#[tokio::test]
async fn a_client_with_a_certificate_may_meet_a_leader_that_wants_none() {
    let (place, authority) = (Place::new(), Authority::new("both"));
    place.issue("leader", &authority, When::Now);
    place.issue("client", &authority, When::Now);
    place.trust("leaders", &[&authority]);
    let (at_leader, at_client) = meet(&place.server().open().unwrap(), &place.known_client()).await;
    assert_eq!(at_leader, Ok(()));
    assert!(at_client.is_ok());
}

#[tokio::test]
async fn neither_end_resumes_a_session_though_the_other_would() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.issue("leader", &authority, When::Now);
    place.trust("leaders", &[&authority]);
    let leader = place.server().open().unwrap().config();
    let client = place.client().open().unwrap().config();
    let mut other_leader = (*leader).clone();
    other_leader.session_storage = ServerSessionMemoryCache::new(8);
    other_leader.send_tls13_tickets = 2;
    let other_leader = Arc::new(other_leader);
    let mut other_client = (*client).clone();
    other_client.resumption = Resumption::in_memory_sessions(8);
    let other_client = Arc::new(other_client);
    for (leader, client, resumed) in [
        (&leader, &other_client, HandshakeKind::Full),
        (&other_leader, &client, HandshakeKind::Full),
        // What is tried here can be seen.
        (&other_leader, &other_client, HandshakeKind::Resumed),
    ] {
        let mut kind = None;
        for _ in 0..2 {
            let (near, far) = tokio::io::duplex(1 << 16);
            let name = ServerName::try_from("leader.test").unwrap();
            let (far, near) = tokio::join!(
                TlsAcceptor::from(Arc::clone(leader)).accept(far),
                TlsConnector::from(Arc::clone(client)).connect(name, near)
            );
            let (mut far, mut near) = (far.unwrap(), near.unwrap());
            // Tickets come with the first bytes.
            far.write_u8(1).await.unwrap();
            near.read_u8().await.unwrap();
            kind = near.get_ref().1.handshake_kind();
        }
        assert_eq!(kind, Some(resumed));
    }
}

#[tokio::test(start_paused = true)]
async fn new_files_are_those_of_the_next_connection() {
    let place = Place::new();
    let (leaders, clients) = (Authority::new("leaders"), Authority::new("clients"));
    place.issue("leader", &leaders, When::Now);
    place.issue("client", &clients, When::Now);
    place.trust("leaders", &[&leaders]);
    place.trust("clients", &[&clients]);
    let (server, client) = (place.strict(), place.known_client());
    let (_, at_client) = meet(&server, &client).await;
    let former = at_client.unwrap();
    let second = Duration::from_secs(1);
    // What follows is seen by the files' marks, not by the second reading of what is new.
    let settle = async || {
        for _ in 0..2 {
            tokio::time::advance(second).await;
            drop((server.config(), client.config()));
        }
    };

    // A new certificate of the leader's.
    settle().await;
    place.issue("leader", &leaders, When::Now);
    assert_eq!(meet(&server, &client).await.1.as_ref(), Ok(&former));
    tokio::time::advance(second).await;
    let (_, at_client) = meet(&server, &client).await;
    let shown = at_client.unwrap();
    assert_ne!(shown, former);

    // Other authorities of the clients, then a new certificate of theirs.
    let others = Authority::new("others");
    settle().await;
    place.trust("clients", &[&others]);
    tokio::time::advance(second).await;
    assert!(meet(&server, &client).await.0.is_err());
    settle().await;
    place.issue("client", &others, When::Now);
    tokio::time::advance(second).await;
    assert_eq!(meet(&server, &client).await.0, Ok(()));

    // Other authorities of the leader's.
    settle().await;
    place.trust("leaders", &[&others]);
    tokio::time::advance(second).await;
    assert!(meet(&server, &client).await.1.is_err());
    place.issue("leader", &others, When::Now);
    assert!(server.reload().unwrap());
    assert!(!server.reload().unwrap());
    assert!(meet(&server, &client).await.1.is_ok());
}

#[tokio::test(start_paused = true)]
async fn new_files_that_cannot_be_used_leave_the_former() {
    let (place, authority) = (Place::new(), Authority::new("leaders"));
    place.issue("leader", &authority, When::Now);
    place.trust("leaders", &[&authority]);
    let (server, client) = (
        place.server().open().unwrap(),
        place.client().open().unwrap(),
    );
    let former = meet(&server, &client).await.1.unwrap();

    // The key is there before its certificate.
    let (certificate, key) = authority.issue("leader.test", When::Now);
    place.write("leader.key", &key);
    place.write("leaders.pem", "nothing");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(meet(&server, &client).await.1.as_ref(), Ok(&former));
    assert!(matches!(server.reload(), Err(TlsError::Mismatch { .. })));
    assert!(matches!(
        client.reload(),
        Err(TlsError::NoCertificate { .. })
    ));
    assert_eq!(meet(&server, &client).await.1.as_ref(), Ok(&former));

    place.write("leader.pem", &certificate);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_ne!(meet(&server, &client).await.1.unwrap(), former);
}
