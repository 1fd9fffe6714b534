//! [`Publisher`]: opens grains and ends well.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gleaner_core::{GrainId, ReplicationLog};

use crate::builder::{Config, PublisherBuilder};
use crate::claim::Caller;
use crate::compaction::Tracker;
use crate::error::PublishError;
use crate::folding::{DeltaOptions, Folding};
use crate::grain::Grain;
use crate::handle::GrainPublisher;
use crate::queue::{GrainQueue, Phase};
use crate::sender::Sender;
use crate::shared::Shared;

/// Claims in one call: enough to open thousands of grains in a few round trips, and small enough
/// that one call does not hold a log's writer for long.
const CLAIMS_A_CALL: usize = 1024;

/// Publishes the states of many grains into one log, by one task that sends what is due.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use std::sync::Arc;
/// use gleaner_core::Cursor;
/// use gleaner_memory::MemoryLog;
/// use gleaner_publisher::Publisher;
///
/// let log = Arc::new(MemoryLog::new());
/// let publisher = Publisher::builder(log).source("eu-west").spawn();
/// let plane = publisher.grain("aircraft", "N14228").await?;
/// assert_eq!(plane.publish(&("at the gate".to_owned(), 0_u32)).await?, Cursor::new(1, 1));
/// for miles in 1..=100_u32 {
///     plane.enqueue(&("in the air".to_owned(), miles)).await?;
/// }
/// plane.flush().await?;
/// assert_eq!(plane.acked(), Cursor::new(1, 101));
/// publisher.shutdown().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A clone is a second handle of the same publisher. Dropping the last handle, those of grains
/// included, ends it as well as can be without anyone waiting: what was taken goes on being sent until
/// all is, or until the first call that fails. To know that all is durable, use [`Self::flush`] or
/// [`Self::shutdown`].
#[derive(Clone)]
pub struct Publisher {
    owner: Arc<Owner>,
}

/// Held by every handle; the last one to go tells the sender.
pub(crate) struct Owner {
    pub(crate) shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
        self.shared.abandoned.store(true, Ordering::SeqCst);
        self.shared.wake.notify_one();
    }
}

impl Publisher {
    /// A publisher into a log, to be set up.
    pub fn builder(log: Arc<dyn ReplicationLog>) -> PublisherBuilder {
        PublisherBuilder::new(log)
    }

    pub(crate) fn start(log: Arc<dyn ReplicationLog>, config: Config) -> Self {
        let shared = Shared::new(log, config);
        tokio::spawn(Sender::new(shared.clone()).run());
        Self {
            owner: Arc::new(Owner { shared }),
        }
    }

    /// Opens a grain by its type and key: [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`]; `Grain` for a part that is empty or too long.
    ///
    /// # Cancel safety
    /// As [`Self::open`].
    pub async fn grain(
        &self,
        grain_type: impl AsRef<str> + Send,
        grain_key: impl AsRef<str> + Send,
    ) -> Result<GrainPublisher, PublishError> {
        let id = GrainId::new(grain_type, grain_key)?;
        self.open(id).await
    }

    /// Opens a grain: claims an epoch above every other and learns the head, so that every number is
    /// known before the first publish. A grain that is open and not stopped is not claimed again; the
    /// answer is another handle of it.
    ///
    /// # Errors
    /// `Claim`, also if other writers claim it faster than this one; `Closed`. A log that cannot be
    /// reached is waited for: bound it by a timeout where that matters.
    ///
    /// # Cancel safety
    /// A dropped future may have claimed the grain, which fences its former writer; the next opening
    /// claims an epoch above it.
    ///
    /// # Cost
    /// Two round trips, and one more for each time that another claim comes in between.
    pub async fn open(&self, grain: GrainId) -> Result<GrainPublisher, PublishError> {
        self.open_all(vec![grain], None)
            .await
            .pop()
            .unwrap_or(Err(PublishError::Closed { state: None }))
    }

    /// Opens many grains, in few calls; one answer each, in the order asked for.
    ///
    /// # Errors
    /// As [`Self::open`], per grain.
    ///
    /// # Cancel safety
    /// As [`Self::open`], per grain.
    ///
    /// # Cost
    /// Two round trips per 1,024 grains.
    pub async fn grains(&self, grains: Vec<GrainId>) -> Vec<Result<GrainPublisher, PublishError>> {
        self.open_all(grains, None).await
    }

