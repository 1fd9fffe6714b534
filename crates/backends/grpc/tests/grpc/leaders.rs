//! Leaders on free ports, plain and encrypted.

use std::path::Path;
use std::sync::Arc;

use gleaner_core::{Filter, ReplicationLog};
use gleaner_grpc::access::{Access, Right, Rights, Secret};
use gleaner_grpc::tls::{ClientTlsConfig, ServerTlsConfig};
use gleaner_grpc::{GrpcLog, GrpcLogConfig, Leader};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// A leader that anybody may ask.
pub(crate) async fn plain(log: Arc<dyn ReplicationLog>) -> Leader {
    Leader::builder(log)
        .insecure(true)
        .bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

pub(crate) fn plain_log(leader: &Leader) -> GrpcLogConfig {
    GrpcLog::builder(format!("grpc://{}", leader.local_addr())).insecure(true)
}

/// Writes an authority, a leader's and a follower's certificate and keys, and a token that may do all.
pub(crate) fn write_credentials(folder: &Path) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for (name, purpose) in [
        ("server", ExtendedKeyUsagePurpose::ServerAuth),
        ("client", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages.push(purpose);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let secret = Secret::draw().unwrap();
    let all = Rights::of([Right::Read, Right::Append, Right::Claim, Right::Truncate]);
    let line = secret.line("all", all, &[] as &[Filter], None).unwrap();
    std::fs::write(folder.join("tokens"), line).unwrap();
    std::fs::write(folder.join("token"), secret.expose()).unwrap();
}

/// A leader with all that there is: tokens, TLS, certificates of clients.
pub(crate) async fn guarded(folder: &Path, log: Arc<dyn ReplicationLog>) -> Leader {
    let path = |name| folder.join(name);
    let tls = ServerTlsConfig::new(path("server.pem"), path("server.key"))
        .client_authority(path("ca.pem"))
        .open()
        .unwrap();
    Leader::builder(log)
        .access(Access::file(path("tokens")).unwrap())
        .tls(tls)
        .bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

pub(crate) fn guarded_log(folder: &Path, leader: &Leader) -> GrpcLogConfig {
    let path = |name| folder.join(name);
    let tls = ClientTlsConfig::new()
        .authority(path("ca.pem"))
        .certificate(path("client.pem"))
        .key(path("client.key"))
        .open()
        .unwrap();
    GrpcLog::builder(format!("grpcs://localhost:{}", leader.local_addr().port()))
        .token_file(path("token"))
        .tls(tls)
}
