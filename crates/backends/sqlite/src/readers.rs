//! [`Readers`]: connections for reading, off the async threads.

use std::sync::Arc;

use gleaner_core::{Error, Result};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use crate::error::{BACKEND, Fault};
use crate::file::FileId;
use crate::place::{Link, Place, Role};

/// A pool of read connections, opened as they are needed.
///
/// # Concurrency
/// A permit is held for each connection in use, so that there are never more than permits. The mutex
/// guards the idle ones and is held for a push or a pop. A reader that is dropped leaves its work to
/// end on its own; the permit travels with it.
pub(crate) struct Readers {
    place: Arc<Place>,
    idle: Arc<Mutex<Vec<Link>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(place: Arc<Place>, at_most: usize) -> Self {
        Self {
            place,
            idle: Arc::default(),
            permits: Arc::new(Semaphore::new(at_most.clamp(1, 256))),
        }
    }

    /// Reads within one snapshot of the file that lies at the path now. `work` may run several times.
    pub(crate) async fn read<T, F>(&self, mut work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection, FileId) -> Result<T, Fault> + Send + 'static,
    {
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else {
            return Err(Error::transient(BACKEND, "the log is closed"));
        };
        let (place, idle) = (Arc::clone(&self.place), Arc::clone(&self.idle));
        let reading = tokio::task::spawn_blocking(move || {
            let mut kept = idle.lock().pop();
            let answer = place.retry(|| read(&place, &mut kept, &mut work));
            idle.lock().extend(kept);
            drop(permit);
            answer
        });
        reading.await.unwrap_or_else(|error| {
            let message = format!(
                "reading {} came to no end: {error}",
                self.place.path.display()
            );
            if error.is_panic() {
                Err(Error::permanent(BACKEND, message))
            } else {
                Err(Error::transient(BACKEND, message))
            }
        })
    }
}

/// One read transaction. A connection on which SQLite failed is dropped; a new one is soon made.
fn read<T>(
    place: &Place,
    kept: &mut Option<Link>,
    work: &mut impl FnMut(&Connection, FileId) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let link = match kept.take() {
        Some(link) if place.is_current(link.file)? => link,
        _ => place.connect(Role::Read)?,
    };
    link.conn.prepare_cached("BEGIN")?.execute(())?;
    let found = place
        .check_version(&link.conn)
        .and_then(|()| work(&link.conn, link.file));
    let ended = link.conn.prepare_cached("ROLLBACK")?.execute(());
    if ended.is_ok() && !matches!(found, Err(Fault::Sqlite(_))) {
        *kept = Some(link);
    }
    found
}
