//! [`Sender`]: the one task that brings what is due into the log. It performs; what follows from an
//! answer is decided in the grain's queue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gleaner_core::{Appended, Claim, Entry, Error, ErrorKind, Head, Result};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::Backoff;
use crate::builder::Mode;
use crate::grain::Grain;
use crate::queue::Job;
use crate::settle::Next;
use crate::shared::Shared;

/// Appends under way at once, each for other grains. More than one lets a log commit several in a
/// group; many more would only split what could have gone together.
const MAX_CALLS: usize = 4;

/// The longest interval between batches: a day, so that adding it to a clock cannot overflow.
const FAR: Duration = Duration::from_secs(86_400);

/// What a call carries, kept here so that a call that panics loses nothing.
enum Work {
    Append(Vec<(Arc<Grain>, usize)>),
    Claim(Arc<Grain>),
}

/// What a call brought.
enum Answered {
    Append(Result<Vec<Appended>>),
    Claim(Result<Option<Head>>),
}

/// # Concurrency
/// A grain is in at most one place: the ready list, a call, or `later`. Calls run as tasks of their
/// own; only this task handles their answers. The timer is set anew only when its deadline changes.
pub(crate) struct Sender {
    shared: Arc<Shared>,
    backoff: Backoff,
    calls: JoinSet<Answered>,
    work: HashMap<Id, Work>,
    /// Grains that wait before they try again, by when.
    later: BTreeMap<(Instant, u64), Arc<Grain>>,
    order: u64,
    /// How many of the ready grains belong to the round that is being sent.
    round: usize,
    /// When the next round may begin (batched mode).
    next_round: Instant,
    /// While whole calls fail: no call before then.
    pause: Option<Instant>,
    /// Whole calls that failed in a row.
    failures: u32,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            backoff: shared.config.backoff.clone(),
            shared,
            calls: JoinSet::new(),
            work: HashMap::new(),
            later: BTreeMap::new(),
            order: 0,
            round: 0,
            next_round: Instant::now(),
            pause: None,
            failures: 0,
        }
    }

    /// Sends until the publisher is shut down, or abandoned and as good as done.
    pub(crate) async fn run(mut self) {
        let mut compactor = JoinSet::new();
        let shared = self.shared.clone();
        let backoff = self.backoff.clone();
        compactor.spawn(async move {
            let limit = shared.config.call_timeout;
            shared.compactor.run(&*shared.log, limit, backoff).await;
        });
        let timer = sleep_until(Instant::now());
        tokio::pin!(timer);
        loop {
            self.wake_later();
            self.send();
            if self.is_done() {
                break;
            }
            let deadline = self.deadline();
            if let Some(deadline) = deadline
                && deadline != timer.deadline()
            {
                timer.as_mut().reset(deadline);
            }
            // In order, so that runs on paused time repeat. Nothing starves: what a wake-up or the timer
            // stand for is looked at in every turn, whichever branch was taken.
            tokio::select! {
                biased;
                Some(done) = self.calls.join_next_with_id() => {
                    self.settle(done);
                    while let Some(done) = self.calls.try_join_next_with_id() {
                        self.settle(done);
                    }
                }
                () = self.shared.wake.notified() => {}
                () = &mut timer, if deadline.is_some() => {}
            }
        }
        compactor.shutdown().await;
        let shared = &self.shared;
        shared
            .compactor
            .finish(&*shared.log, shared.config.call_timeout)
            .await;
    }

    /// Moves grains whose wait is over to the ready list.
    fn wake_later(&mut self) {
        let now = Instant::now();
        while let Some(first) = self.later.first_entry()
            && first.key().0 <= now
        {
            let grain = first.remove();
            self.shared.ready.lock().push_back(grain);
        }
    }

    /// Starts as many calls as may be.
    fn send(&mut self) {
        let now = Instant::now();
        if self.pause.is_some_and(|until| now < until) {
            return;
        }
        while self.calls.len() < self.most_calls() {
            if self.round == 0 && !self.begin_round(now) {
                return;
            }
            self.gather();
        }
    }

    /// What is ready now goes together; false if nothing is, or it is too early.
    fn begin_round(&mut self, now: Instant) -> bool {
        let waiting = self.shared.ready.lock().len();
        if waiting == 0 {
            return false;
        }
        if let Mode::Batched(interval) = self.shared.config.mode {
            if now < self.next_round
                && self.shared.hurry.load(Ordering::SeqCst) == 0
                && !self.ending()
            {
                return false;
            }
            self.next_round = now + interval.min(FAR);
        }
        self.round = waiting;
        true
    }

    /// Takes grains of this round into one call, within the log's limits.
    fn gather(&mut self) {
        let limits = self.shared.log.limits();
        let mut entries_left = limits.max_batch_entries();
        let mut bytes_left = limits.max_batch_bytes();
        let mut batch: Vec<Entry> = Vec::new();
        let mut units = Vec::new();
        while self.round > 0 && entries_left > 0 {
            let Some(grain) = self.shared.ready.lock().pop_front() else {
                self.round = 0;
                break;
            };
            let (job, alone) = {
                let mut state = grain.lock();
                #[cfg(test)]
                state.drop_abandoned();
                let job = state.queue.take(entries_left, bytes_left, batch.is_empty());
                (job, state.queue.solo)
            };
            match job {
                Job::Append(unit) => {
                    let bytes: usize = unit.iter().map(|entry| entry.payload().len()).sum();
                    entries_left = entries_left.saturating_sub(unit.len());
                    bytes_left = bytes_left.saturating_sub(bytes);
                    units.push((grain, unit.len()));
                    batch.extend(unit);
                }
                Job::NoFit => {
                    self.shared.ready.lock().push_front(grain);
                    break;
                }
                Job::Claim(claim) => self.start_claim(grain, claim),
                Job::Rest => {}
            }
            self.round -= 1;
            if alone {
                break;
            }
        }
        if !units.is_empty() {
            self.start_append(batch, units);
        }
    }

    fn start_append(&mut self, batch: Vec<Entry>, units: Vec<(Arc<Grain>, usize)>) {
        let log = self.shared.log.clone();
        let limit = self.shared.config.call_timeout;
        let call = self.calls.spawn(async move {
            Answered::Append(match timeout(limit, log.append_batch(&batch)).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::unknown("publisher", "the call timed out")),
            })
        });
        self.work.insert(call.id(), Work::Append(units));
    }

    fn start_claim(&mut self, grain: Arc<Grain>, claim: Claim) {
        let log = self.shared.log.clone();
        let limit = self.shared.config.call_timeout;
        let call = self.calls.spawn(async move {
            let answer = timeout(limit, log.claim(std::slice::from_ref(&claim))).await;
            let lost = |why| Error::unknown("publisher", why).of(&claim.grain);
            Answered::Claim(match answer {
                Ok(Ok(mut answers)) => answers
                    .pop()
                    .unwrap_or_else(|| Err(lost("the claim was not answered"))),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(lost("the call timed out")),
            })
        });
        self.work.insert(call.id(), Work::Claim(grain));
    }

    fn settle(&mut self, done: Result<(Id, Answered), JoinError>) {
        let (id, answered) = match done {
            Ok((id, answered)) => (id, Some(answered)),
            Err(error) => (error.id(), None),
        };
        let panicked = || Error::unknown("publisher", "the call panicked");
        match (self.work.remove(&id), answered) {
            (Some(Work::Append(units)), Some(Answered::Append(Ok(answers)))) => {
                self.healthy();
                self.settle_append(units, answers);
            }
            (Some(Work::Append(units)), Some(Answered::Append(Err(error)))) => {
                self.settle_failure(units, &error);
            }
            (Some(Work::Append(units)), _) => self.settle_failure(units, &panicked()),
            (Some(Work::Claim(grain)), Some(Answered::Claim(result))) => {
                self.settle_claim(&grain, result);
            }
            (Some(Work::Claim(grain)), _) => self.settle_claim(&grain, Err(panicked())),
            (None, _) => {}
        }
    }

    fn settle_append(&mut self, units: Vec<(Arc<Grain>, usize)>, answers: Vec<Appended>) {
        let mut answers: HashMap<_, _> = answers
            .into_iter()
            .map(|answer| (answer.grain.clone(), answer))
            .collect();
        for (grain, _) in units {
            let (landed, result) = match answers.remove(&grain.id) {
                Some(answer) => (answer.landed, answer.result.map(|_| ())),
                None => (
                    0,
                    Err(Error::unknown("publisher", "the grain was not answered").of(&grain.id)),
                ),
            };
            let error = result.as_ref().err().cloned();
            let (next, failures) = self
                .shared
                .settle(&grain, error.as_ref(), |queue| queue.answer(landed, result));
            self.place(grain, next, failures);
        }
    }

    /// A whole call failed: its grains go first again, after a wait that all share.
    fn settle_failure(&mut self, units: Vec<(Arc<Grain>, usize)>, error: &Error) {
        let refused = matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Permanent);
        if !refused {
            self.unhealthy(error);
        }
        let alone = units.len() == 1 && units.iter().all(|(_, entries)| *entries == 1);
        for (grain, _) in units.into_iter().rev() {
            let (next, failures) = self
                .shared
                .settle(&grain, None, |queue| queue.call_failed(error, alone));
            if !refused && next == Next::Later {
                // One that still belongs to the round would be counted twice.
                self.shared.ready.lock().push_front(grain);
                if self.round > 0 {
                    self.round += 1;
                }
            } else {
                self.place(grain, next, failures);
            }
        }
    }

    fn settle_claim(&mut self, grain: &Arc<Grain>, result: Result<Option<Head>>) {
        let error = result.as_ref().err().cloned();
        let (next, failures) = self
            .shared
            .settle(grain, error.as_ref(), |queue| queue.reclaimed(result));
        self.place(grain.clone(), next, failures);
    }

    fn place(&mut self, grain: Arc<Grain>, next: Next, failures: u32) {
        match next {
            Next::Rest => {}
            Next::Send => self.shared.ready.lock().push_back(grain),
            Next::Later => {
                let at = Instant::now() + self.backoff.delay(failures.max(1));
                self.order += 1;
                self.later.insert((at, self.order), grain);
            }
        }
    }

    fn healthy(&mut self) {
        if self.failures > 0 {
            tracing::info!(failures = self.failures, "the log takes entries again");
        }
        self.failures = 0;
        self.pause = None;
    }

    /// Calls that fail together count once.
    fn unhealthy(&mut self, error: &Error) {
        if self.pause.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            tracing::warn!(%error, "the log takes no entries; they wait and are sent again");
        }
        self.pause = Some(Instant::now() + self.backoff.delay(self.failures));
    }

    /// How many calls may be under way. While they fail, one at a time asks whether the log is back.
    fn most_calls(&self) -> usize {
        if self.failures > 0 { 1 } else { MAX_CALLS }
    }

    /// Whether a round need not wait for its time.
    fn is_hurried(&self) -> bool {
        self.shared.hurry.load(Ordering::SeqCst) > 0 || self.ending()
    }

    /// When there is something to do though nothing happens. Never in the past for work that cannot
    /// be started: the answer of a call wakes the loop.
    fn deadline(&self) -> Option<Instant> {
        let later = self.later.keys().next().map(|(at, _)| *at);
        let startable =
            self.calls.len() < self.most_calls() && !self.shared.ready.lock().is_empty();
        let ready = startable.then(|| {
            let now = Instant::now();
            let round = match self.shared.config.mode {
                Mode::Batched(_) if !self.is_hurried() => self.next_round,
                _ => now,
            };
            round.max(self.pause.unwrap_or(now))
        });
        later.into_iter().chain(ready).min()
    }

    fn ending(&self) -> bool {
        self.shared.stopped.load(Ordering::SeqCst) || self.shared.abandoned.load(Ordering::SeqCst)
    }

    /// Shut down: all is flushed. Abandoned: all is sent, or something failed.
    fn is_done(&self) -> bool {
        if self.shared.stopped.load(Ordering::SeqCst) {
            return true;
        }
        if !self.shared.abandoned.load(Ordering::SeqCst) {
            return false;
        }
        let trouble = self.failures > 0 || !self.later.is_empty();
        self.calls.is_empty() && (trouble || self.shared.ready.lock().is_empty())
    }
}

impl Drop for Sender {
    /// Also when the runtime ends under it: nobody waits for an answer that will not come.
    fn drop(&mut self) {
        self.shared.close();
        let grains: Vec<_> = self
            .shared
            .registry
            .lock()
            .grains
            .values()
            .cloned()
            .collect();
        for grain in grains {
            grain.lock().abandon();
        }
        self.shared.ended.send_replace(true);
    }
}
