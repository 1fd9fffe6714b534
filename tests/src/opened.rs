//! [`open`]: a log by URL, with a test's patience.

use std::sync::Arc;
use std::time::Duration;

use gleaner::ReplicationLog;
use gleaner::grpc::GrpcLog;
use gleaner_postgres::PostgresLog;

/// Opens the log at a URL. An answer of a server is waited for this long and not longer; a leader's
/// connection is noticed to be dead within a second, and dialled again at once.
///
/// # Errors
/// Those of the backend.
pub async fn open(
    url: &str,
    patience: Duration,
) -> Result<Arc<dyn ReplicationLog>, Box<dyn std::error::Error + Send + Sync>> {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    Ok(match scheme {
        "grpc" => Arc::new(
            GrpcLog::builder(url)
                .insecure(true)
                .keepalive(Duration::from_millis(500), Duration::from_millis(500))
                .connect_timeout(Duration::from_secs(1))
                .call_timeout(patience)
                .backoff(Duration::from_millis(20), Duration::from_millis(200))
                .open()?,
        ),
        "postgres" => Arc::new(PostgresLog::builder(url)?.timeout(patience).open().await?),
        _ => gleaner::open(url).await?,
    })
}
