//! The way between leader and followers: all that knows how a log is served and reached.

use std::path::Path;
use std::sync::Arc;

use gleaner::ReplicationLog;

use crate::{Result, cli};

/// A log that followers can reach, as long as this is held.
pub(crate) struct Served {
    /// What a follower is started with.
    pub(crate) url: String,
}

/// Lets followers read the log that lies at a path.
pub(crate) async fn serve(
    _log: Arc<dyn ReplicationLog>,
    path: &Path,
    _options: &cli::Leader,
) -> Result<Served> {
    Ok(Served {
        url: format!("sqlite:{}", path.display()),
    })
}

/// The leader's log, as a follower reaches it. A leader that is not up yet is waited for.
pub(crate) async fn connect(options: &cli::Follower) -> Result<Arc<dyn ReplicationLog>> {
    Ok(gleaner::open(&options.leader).await?)
}
