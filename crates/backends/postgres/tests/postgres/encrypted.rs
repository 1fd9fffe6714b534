//! A connection that is encrypted, and to whom.

use std::path::Path;
use std::time::Duration;

use gleaner_core::{Cursor, Draft, ErrorKind, Filter, GrainId, ReplicationLog, Writer};
use gleaner_postgres::PostgresLog;
use gleaner_servers::{Postgres, or_skip};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::server::until;

fn authority(path: &Path) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(path, authority.pem()).unwrap();
    authority
}

/// Has the server show a certificate from now on, and take no connection without.
fn encrypt(server: &Postgres, certificate: &str, key: &str) {
    for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
        server.sql(&format!(
            "COPY (SELECT unnest(string_to_array('{}', '|'))) \
             TO PROGRAM 'cat > {name} && chmod 600 {name}'",
            pem.trim().replace('\n', "|").replace('\r', "")
        ));
    }
    server.sql(
        "COPY (SELECT 'hostssl all all all scram-sha-256') TO PROGRAM 'cat > pg_hba.conf'; \
         ALTER SYSTEM SET ssl = on",
    );
    server.sql("SELECT pg_reload_conf()");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_server_is_known_by_its_authority_and_name() {
    let Some(server) = or_skip(Postgres::start()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        folder.path().join("ca.pem"),
        folder.path().join("other.pem"),
    );
    let issuer = authority(&ours);
    authority(&theirs);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    encrypt(&server, &certificate.pem(), &key.serialize_pem());

    let by_name = server.url().replace("127.0.0.1", "localhost");
    let trusting = |ca: &Path| format!("{by_name}?sslrootcert={}", ca.display());
    let log = PostgresLog::open(&trusting(&ours)).await.unwrap();
    until("the server has taken its settings", async || {
        log.identity().await.is_ok()
    })
    .await;
    let grain = GrainId::new("t", "x").unwrap();
    let entry = Draft::full(grain, Cursor::new(1, 1), Writer::new(7), "state").seal();
    log.append(entry).await.unwrap();
    // Hints come over a connection of their own.
    let feed = log.feed().unwrap();
    let since = feed.start(&Filter::all()).await.unwrap();
    feed.wait(&since, Duration::from_millis(1)).await;
    until("hints are encrypted too", async || {
        let pairs = server.sql(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE ssl AND application_name = 'gleaner'",
        );
        pairs.trim().parse::<u32>().unwrap() >= 2
    })
    .await;

    for (url, why) in [
        (trusting(&theirs), "invalid peer certificate"),
        (
            trusting(&ours).replace("localhost", "127.0.0.1"),
            "not valid for name",
        ),
        (by_name.clone(), "no encryption"),
    ] {
        let refused = match PostgresLog::open(&url).await {
            Ok(log) => log.identity().await.err().unwrap(),
            Err(error) => error,
        };
        let kinds = [ErrorKind::Transient, ErrorKind::Permanent];
        assert!(kinds.contains(&refused.kind()), "{why}: {refused}");
        assert!(refused.to_string().contains(why), "{why}: {refused}");
    }
}
