//! [`Patience`]: how long a command that is to end goes on asking.

use std::time::Duration;

use gleaner::Error;
use tokio::time::{Instant, sleep, timeout_at};

use crate::failure::{Failure, Kind, Result};

/// The first and the longest wait between two tries.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Makes calls again that may succeed later, until the time for one is up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    limit: Duration,
}

impl Patience {
    pub(crate) const fn new(limit: Duration) -> Self {
        Self { limit }
    }

    /// Makes a call until its answer is one that waiting does not change, or the time is up; then the
    /// answer is the last failure. The same call is made each time, so that one that was carried out
    /// without an answer is answered alike.
    ///
    /// # Errors
    /// The call's; `Unknown` if it was not answered at all.
    pub(crate) async fn again<T, F>(&self, mut call: impl FnMut() -> F + Send) -> Result<T>
    where
        T: Send,
        F: Future<Output = gleaner::Result<T>> + Send,
    {
        let until = Instant::now() + self.limit;
        let mut wait = WAITS.0;
        let mut last: Option<Error> = None;
        loop {
            match timeout_at(until, call()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if error.is_retryable() => last = Some(error),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => break,
            }
            if Instant::now() + wait >= until {
                break;
            }
            sleep(wait).await;
            wait = (wait * 2).min(WAITS.1);
        }
        Err(last.map_or_else(|| self.unanswered(), Failure::from))
    }

    /// Waits for something that ends by itself.
    ///
    /// # Errors
    /// Its own; `Unknown` if the time is up.
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T>
    where
        T: Send,
    {
        match tokio::time::timeout(self.limit, work).await {
            Ok(done) => done,
            Err(_) => Err(self.unanswered()),
        }
    }

    fn unanswered(&self) -> Failure {
        let limit = humantime::format_duration(self.limit);
        Failure::new(Kind::Unknown, format!("no answer within {limit}"))
    }
}
