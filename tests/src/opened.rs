//! [`open`], [`open_store`]: by URL, with a test's patience.

use std::sync::Arc;
use std::time::Duration;

use gleaner::grpc::GrpcLog;
use gleaner::{ReplicaStore, ReplicationLog};
use gleaner_postgres::{PostgresLog, PostgresReplicaStore};

/// Why it cannot be opened.
type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Opens the log at a URL. An answer of a server is waited for this long and not longer; a leader's
/// connection is noticed to be dead within a second, and dialled again at once.
///
/// # Errors
/// Those of the backend.
pub async fn open(url: &str, patience: Duration) -> Result<Arc<dyn ReplicationLog>, Refusal> {
    Ok(match scheme(url) {
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

/// Opens the store at a URL, without a fold. An answer of a server is waited for this long and not longer.
///
/// # Errors
/// Those of the backend.
pub async fn open_store(url: &str, patience: Duration) -> Result<Arc<dyn ReplicaStore>, Refusal> {
    Ok(match scheme(url) {
        "postgres" => {
            let store = PostgresReplicaStore::builder(url)?.timeout(patience);
            Arc::new(store.open().await?)
        }
        _ => gleaner::open_store(url, None).await?,
    })
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or(url, |(scheme, _)| scheme)
}