    /// Opens a grain whose changes are published: [`Self::open`] with a fold and the grain's state
    /// now. If the grain is open already, it keeps the state and fold that it has; one that was
    /// opened without a fold gets this one.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use std::sync::Arc;
    /// use bytes::Bytes;
    /// use gleaner_core::{Entry, Fold, FoldError, GrainId};
    /// use gleaner_memory::MemoryLog;
    /// use gleaner_publisher::{DeltaOptions, Publisher};
    ///
    /// /// The state is text, a delta is appended to it.
    /// struct Append;
    ///
    /// impl Fold for Append {
    ///     fn fold(&self, _: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError> {
    ///         Ok([state.as_ref(), delta.payload().as_ref()].concat().into())
    ///     }
    /// }
    ///
    /// let publisher = Publisher::builder(Arc::new(MemoryLog::new())).spawn();
    /// let route = GrainId::new("route", "N14228")?;
    /// let route = publisher.delta_grain(route, DeltaOptions::new(Arc::new(Append), "EWR")).await?;
    /// route.publish_delta(" IAH").await?; // written as the whole state: the epoch begins
    /// route.publish_delta(" SFO").await?; // written as it is
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::open`].
    ///
    /// # Cancel safety
    /// As [`Self::open`].
    pub async fn delta_grain(
        &self,
        grain: GrainId,
        options: DeltaOptions,
    ) -> Result<GrainPublisher, PublishError> {
        self.open_all(vec![grain], Some(options))
            .await
            .pop()
            .unwrap_or(Err(PublishError::Closed { state: None }))
    }

    /// Waits until everything that was taken before the call, on any grain, is durable.
    ///
    /// # Errors
    /// The first grain's that has one, after all others have been waited for: see
    /// [`GrainPublisher::flush`].
    ///
    /// # Cancel safety
    /// Dropping it gives up only the answer.
    pub async fn flush(&self) -> Result<(), PublishError> {
        let shared = &self.owner.shared;
        let grains: Vec<Arc<Grain>> = shared.registry.lock().grains.values().cloned().collect();
        let mut first = Ok(());
        let mut open = Vec::new();
        for grain in grains {
            let asked = grain.lock().flush();
            match asked {
                Ok(Some(answer)) => open.push((grain, answer)),
                Ok(None) => {}
                Err(error) => first = first.and(Err(error)),
            }
        }
        let hurry = shared.hurry();
        for (grain, answer) in open {
            let told = answer
                .await
                .unwrap_or(Err(PublishError::Closed { state: None }));
            let failed = grain.lock().flushed();
            first = first.and(told).and(failed);
        }
        drop(hurry);
        first
    }

    /// Takes no further state, waits until all that was taken is durable, and ends. Handles that are
    /// left answer `Closed`.
    ///
    /// # Errors
    /// As [`Self::flush`]; it has ended nevertheless. A log that cannot be reached is waited for:
    /// bound it by a timeout where that matters.
    ///
    /// # Cancel safety
    /// Dropping it leaves the publisher closed; what was taken is still sent as long as a handle is
    /// held, and a further call waits for the rest.
    pub async fn shutdown(&self) -> Result<(), PublishError> {
        let shared = &self.owner.shared;
        shared.close();
        let flushed = self.flush().await;
        shared.stopped.store(true, Ordering::SeqCst);
        shared.wake.notify_one();
        let mut ended = shared.ended.subscribe();
        // The sender holds the other end; if it is gone, so is it.
        let _ = ended.wait_for(|ended| *ended).await;
        flushed
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    async fn open_all(
        &self,
        ids: Vec<GrainId>,
        delta: Option<DeltaOptions>,
    ) -> Vec<Result<GrainPublisher, PublishError>> {
        let mut answers = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CLAIMS_A_CALL) {
            answers.extend(self.open_some(chunk, delta.as_ref()).await);
        }
        answers
    }

    async fn open_some(
        &self,
        ids: &[GrainId],
        delta: Option<&DeltaOptions>,
    ) -> Vec<Result<GrainPublisher, PublishError>> {
        let shared = &self.owner.shared;
        let Ok(opening) = self.begin_opening(ids).await else {
            return ids
                .iter()
                .map(|_| Err(PublishError::Closed { state: None }))
                .collect();
        };
        let writer = shared.next_writer();
        let mut caller = Caller {
            log: &*shared.log,
            limit: shared.config.call_timeout,
            backoff: shared.config.backoff.clone(),
        };
        let claimed = caller.claim(&opening.ids, writer).await;
        let mut failed = Vec::new();
        for (id, claimed) in opening.ids.iter().zip(claimed) {
            match claimed {
                Ok((epoch, head)) => {
                    let config = &shared.config;
                    let folding = delta.cloned().map(Folding::new);
                    let queue = GrainQueue::new(
                        id.clone(),
                        (epoch, writer),
                        head.as_ref(),
                        config.source.clone(),
                        config.coalesce,
                        folding,
                    );
                    #[cfg(test)]
                    let queue = queue.with_fault(config.fault);
                    #[cfg(all(gleaner_plant, not(test)))]
                    let queue = queue.with_fault(crate::fault::planted());
                    let tracker = Tracker::new(config.compaction, head.as_ref());
                    let grain = Grain::new(id.clone(), queue, tracker);
                    shared.registry.lock().grains.insert(id.clone(), grain);
                }
                Err(error) => failed.push((id.clone(), error)),
            }
        }
        ids.iter()
            .map(|id| {
                if let Some((_, error)) = failed.iter().find(|(failed, _)| failed == id) {
                    return Err(PublishError::Claim(error.clone()));
                }
                self.handle(id, delta)
                    .ok_or(PublishError::Closed { state: None })
            })
            .collect()
    }

    /// A further handle of a grain that is open.
    fn handle(&self, id: &GrainId, delta: Option<&DeltaOptions>) -> Option<GrainPublisher> {
        let registry = self.owner.shared.registry.lock();
        let grain = registry.grains.get(id)?.clone();
        {
            let mut state = grain.lock();
            state.handles += 1;
            if state.queue.folding.is_none() {
                state.queue.folding = delta.cloned().map(Folding::new);
            }
        }
        drop(registry);
        Some(GrainPublisher::counted(self.owner.clone(), grain))
    }

    /// Marks those grains that must be claimed as being opened, once nobody else opens any of them.
    /// Those that are open get a handle that keeps them so until the answer.
    async fn begin_opening(&self, ids: &[GrainId]) -> Result<Opening<'_>, PublishError> {
        let shared = &self.owner.shared;
        loop {
            let opened = shared.opened.notified();
            tokio::pin!(opened);
            opened.as_mut().enable();
            if shared.is_closed() {
                return Err(PublishError::Closed { state: None });
            }
            if let Some(opening) = self.try_opening(ids) {
                return Ok(opening);
            }
            opened.await;
        }
    }

    fn try_opening(&self, ids: &[GrainId]) -> Option<Opening<'_>> {
        let mut registry = self.owner.shared.registry.lock();
        if ids.iter().any(|id| registry.opening.contains(id)) {
            return None;
        }
        let mut opening = Opening {
            shared: &self.owner.shared,
            ids: Vec::new(),
            held: Vec::new(),
        };
        for id in ids {
            match registry.grains.get(id) {
                Some(grain) if !matches!(grain.lock().queue.phase, Phase::Stopped(_)) => {
                    grain.lock().handles += 1;
                    let handle = GrainPublisher::counted(self.owner.clone(), grain.clone());
                    opening.held.push(handle);
                }
                _ => {
                    if registry.opening.insert(id.clone()) {
                        opening.ids.push(id.clone());
                    }
                }
            }
        }
        Some(opening)
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher")
            .field("grains", &self.owner.shared.registry.lock().grains.len())
            .field("closed", &self.owner.shared.is_closed())
            .finish_non_exhaustive()
    }
}

/// Grains that are being opened; dropping it lets others open them.
struct Opening<'a> {
    shared: &'a Shared,
    /// To be claimed, each once.
    ids: Vec<GrainId>,
    /// Open already; kept from being forgotten meanwhile.
    held: Vec<GrainPublisher>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        {
            let mut registry = self.shared.registry.lock();
            for id in &self.ids {
                registry.opening.remove(id);
            }
        }
        self.held.clear();
        self.shared.opened.notify_waiters();
    }
}
