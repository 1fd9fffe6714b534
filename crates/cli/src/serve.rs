//! `gleaner serve`: a leader over any log.

use std::fmt;
use std::net::SocketAddr;

use gleaner::grpc::Leader;
use gleaner::grpc::access::Access;
use gleaner::grpc::tls::ServerTlsConfig;
use serde::Serialize;

use crate::cli::Serve;
use crate::failure::Result;
use crate::open;
use crate::out::Out;
use crate::stop::Stop;

pub(crate) async fn run(options: Serve, out: &mut Out) -> Result<()> {
    // Before anybody is told that it serves, so that whoever reads it may end it.
    let mut stop = Stop::listen()?;
    let mut leader = Leader::builder(open::log(&options.log.url).await?);
    leader = leader.insecure(options.insecure);
    let (tokens, tls) = (options.token_file.is_some(), options.tls_cert.is_some());
    if let Some(path) = options.token_file {
        leader = leader.access(Access::file(path)?);
    }
    if let (Some(certificate), Some(key)) = (options.tls_cert, options.tls_key) {
        let mut config = ServerTlsConfig::new(certificate, key);
        if let Some(authority) = options.client_ca {
            config = config.client_authority(authority);
        }
        leader = leader.tls(config.open()?);
    }
    let leader = leader.bind(options.listen).await?;
    // It serves, whether or not anybody is told where.
    out.tell(&[Serving {
        log: gleaner::redacted(&options.log.url),
        listen: leader.local_addr(),
        tls,
        tokens,
    }])?;
    stop.asked().await;
    // Calls under way end; whoever does not want to wait for them asks again.
    tokio::select! {
        () = leader.shutdown() => Ok(()),
        () = stop.asked() => Ok(()),
    }
}

#[derive(Debug, Serialize)]
struct Serving {
    #[serde(rename = "serving")]
    log: String,
    listen: SocketAddr,
    tls: bool,
    tokens: bool,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            log,
            listen,
            tls,
            tokens,
        } = self;
        let tls = if *tls { "TLS" } else { "no TLS" };
        let tokens = if *tokens { "tokens" } else { "no tokens" };
        write!(f, "serving {log} on {listen}, {tls}, {tokens}")
    }
}
