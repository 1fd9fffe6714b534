//! [`Writer`]: gathers the appends of this process into few statements.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use gleaner_core::append::by_grain;
use gleaner_core::{Appended, Entry, Error, ErrorKind, GrainId, Limits, Result};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::append::{Appends, Done, LARGE, Run};
use crate::error::BACKEND;
use crate::hints::{Bell, Hints};
use crate::session::{Lease, Sessions};

/// Requests that may wait for the writer before their callers do.
const QUEUE: usize = 1024;
/// What one statement takes at most, if more is waiting: some milliseconds of the server's work.
const GROUP_ENTRIES: usize = 1024;
/// And some of the network's.
const GROUP_BYTES: usize = 8 << 20;

/// How long large groups do without a second session that could not be had: a server that has no more to
/// give is not asked with each of them.
const ALONE: Duration = Duration::from_secs(10);

/// One caller's batch.
struct Request {
    entries: Vec<Entry>,
    reply: oneshot::Sender<Result<Vec<Appended>>>,
}

/// Where appends are handed in.
///
/// # Concurrency
/// One task takes whatever is waiting, puts it into one statement (a large group into two at once) and answers
/// after the commit; meanwhile the next ones gather. So many small appends share a round trip and a sync of the disk. A grain occurs
/// once in a group: a second request about it begins the next group, and finds what the first one did.
/// A caller who goes away does not take its request back.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Request>,
}

/// What the task writes with.
pub(crate) struct Desk {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) appends: Arc<Appends>,
    pub(crate) limits: Limits,
    pub(crate) bell: Arc<Bell>,
    pub(crate) hints: Option<Arc<Hints>>,
    /// Until when no second session is asked for.
    pub(crate) alone_until: Mutex<Instant>,
}

impl Writer {
    /// The task ends when the writer was dropped and what was handed in is done.
    pub(crate) fn spawn(desk: Desk) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE);
        tokio::spawn(desk.serve(requests));
        Self { queue }
    }

    /// Has a batch appended.
    pub(crate) async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Appended>> {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(Request { entries, reply }).await.is_err() {
            return Err(Error::transient(BACKEND, "the writer's task has ended"));
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Error::unknown(BACKEND, "the writer's task has ended")))
    }
}

impl Desk {
    async fn serve(self, mut requests: mpsc::Receiver<Request>) {
        let mut put_off = None;
        loop {
            let first = match put_off.take() {
                Some(request) => request,
                None => match requests.recv().await {
                    Some(request) => request,
                    None => return,
                },
            };
            let mut group = Group::default();
            put_off = group.add(first);
            while put_off.is_none() && group.has_room() {
                let Ok(next) = requests.try_recv() else { break };
                put_off = group.add(next);
            }
            self.settle(group.requests).await;
            // Those who were answered go first: most have a next entry, and it goes with the next group.
            tokio::task::yield_now().await;
        }
    }

    /// Carries out a group and answers each of it. If something is wrong with one of them, each is tried
    /// alone, so that it does not take the others down.
    async fn settle(&self, group: Vec<Request>) {
        let done = self.append(&group).await;
        if done.is_spoilt && group.len() > 1 {
            for request in group {
                let request = [request];
                let done = self.append(&request).await;
                answer(request, done.answers);
            }
        } else {
            answer(group, done.answers);
        }
    }

    /// A second session for a group of so many grains, if it is large: it goes as well without.
    async fn second(&self, grains: usize) -> Option<Lease> {
        if grains < LARGE || Instant::now() < *self.alone_until.lock() {
            return None;
        }
        let second = self.sessions.get().await.ok();
        if second.is_none() {
            *self.alone_until.lock() = Instant::now() + ALONE;
        }
        second
    }

