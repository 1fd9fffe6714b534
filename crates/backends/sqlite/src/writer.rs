//! [`Writer`]: one thread that writes a file, many requests to a transaction.
//!
//! Owns queueing, group commit, waiting for other processes' locks and the truth about a commit that
//! failed; knows nothing of what the requests write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use gleaner_core::{Error, Result};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::{BACKEND, Fault};
use crate::file::FileId;
use crate::place::{Link, Patience, Place, Role};

/// Requests that wait in the queue; more wait in their callers.
const QUEUE: usize = 1024;
/// The most requests in one transaction, so that the first is not kept waiting for ever.
const GROUP_REQUESTS: usize = 1024;
/// The payload bytes after which a transaction takes no further request.
const GROUP_BYTES: usize = 8 << 20;

/// What a writer keeps between and during transactions.
pub(crate) trait Session: Send + 'static {
    /// The file is another one than before: what is known of its rows is void.
    fn replaced(&mut self);

    /// Inside a transaction that has just begun; also forgets what an aborted one left.
    fn begin(&mut self, conn: &Connection, file: FileId) -> Result<(), Fault>;

    /// Before the commit.
    fn finish(&mut self, conn: &Connection) -> Result<(), Fault>;

    /// After the commit and before the answers.
    fn committed(&mut self);
}

/// A request: work to do inside a transaction, perhaps more than once, and somebody to be told.
trait Job<S>: Send {
    fn weight(&self) -> usize;
    fn run(&mut self, session: &mut S, conn: &Connection) -> Result<(), Fault>;
    fn answer(self: Box<Self>, outcome: Result<()>);
}

struct Call<F, T> {
    weight: usize,
    work: F,
    done: Option<T>,
    reply: oneshot::Sender<Result<T>>,
}

impl<S, F, T> Job<S> for Call<F, T>
where
    F: FnMut(&mut S, &Connection) -> Result<T, Fault> + Send,
    T: Send,
{
    fn weight(&self) -> usize {
        self.weight
    }

    fn run(&mut self, session: &mut S, conn: &Connection) -> Result<(), Fault> {
        self.done = None;
        self.done = Some((self.work)(session, conn)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<()>) {
        let done = self.done;
        let answer = outcome.and_then(|()| {
            done.ok_or_else(|| Error::unknown(BACKEND, "the request was answered without a result"))
        });
        // A caller that has gone away gave up the answer, not the work.
        drop(self.reply.send(answer));
    }
}

/// The way to a writer thread. The thread ends when the last is dropped and the queue is empty.
///
/// # Concurrency
/// The thread alone owns its connection and its session, so nothing here is locked. A request is in
/// exactly one of three places: its caller (waiting for room), the queue, the thread. A caller that
/// is dropped in the first takes its request along; later, the request is carried out unheard.
pub(crate) struct Writer<S> {
    queue: mpsc::Sender<Box<dyn Job<S>>>,
}

impl<S: Session> Writer<S> {
    /// Starts the thread on a connection that is open.
    ///
    /// # Errors
    /// `Transient` if the system gives no thread.
    pub(crate) fn spawn(place: Arc<Place>, link: Link, session: S) -> Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE);
        let desk = Desk {
            place,
            link: Some(link),
            former: None,
            session,
        };
        thread::Builder::new()
            .name("gleaner-sqlite-writer".to_owned())
            .spawn(move || desk.serve(requests))
            .map_err(|error| {
                Error::transient(BACKEND, "cannot start the writer's thread").caused_by(error)
            })?;
        Ok(Self { queue })
    }

    /// Has work done inside a transaction; answers after its commit. `work` may run several times
    /// and only the last counts.
    pub(crate) async fn call<T, F>(&self, weight: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut S, &Connection) -> Result<T, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call {
            weight,
            work,
            done: None,
            reply,
        };
        if self.queue.send(Box::new(call)).await.is_err() {
            return Err(Error::transient(BACKEND, "the writer's thread has ended"));
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Error::unknown(BACKEND, "the writer's thread has ended")))
    }
}

/// Why a transaction is not known to have happened.
enum Failure {
    /// It was rolled back.
    Aborted(Fault),
    /// As that, because a request panicked.
    Panicked,
    /// It may have happened.
    Doubtful(Error),
}

impl Failure {
    /// Whether the connection is as good as before. After a doubt, a panic or an error of SQLite it is
    /// not trusted, and dropping it rolls back: one that was made while its files could not be written
    /// would go on to fail when they can be.
    fn spares_the_connection(&self) -> bool {
        match self {
            Self::Aborted(fault) => fault.is_busy() || matches!(fault, Fault::Refused(_)),
            Self::Panicked | Self::Doubtful(_) => false,
        }
    }
}

/// The thread's side.
struct Desk<S> {
    place: Arc<Place>,
    link: Option<Link>,
    former: Option<Former>,
    session: S,
}

/// The file of a connection that is not used any more, until there is a new one: what is known of its
/// rows holds for the new one if it is of the same file.
struct Former {
    file: FileId,
    /// Held open where it holds no lock: meanwhile no other file gets the same inode.
    _held: Option<Connection>,
}

