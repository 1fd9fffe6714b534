//! [`Grain`]: one grain's queue, who waits for its answers, and its health.

use std::collections::VecDeque;
use std::sync::Arc;

use gleaner_core::{Cursor, Epoch, Error, GrainId, Sequence};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

use crate::compaction::Tracker;
use crate::error::PublishError;
use crate::queue::{GrainQueue, Phase};
use crate::settle::{Next, Settled};

/// The answer to a publish or flush.
pub(crate) type Answer = oneshot::Receiver<Result<(), PublishError>>;

/// A grain that a publisher has opened.
///
/// # Concurrency
/// Everything stands under one lock, held for a few instructions and, where a state is taken, its
/// hash; never across an await. Numbers are given and entries queued in one critical section: this is
/// P1 for any number of tasks.
pub(crate) struct Grain {
    pub(crate) id: GrainId,
    state: Mutex<GrainState>,
}

pub(crate) struct GrainState {
    pub(crate) queue: GrainQueue,
    waiters: VecDeque<(Sequence, oneshot::Sender<Result<(), PublishError>>)>,
    /// An entry that failed and that no flush has reported yet.
    failure: Option<PublishError>,
    /// Handles out there; a grain that rests and has none is forgotten.
    pub(crate) handles: usize,
    /// Answers in a row that asked to wait.
    pub(crate) failures: u32,
    tracker: Tracker,
}

/// How a grain of a publisher stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// The epoch that was claimed.
    pub epoch: Epoch,
    /// The newest entry known to be durable, this publisher's or the one found at the claim; `ZERO`
    /// for a grain without entries.
    pub acked: Cursor,
    /// The last number given.
    pub last: Cursor,
    /// Entries that are not known to be durable.
    pub pending: usize,
    /// Why the grain is stopped, if it is: fenced, or at odds with the log.
    pub stopped: Option<PublishError>,
}

impl Grain {
    pub(crate) fn new(id: GrainId, queue: GrainQueue, tracker: Tracker) -> Arc<Self> {
        Arc::new(Self {
            id,
            state: Mutex::new(GrainState {
                queue,
                waiters: VecDeque::new(),
                failure: None,
                handles: 0,
                failures: 0,
                tracker,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, GrainState> {
        self.state.lock()
    }
}

impl GrainState {
    /// Whoever asks is told once everything numbered so far has an answer.
    pub(crate) fn wait(&mut self) -> Answer {
        let (tell, answer) = oneshot::channel();
        self.prune();
        self.waiters.push_back((self.queue.last, tell));
        answer
    }

    /// Forgets the last tasks that gave up: they would add up while the log is away.
    fn prune(&mut self) {
        #[cfg(test)]
        if self.queue.fault == Some(crate::fault::Fault::DropAbandoned) {
            return;
        }
        while self
            .waiters
            .back()
            .is_some_and(|(_, tell)| tell.is_closed())
        {
            self.waiters.pop_back();
        }
    }

    /// What a flush has to wait for, or its answer where that is known.
    pub(crate) fn flush(&mut self) -> Result<Option<Answer>, PublishError> {
        if let Phase::Stopped(why) = &self.queue.phase {
            return Err(why.clone());
        }
        if self.queue.pending.is_empty() {
            return self.flushed().map(|()| None);
        }
        Ok(Some(self.wait()))
    }

    /// What went wrong since the last flush.
    pub(crate) fn flushed(&mut self) -> Result<(), PublishError> {
        self.failure.take().map_or(Ok(()), Err)
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            epoch: self.queue.epoch,
            acked: self.queue.acked,
            last: self.queue.last_cursor(),
            pending: self.queue.pending.len(),
            stopped: match &self.queue.phase {
                Phase::Stopped(why) => Some(why.clone()),
                _ => None,
            },
        }
    }

    /// Tells those who wait and says what is left of it for the publisher: where history may be cut.
    pub(crate) fn tell(&mut self, settled: &Settled) -> Option<Cursor> {
        if let Some(done) = settled.done {
            self.answer_up_to(done, &Ok(()));
        }
        if let Some((at, error)) = &settled.failed {
            let error = PublishError::Log(error.clone());
            self.answer_up_to(*at, &Err(error.clone()));
            self.failure = Some(error);
        }
        if let Some(why) = &settled.stopped {
            self.answer_up_to(Sequence::new(u64::MAX), &Err(why.clone()));
        }
        settled
            .landed
            .iter()
            .filter_map(|(cursor, kind)| self.tracker.landed(*cursor, *kind))
            .max()
    }

    /// Counts an answer that asks to wait; one line per change of health.
    pub(crate) fn note(&mut self, settled: &Settled, error: Option<&Error>) {
        let grain = &self.queue.grain;
        let (grain_type, grain_key) = (grain.grain_type(), grain.grain_key());
        let epoch = self.queue.epoch.get();
        if let Some((acked, found)) = &settled.lost {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
            tracing::error!(
                grain_type,
                grain_key,
                epoch,
                "the log is not as it was left: it had acknowledged {acked} and now holds {found}; \
                 the newest state goes under the next number"
            );
        }
        if let Some((sequence, error)) = &settled.failed {
            let sequence = sequence.get();
            tracing::error!(grain_type, grain_key, epoch, sequence, %error, "an entry was refused");
        }
        if let Some(why) = &settled.stopped {
            tracing::error!(grain_type, grain_key, epoch, "publishing stops: {why}");
        }
        match settled.next {
            Next::Later => {
                // Without an error of its own, it was the whole call, and the sender says so.
                if let Some(error) = error {
                    self.failures = self.failures.saturating_add(1);
                    if self.failures == 1 {
                        tracing::warn!(grain_type, grain_key, epoch, %error, "a grain is not written");
                    }
                }
            }
            Next::Rest | Next::Send if self.failures > 0 && settled.done.is_some() => {
                self.failures = 0;
                tracing::info!(grain_type, grain_key, epoch, "the grain is written again");
            }
            Next::Rest | Next::Send => {}
        }
    }

    /// The publisher is gone: those who wait learn that they will not be told.
    pub(crate) fn abandon(&mut self) {
        self.waiters.clear();
    }

    fn answer_up_to(&mut self, sequence: Sequence, answer: &Result<(), PublishError>) {
        while let Some((at, _)) = self.waiters.front()
            && *at <= sequence
        {
            if let Some((_, tell)) = self.waiters.pop_front() {
                // Whoever dropped its future gave up the answer, and nothing else (P7).
                let _ = tell.send(answer.clone());
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn drop_abandoned(&mut self) {
        if self.queue.fault != Some(crate::fault::Fault::DropAbandoned) {
            return;
        }
        let waiters = &self.waiters;
        self.queue.pending.retain(|pending| {
            !waiters
                .iter()
                .any(|(at, tell)| *at == pending.entry.sequence() && tell.is_closed())
        });
    }
}
