//! Certificates that have expired, at either end.

#[path = "../../../src/tls/tests/authority.rs"]
mod authority;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use authority::{Authority, When};
use gleaner_core::{ErrorKind, ReplicationLog};
use gleaner_grpc::tls::{ClientTlsConfig, ServerTlsConfig};
use gleaner_grpc::{GrpcLog, Leader};
use gleaner_memory::MemoryLog;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{LONG, full, id, replace};
use crate::said::Said;

/// Certificates for both ends, each of when it is said, and a leader and a log that use them.
struct Ends {
    folder: TempDir,
    authority: Authority,
    leader: Leader,
    log: GrpcLog,
    behind: MemoryLog,
    said: Said,
}

impl Ends {
    async fn with(leader_s: When, client_s: When) -> Self {
        let said = Said::listen();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("both");
        replace(&folder.path().join("ca.pem"), &authority.pem());
        issue(&folder, &authority, "leader", leader_s);
        issue(&folder, &authority, "client", client_s);
        let path = |name: &str| folder.path().join(name);
        let server = ServerTlsConfig::new(path("leader.pem"), path("leader.key"));
        let server = server.client_authority(path("ca.pem"));
        let behind = MemoryLog::new();
        let leader = Leader::builder(Arc::new(behind.clone()))
            .tls(server.open().unwrap())
            // There are no tokens here.
            .insecure(true)
            .bind("127.0.0.1:0".parse().unwrap())
            .await
            .unwrap();
        let client = ClientTlsConfig::new()
            .authority(path("ca.pem"))
            .certificate(path("client.pem"))
            .key(path("client.key"))
            .server_name("leader.test");
        let log = GrpcLog::builder(format!("grpcs://{}", leader.local_addr()))
            .tls(client.open().unwrap())
            .open()
            .unwrap();
        Self {
            folder,
            authority,
            leader,
            log,
            behind,
            said,
        }
    }

    /// Nothing is read or written, until the certificate is replaced: then, with no restart, it is.
    async fn refuse_until_replaced(self, whose: &str) {
        let plane = id("aircraft", "N2");
        let one = std::slice::from_ref(&plane);
        for _ in 0..2 {
            let done = [
                self.log.heads(one).await.map(drop),
                self.log.append(full(&plane, 1, "first")).await.map(drop),
            ];
            for error in done {
                let error = error.unwrap_err();
                // It may be replaced at any time, and nothing was done.
                assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
            }
            sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(self.behind.heads(one).await.unwrap(), [None]);
        assert_eq!(self.leader.counts().calls, 0);
        assert!(self.said.count("the TLS handshake failed") > 0);

        issue(&self.folder, &self.authority, whose, When::Now);
        let began = Instant::now();
        while let Err(error) = self.log.append(full(&plane, 1, "first")).await {
            assert!(began.elapsed() < LONG, "{error}");
            sleep(Duration::from_millis(50)).await;
        }
        assert!(self.behind.heads(one).await.unwrap()[0].is_some());
        // What is said names no key.
        let all = self.said.all();
        for name in ["leader.key", "client.key"] {
            let key = std::fs::read_to_string(self.folder.path().join(name)).unwrap();
            let body = key.lines().filter(|line| !line.contains("---"));
            assert!(body.clone().count() > 0);
            assert!(!body.clone().any(|line| all.contains(line)));
        }
    }
}

fn issue(folder: &TempDir, authority: &Authority, whose: &str, when: When) {
    let path = |end: &str| -> PathBuf { folder.path().join(format!("{whose}.{end}")) };
    let (certificate, key) = authority.issue("leader.test", when);
    replace(&path("key"), &key);
    replace(&path("pem"), &certificate);
}

#[tokio::test]
async fn a_leader_whose_certificate_has_expired_is_not_spoken_to() {
    let ends = Ends::with(When::Past, When::Now).await;
    ends.refuse_until_replaced("leader").await;
}

#[tokio::test]
async fn a_client_whose_certificate_has_expired_is_not_served() {
    let ends = Ends::with(When::Now, When::Past).await;
    ends.refuse_until_replaced("client").await;
}

#[tokio::test]
async fn a_certificate_of_the_future_is_none_yet() {
    let ends = Ends::with(When::Future, When::Now).await;
    ends.refuse_until_replaced("leader").await;
}
