//! [`Room`]: how many bytes of states may wait, over all grains of a publisher.

use tokio::sync::{Semaphore, SemaphorePermit};

/// What an entry costs beyond its payload: its fields, its place in a queue, its waiter. Without it,
/// any number of tombstones would fit.
const OVERHEAD: usize = 256;

/// A budget in bytes, handed out first come, first served.
///
/// # Concurrency
/// The permits of the semaphore are the free bytes. What was taken belongs to the entry in a grain's
/// queue and comes back when the entry leaves it; while a task waits, what it was given sits in a
/// permit, which a dropped future gives back. Nobody waits while holding some: it is all or nothing,
/// so that two waiters cannot starve each other.
#[derive(Debug)]
pub(crate) struct Room {
    free: Semaphore,
    total: usize,
}

/// The publisher was shut down while a task waited.
#[derive(Debug)]
pub(crate) struct NoMore;

impl Room {
    /// A budget of `total` bytes, at least one entry's overhead and at most 4 GiB.
    pub(crate) fn new(total: usize) -> Self {
        let total = total
            .max(OVERHEAD)
            .min(usize::try_from(u32::MAX).unwrap_or(usize::MAX))
            .min(Semaphore::MAX_PERMITS);
        Self {
            free: Semaphore::new(total),
            total,
        }
    }

    /// What an entry of that payload is charged. One that is larger than the whole budget is charged
    /// the whole: it is admitted alone rather than never.
    pub(crate) fn charge(&self, payload: usize) -> usize {
        payload.saturating_add(OVERHEAD).min(self.total)
    }

    /// Takes bytes if they are free now and nobody waits for them.
    pub(crate) fn try_take(&self, bytes: usize) -> bool {
        #[cfg(gleaner_plant)]
        if gleaner_core::plant::Plant::RoomForgotten.is_planted() {
            return true;
        }
        if bytes == 0 {
            return true;
        }
        match self.free.try_acquire_many(permits(bytes)) {
            Ok(permit) => {
                permit.forget();
                true
            }
            Err(_) => false,
        }
    }

    /// Waits for bytes, behind those who came before.
    ///
    /// # Cancel safety
    /// Dropping it leaves the queue; dropping the permit gives the bytes back.
    pub(crate) async fn wait(&self, bytes: usize) -> Result<SemaphorePermit<'_>, NoMore> {
        self.free
            .acquire_many(permits(bytes.min(self.total)))
            .await
            .map_err(|_| NoMore)
    }

    /// Gives bytes back.
    pub(crate) fn give(&self, bytes: usize) {
        if bytes > 0 {
            self.free.add_permits(bytes);
        }
    }

    /// Turns away everyone who waits.
    pub(crate) fn close(&self) {
        self.free.close();
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.free.available_permits()
    }

    #[cfg(test)]
    pub(crate) fn total(&self) -> usize {
        self.total
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
