//! Opens logs and stores by URL.

use std::path::Path;
use std::sync::Arc;

use gleaner::postgres::PostgresLog;
use gleaner::{ReplicaStore, ReplicationLog};

use crate::failure::{Failure, Kind, Result};

/// Opens a log to write to or to follow: a file that is missing is made.
pub(crate) async fn log(url: &str) -> Result<Arc<dyn ReplicationLog>> {
    Ok(gleaner::open(url).await?)
}

/// Opens a log that must be there already: a mistyped path makes no file, a mistyped schema no tables.
pub(crate) async fn existing_log(url: &str) -> Result<Arc<dyn ReplicationLog>> {
    if let Some(path) = url.strip_prefix("sqlite:")
        && !path.is_empty()
        && !Path::new(path).exists()
    {
        return Err(Failure::new(
            Kind::Absent,
            format!("there is no file {path:?}"),
        ));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let config = PostgresLog::builder(url).map_err(|error| {
            let url = gleaner::redacted(url);
            Failure::new(Kind::Usage, format!("{url:?}: {error}"))
        })?;
        return Ok(Arc::new(config.create(false).open().await?));
    }
    log(url).await
}

/// Opens a replica store. Without a fold: this program cannot know how an application's Deltas change
/// its states.
pub(crate) async fn store(url: &str) -> Result<Arc<dyn ReplicaStore>> {
    Ok(gleaner::open_store(url, None).await?)
}