impl Former {
    fn of(link: Link, hold: bool) -> Self {
        Self {
            file: link.file,
            _held: hold.then_some(link.conn),
        }
    }
}

type Jobs<S> = Vec<Box<dyn Job<S>>>;

impl<S: Session> Desk<S> {
    fn serve(mut self, mut requests: mpsc::Receiver<Box<dyn Job<S>>>) {
        while let Some(first) = requests.blocking_recv() {
            let mut weight = first.weight();
            let mut group = vec![first];
            while group.len() < GROUP_REQUESTS && weight < GROUP_BYTES {
                let Ok(next) = requests.try_recv() else { break };
                weight = weight.saturating_add(next.weight());
                group.push(next);
            }
            self.settle(group);
        }
    }

    /// Carries out a group and answers each of it. If a group fails, each is tried alone, so that one
    /// that cannot be carried out does not take the others down.
    fn settle(&mut self, mut group: Jobs<S>) {
        let outcome = match self.patiently(&mut group) {
            Ok(()) => Ok(()),
            Err(Failure::Doubtful(error)) => Err(error),
            // The file is held by others, whoever asks: each alone would wait as long again.
            Err(Failure::Aborted(fault)) if fault.is_busy() => {
                Err(fault.into_error(&self.place.path, "write to"))
            }
            Err(_) if group.len() > 1 => {
                for job in group {
                    self.settle(vec![job]);
                }
                return;
            }
            Err(Failure::Aborted(fault)) => Err(fault.into_error(&self.place.path, "write to")),
            Err(Failure::Panicked) => Err(Error::permanent(BACKEND, "the request panicked")),
        };
        for job in group {
            job.answer(outcome.clone());
        }
    }

    /// Tries again while other processes hold the file.
    fn patiently(&mut self, group: &mut Jobs<S>) -> Result<(), Failure> {
        let mut patience = Patience::new(self.place.busy);
        loop {
            match self.transact(group) {
                Err(Failure::Aborted(fault)) if fault.is_busy() && patience.wait() => {}
                outcome => return outcome,
            }
        }
    }

    /// One transaction. Whatever fails before the commit leaves nothing behind.
    fn transact(&mut self, group: &mut Jobs<S>) -> Result<(), Failure> {
        let link = self
            .current()
            .map_err(|error| Failure::Aborted(error.into()))?;
        let ran = catch_unwind(AssertUnwindSafe(|| {
            run(&self.place, &link, &mut self.session, group)
        }));
        let failure = match ran {
            Ok(Ok(())) => match commit(&self.place, &link) {
                Ok(()) => {
                    self.session.committed();
                    self.link = Some(link);
                    return Ok(());
                }
                Err(failure) => failure,
            },
            Ok(Err(fault)) => Failure::Aborted(fault),
            Err(_) => Failure::Panicked,
        };
        let rolled_back = link.conn.is_autocommit() || link.conn.execute_batch("ROLLBACK").is_ok();
        if rolled_back && failure.spares_the_connection() {
            self.link = Some(link);
        } else {
            self.former = Some(Former::of(link, rolled_back));
        }
        Err(failure)
    }

    /// The connection to the file that lies at the path now.
    fn current(&mut self) -> Result<Link> {
        if let Some(link) = self.link.take() {
            let current = self.place.is_current(link.file);
            if matches!(current, Ok(true)) {
                return Ok(link);
            }
            self.former = Some(Former::of(link, true));
            current?;
        }
        let link = self.place.connect(Role::Write)?;
        if let Some(former) = self.former.take()
            && former.file != link.file
        {
            self.session.replaced();
        }
        Ok(link)
    }
}

fn run<S: Session>(
    place: &Place,
    link: &Link,
    session: &mut S,
    group: &mut Jobs<S>,
) -> Result<(), Fault> {
    link.conn.prepare_cached("BEGIN IMMEDIATE")?.execute(())?;
    place.check_version(&link.conn)?;
    session.begin(&link.conn, link.file)?;
    for job in group {
        job.run(session, &link.conn)?;
    }
    session.finish(&link.conn)
}

/// Commits, and makes sure that what was written lies where everybody looks for it.
fn commit(place: &Place, link: &Link) -> Result<(), Failure> {
    if let Err(error) = link
        .conn
        .prepare_cached("COMMIT")
        .and_then(|mut commit| commit.execute(()))
    {
        let fault = Fault::Sqlite(error);
        // Refused for a lock, the transaction is still open and will be rolled back. Any other
        // failure may have left a whole commit in the WAL for a later recovery to find.
        if fault.is_busy() && !link.conn.is_autocommit() {
            return Err(Failure::Aborted(fault));
        }
        let message = format!("the commit to {} failed", place.path.display());
        let error = match fault {
            Fault::Sqlite(cause) => {
                Error::unknown(BACKEND, format!("{message}: {cause}")).caused_by(cause)
            }
            Fault::Refused(error) => error,
        };
        return Err(Failure::Doubtful(error));
    }
    match place.is_current(link.file) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Failure::Doubtful(Error::unknown(
            BACKEND,
            format!("{} was replaced during a commit", place.path.display()),
        ))),
    }
}

#[cfg(test)]
mod tests;
