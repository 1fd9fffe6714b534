//! The way between leader and followers: all that knows how a log is served and reached.

use std::sync::Arc;

use gleaner::ReplicationLog;
use gleaner::grpc::access::Access;
use gleaner::grpc::tls::{ClientTlsConfig, ServerTlsConfig};
use gleaner::grpc::{GrpcLog, Leader};

use crate::{Result, cli};

/// Lets followers read a log, for as long as the answer is held.
pub(crate) async fn serve(log: Arc<dyn ReplicationLog>, options: &cli::Leader) -> Result<Leader> {
    let mut leader = Leader::builder(log).insecure(options.insecure);
    if let Some(file) = &options.token_file {
        leader = leader.access(Access::file(file)?);
    }
    if let (Some(certificate), Some(key)) = (&options.tls_cert, &options.tls_key) {
        leader = leader.tls(ServerTlsConfig::new(certificate, key).open()?);
    }
    Ok(leader.bind(options.listen).await?)
}

/// What a follower of that leader is started with.
pub(crate) fn url(leader: &Leader, options: &cli::Leader) -> String {
    let scheme = if options.tls_cert.is_some() {
        "grpcs"
    } else {
        "grpc"
    };
    format!("{scheme}://{}", leader.local_addr())
}

/// The leader's log, as a follower reaches it. No connection is made yet, and one that breaks is made
/// again: the leader may come later, and go.
pub(crate) fn connect(options: &cli::Follower) -> Result<GrpcLog> {
    let mut log = GrpcLog::builder(&options.leader).insecure(options.insecure);
    if let Some(file) = &options.token_file {
        log = log.token_file(file);
    }
    if let Some(authority) = &options.ca {
        log = log.tls(ClientTlsConfig::new().authority(authority).open()?);
    }
    Ok(log.open()?)
}
