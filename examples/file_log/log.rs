//! [`FileLog`]: a replication log in one plain file.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gleaner::append::{by_grain, check_batch};
use gleaner::{
    Appended, Budget, Claim, Cursor, Entry, Error, Filter, GrainId, Head, HeadPage, Identity,
    Limits, LogId, Page, ReplicationLog, Result, Truncation,
};
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::frames::{Record, records};
use crate::grain::Grain;
use crate::journal::Journal;

/// The name that errors carry.
pub(crate) const BACKEND: &str = "file";

/// How many grains a page of a listing looks at: it may end before there are as many heads as asked
/// for, and everyone else waits while it looks.
const SCAN: usize = 4096;

/// Small: a truncation writes the whole log anew, and all of it is in memory.
pub(crate) fn limits() -> Limits {
    Limits::default()
        .with_max_payload(1 << 20)
        .with_max_batch_entries(1024)
        .with_max_batch_bytes(4 << 20)
}

/// A log in a folder of one's own, for one process at a time.
///
/// # Concurrency
/// All of it stands behind one lock, held through a call's writing and syncing: a reader never sees
/// what a power loss could take back, and appends are atomic. Calls run on threads that may block.
/// If the disk fails a call, what is in memory is worth nothing any more; the next call reads the
/// file again before it does anything else.
#[derive(Clone)]
pub(crate) struct FileLog<D: Disk> {
    state: Arc<Mutex<State<D>>>,
}

struct State<D: Disk> {
    journal: Journal<D>,
    /// What the journal says, and of no meaning while that is unsure.
    identity: Identity,
    grains: BTreeMap<GrainId, Grain>,
}

impl<D: Disk> FileLog<D> {
    /// Opens the log of a folder, or creates it: both end with a file that is durable as a whole.
    ///
    /// # Errors
    /// `Transient` if another process has it open, or the disk fails; `Permanent` if the file is
    /// damaged or none of ours.
    pub(crate) async fn open(disk: D) -> Result<Self> {
        let log = tokio::task::spawn_blocking(move || {
            let journal = Journal::open(disk)
                .map_err(|error| transient("the folder cannot be taken", error))?;
            let state = State {
                journal,
                identity: Identity::new(LogId::new(draw()), draw()),
                grains: BTreeMap::new(),
            };
            Ok(Self {
                state: Arc::new(Mutex::new(state)),
            })
        });
        let log = log.await.unwrap_or_else(cut_short)?;
        log.call(|_| Ok(())).await?;
        Ok(log)
    }

    /// Does something with the state on a thread that may block, once the state is sure.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State<D>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let state = Arc::clone(&self.state);
        let called = tokio::task::spawn_blocking(move || {
            let mut state = state.lock();
            if !state.journal.is_sure() {
                state.load()?;
            }
            work(&mut state)
        });
        called.await.unwrap_or_else(cut_short)
    }
}

impl<D: Disk> State<D> {
    /// Reads the file, and puts a durable one in its place: what a killed process has written may
    /// not be durable, and what a full disk has torn must not stand before other frames.
    fn load(&mut self) -> Result<()> {
        let file = self.journal.read();
        let file = file.map_err(|error| transient("the file cannot be read", error))?;
        self.grains.clear();
        let mut name = None;
        if let Some(file) = file {
            let records = records(&file).map_err(|why| Error::permanent(BACKEND, why))?;
            for record in records {
                match record {
                    Record::Log(found) => name = Some(found),
                    Record::Fence(id, fence) => self.grain(&id).put_fence(fence),
                    Record::Floor(id, floor) => self.grain(&id).put_floor(floor),
                    Record::Entry(entry) => self.grain(entry.grain()).put(&entry),
                }
            }
            // The first file was whole before it got its name: this one is not ours.
            if name.is_none() {
                return Err(Error::permanent(
                    BACKEND,
                    "the file is not a log of this version",
                ));
            }
        }
        // It cannot be seen whether the file was copied back from elsewhere: each load is a history
        // of its own (L11).
        self.identity = Identity::new(LogId::new(name.unwrap_or_else(draw)), draw());
        self.replace()
            .map_err(|error| transient("the file cannot be replaced", error))
    }

