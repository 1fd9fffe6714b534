//! [`GrainWatch`]: wakes up when one grain's replica, health or confirmation changes.

use std::sync::Arc;

use gleaner_core::GrainId;
use tokio::sync::watch;

use crate::shared::Shared;

/// A watch on one grain. Changes are coalesced: one wake-up may stand for many.
#[derive(Debug)]
pub struct GrainWatch {
    shared: Arc<Shared>,
    grain: GrainId,
    /// None only while being dropped.
    changed: Option<watch::Receiver<u64>>,
}

impl GrainWatch {
    pub(crate) fn new(shared: Arc<Shared>, grain: GrainId) -> Self {
        let changed = Some(shared.subscribe(&grain));
        Self {
            shared,
            grain,
            changed,
        }
    }

    /// The grain.
    pub fn grain(&self) -> &GrainId {
        &self.grain
    }

    /// Returns when the grain's replica moved, its health changed or its own poll confirmed it since
    /// the last call (since the watch was made, for the first); false once the follower has ended.
    ///
    /// # Cancel safety
    /// Safe: a change that is not reported by this call is reported by the next.
    pub async fn changed(&mut self) -> bool {
        match &mut self.changed {
            Some(changed) => changed.changed().await.is_ok(),
            None => false,
        }
    }
}

impl Drop for GrainWatch {
    fn drop(&mut self) {
        // The receiver goes first, so that the last watch of a grain finds none left.
        self.changed = None;
        self.shared.tidy(&self.grain);
    }
}