    async fn append(&self, group: &[Request]) -> Done {
        let runs: Vec<Run<'_>> = group
            .iter()
            .flat_map(|request| by_grain(&request.entries))
            .map(|(grain, entries)| Run { grain, entries })
            .collect();
        let session = match self.sessions.get().await {
            Ok(session) => session,
            Err(error) => {
                return Done {
                    answers: runs.iter().map(|_| Err(error.clone())).collect(),
                    ..Done::default()
                };
            }
        };
        let second = self.second(runs.len()).await;
        let (place, second) = (&self.sessions.place, second.as_deref());
        let appended = self
            .appends
            .append(&session, second, place, &self.limits, &runs);
        // A large future, and one a group: the task itself stays small.
        let done = Box::pin(self.sessions.patiently(appended)).await;
        let done = done.unwrap_or_else(|| {
            let message = format!("cannot append at {}: no answer in time", place.name);
            let error = Error::unknown(BACKEND, message);
            Done {
                answers: runs.iter().map(|_| Err(error.clone())).collect(),
                ..Done::default()
            }
        });
        if !done.moves.is_empty() {
            self.bell.ring(done.moves.iter().copied());
            if let Some(hints) = &self.hints {
                hints.tell(done.moves.iter().copied());
            }
        }
        done
    }
}

/// Requests that go together.
#[derive(Default)]
struct Group {
    requests: Vec<Request>,
    grains: HashSet<GrainId>,
    entries: usize,
    bytes: usize,
}

impl Group {
    fn has_room(&self) -> bool {
        self.entries < GROUP_ENTRIES && self.bytes < GROUP_BYTES
    }

    /// Takes a request in, or gives it back if it is about a grain that is in already.
    fn add(&mut self, request: Request) -> Option<Request> {
        let is_known = |entry: &Entry| self.grains.contains(entry.grain());
        if request.entries.iter().any(is_known) {
            return Some(request);
        }
        for entry in &request.entries {
            self.grains.insert(entry.grain().clone());
            self.entries += 1;
            self.bytes = self.bytes.saturating_add(entry.payload().len());
        }
        self.requests.push(request);
        None
    }
}

/// Gives each request the answers of its grains, which lie in the order of requests and grains. Where one
/// of them is an error of the call, it is that of the whole request: `Unknown`, unless all of it is known
/// not to have happened.
fn answer(group: impl IntoIterator<Item = Request>, answers: Vec<Result<Appended>>) {
    let mut answers = answers.into_iter();
    for request in group {
        let own: Vec<Result<Appended>> = by_grain(&request.entries)
            .iter()
            .zip(answers.by_ref())
            .map(|((grain, _), answer)| its_own(grain, answer))
            .collect();
        // A caller who went away is told nothing.
        drop(request.reply.send(together(own)));
    }
}

/// What cannot be done for a grain is its own error and not that of the whole call, of which other grains
/// may have been written.
fn its_own(grain: &GrainId, answer: Result<Appended>) -> Result<Appended> {
    match answer {
        Err(error) if !error.is_retryable() => Ok(Appended {
            grain: grain.clone(),
            landed: 0,
            result: Err(error),
        }),
        answer => answer,
    }
}

fn together(answers: Vec<Result<Appended>>) -> Result<Vec<Appended>> {
    let some_landed = answers
        .iter()
        .any(|answer| answer.as_ref().is_ok_and(|appended| appended.landed > 0));
    let mut worst: Option<Error> = None;
    let mut appended = Vec::with_capacity(answers.len());
    for answer in answers {
        match answer {
            Ok(one) => appended.push(one),
            Err(error) => {
                let is_unknown = error.kind() == ErrorKind::Unknown;
                if worst.is_none() || is_unknown {
                    worst = Some(error);
                }
            }
        }
    }
    match worst {
        None => Ok(appended),
        Some(error) if some_landed && error.kind() == ErrorKind::Transient => {
            let message = "some grains of the batch were written, the others not";
            Err(Error::unknown(BACKEND, message).caused_by(error))
        }
        Some(error) => Err(error),
    }
}