    fn replace(&mut self) -> io::Result<()> {
        let mut records = vec![Record::Log(Bytes::copy_from_slice(
            self.identity.log.as_bytes(),
        ))];
        for (id, grain) in &self.grains {
            grain.records(id, &mut records);
        }
        self.journal.replace(&records)
    }

    fn write(&mut self, records: &[Record]) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.journal.append(records).map_err(unknown)
    }

    fn grain(&mut self, id: &GrainId) -> &mut Grain {
        self.grains.entry(id.clone()).or_default()
    }
}

#[async_trait]
impl<D: Disk> ReplicationLog for FileLog<D> {
    async fn append_batch(&self, entries: &[Entry]) -> Result<Vec<Appended>> {
        check_batch(entries, &limits(), BACKEND)?;
        let entries = entries.to_vec();
        self.call(move |state| {
            let mut written = Vec::new();
            let answers = by_grain(&entries)
                .into_iter()
                .map(|(id, entries)| state.grain(id).append(id, &entries, &mut written))
                .collect();
            state.write(&written)?;
            Ok(answers)
        })
        .await
    }

    async fn claim(&self, claims: &[Claim]) -> Result<Vec<Result<Option<Head>>>> {
        let claims = claims.to_vec();
        self.call(move |state| {
            let mut written = Vec::new();
            let answers = claims
                .iter()
                .map(|claim| state.grain(&claim.grain).claim(claim, &mut written))
                .collect();
            state.write(&written)?;
            Ok(answers)
        })
        .await
    }

    async fn heads(&self, grains: &[GrainId]) -> Result<Vec<Option<Head>>> {
        let grains = grains.to_vec();
        self.call(move |state| {
            let head = |id| state.grains.get(id).and_then(|grain| grain.head);
            Ok(grains.iter().map(head).collect())
        })
        .await
    }

    async fn list_heads(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<HeadPage> {
        let (filter, after) = (filter.clone(), after.cloned());
        self.call(move |state| {
            let mut page = HeadPage {
                identity: state.identity.clone(),
                heads: Vec::new(),
                next: None,
            };
            let Some(first) = filter.first() else {
                return Ok(page);
            };
            let from = match &after {
                Some(after) if *after >= first => Bound::Excluded(after),
                _ => Bound::Included(&first),
            };
            let range = state.grains.range::<GrainId, _>((from, Bound::Unbounded));
            let within = range.take_while(|(id, _)| !filter.is_past(id));
            let mut last: Option<&GrainId> = None;
            for (looked_at, (id, grain)) in within.enumerate() {
                let head = grain.head.filter(|_| filter.includes(id));
                let full = page.heads.len() == limit.max(1);
                if looked_at == SCAN || (full && head.is_some()) {
                    page.next = last.cloned();
                    break;
                }
                page.heads.extend(head.map(|head| (id.clone(), head)));
                last = Some(id);
            }
            Ok(page)
        })
        .await
    }

    async fn read_from(&self, grain: &GrainId, after: Cursor, budget: Budget) -> Result<Page> {
        let id = grain.clone();
        self.call(move |state| match state.grains.get(&id) {
            Some(grain) => grain.read_from(&id, after, budget),
            None => Ok(Page::default()),
        })
        .await
    }

    async fn truncate(&self, grain: &GrainId, before: Cursor) -> Result<Truncation> {
        let id = grain.clone();
        self.call(move |state| {
            let done = state.grain(&id).truncate(before);
            if done.removed > 0 {
                state.replace().map_err(unknown)?;
            }
            Ok(done)
        })
        .await
    }

    fn limits(&self) -> Limits {
        limits()
    }

    async fn identity(&self) -> Result<Identity> {
        self.call(|state| Ok(state.identity.clone())).await
    }

    fn confirms(&self) -> bool {
        true
    }
}

/// Sixteen bytes that need only differ: from the seeds of std's hash maps.
fn draw() -> Bytes {
    let word = |()| RandomState::new().build_hasher().finish().to_le_bytes();
    [(), ()].map(word).concat().into()
}

fn transient(what: &str, error: io::Error) -> Error {
    Error::transient(BACKEND, what).caused_by(error)
}

fn unknown(error: io::Error) -> Error {
    Error::unknown(BACKEND, "the disk has failed in the midst of a write").caused_by(error)
}

fn cut_short<T>(gone: tokio::task::JoinError) -> Result<T> {
    Err(Error::unknown(BACKEND, "the call was cut short").caused_by(gone))
}
