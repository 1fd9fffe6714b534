//! [`SimStore`]: a replica store as one follower's process sees it.

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use gleaner::memory::MemoryReplicaStore;
use gleaner::{
    Advance, Binding, Error, Expected, Filter, Generation, GrainId, LogId, Mark, Outcome, Rebase,
    Replica, ReplicaHandle, ReplicaPage, ReplicaStore, Result,
};

use super::process::Process;
use super::seen::{Change, Seen};
use super::wire::{call, done};
use super::world::World;

/// A store that outlives the processes over it, and tells the invariants of each change.
pub(crate) struct SimStore {
    world: Arc<World>,
    process: Arc<Process>,
    follower: u64,
    store: MemoryReplicaStore,
}

impl SimStore {
    pub(crate) fn new(
        world: Arc<World>,
        process: Arc<Process>,
        follower: u64,
        store: MemoryReplicaStore,
    ) -> Self {
        Self {
            world,
            process,
            follower,
            store,
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        what: &str,
        writes: bool,
        exec: impl FnMut() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        call(&self.world, &self.process, what, writes, exec).await
    }
}

fn gone() -> Error {
    Error::unknown("simulation", "the process is gone")
}

/// Says how a grain's replica changed.
struct Watched {
    world: Arc<World>,
    follower: u64,
    store: MemoryReplicaStore,
}

impl Watched {
    fn during<T>(
        &self,
        grains: &[(GrainId, Option<Generation>)],
        by: Change,
        act: impl FnOnce() -> T,
    ) -> T {
        let before: Vec<_> = grains
            .iter()
            .map(|(grain, _)| self.store.peek(grain))
            .collect();
        let result = act();
        for ((grain, meant_for), before) in grains.iter().zip(before) {
            self.world.saw(&Seen::Stored {
                follower: self.follower,
                grain: grain.clone(),
                before,
                after: self.store.peek(grain),
                by,
                meant_for: *meant_for,
            });
        }
        result
    }
}

impl SimStore {
    fn watched(&self) -> Watched {
        Watched {
            world: self.world.clone(),
            follower: self.follower,
            store: self.store.clone(),
        }
    }
}

#[async_trait]
impl ReplicaStore for SimStore {
    async fn bind(&self, log: &LogId, replacing: Option<&LogId>) -> Result<Binding> {
        let (store, log, replacing) = (self.store.clone(), log.clone(), replacing.cloned());
        self.call("bind", true, move || {
            done(store.bind(&log, replacing.as_ref()))
        })
        .await
    }

    async fn apply(&self, log: &LogId, runs: Vec<Advance>) -> Result<Vec<Outcome>> {
        let (watched, log, process) = (self.watched(), log.clone(), self.process.clone());
        // What a dead process has sent may still land, and leads its replica on. Where the log loses
        // its tail, it may lead on to what is lost, and nobody learns of that before the grain moves:
        // in such worlds a store lives in its process.
        let embedded = self.world.shape.loses || self.world.shape.anew;
        self.call("apply", true, move || {
            if embedded && process.is_dead() {
                return Err(gone());
            }
            let grains: Vec<_> = runs
                .iter()
                .map(|run| (run.grain.clone(), Some(run.generation)))
                .collect();
            watched.during(&grains, Change::Apply, || {
                done(watched.store.apply(&log, runs.clone()))
            })
        })
        .await
    }

    async fn rebase(&self, log: &LogId, rebase: Rebase) -> Result<Outcome> {
        let (watched, log, process) = (self.watched(), log.clone(), self.process.clone());
        self.call("rebase", true, move || {
            // A store that a dead process can still set back is beyond what its successor can know.
            if process.is_dead() {
                return Err(gone());
            }
            watched.during(&[(rebase.grain.clone(), None)], Change::Rebase, || {
                done(watched.store.rebase(&log, rebase.clone()))
            })
        })
        .await
    }

    async fn remove(&self, grain: &GrainId, expected: Expected) -> Result<bool> {
        let (watched, grain) = (self.watched(), grain.clone());
        self.call("remove", true, move || {
            watched.during(&[(grain.clone(), None)], Change::Remove, || {
                done(watched.store.remove(&grain, expected))
            })
        })
        .await
    }

    async fn prune(&self, grains: &[GrainId]) -> Result<u64> {
        let (watched, grains) = (self.watched(), grains.to_vec());
        self.call("prune", true, move || {
            let named: Vec<_> = grains.iter().map(|grain| (grain.clone(), None)).collect();
            watched.during(&named, Change::Remove, || {
                done(watched.store.prune(&grains))
            })
        })
        .await
    }

    async fn get(&self, grain: &GrainId) -> Result<Option<Replica>> {
        let (store, grain) = (self.store.clone(), grain.clone());
        self.call("get", false, move || done(store.get(&grain)))
            .await
    }

    async fn cursor(&self, grains: &[GrainId]) -> Result<Vec<Mark>> {
        let (store, grains) = (self.store.clone(), grains.to_vec());
        self.call("cursor", false, move || done(store.cursor(&grains)))
            .await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&GrainId>,
        limit: usize,
    ) -> Result<ReplicaPage> {
        self.store
            .list(filter, after, limit)
            .now_or_never()
            .unwrap_or_else(|| Err(Error::transient("simulation", "not at once")))
    }

    fn is_resident(&self) -> bool {
        self.world.shape.resident
    }

    fn peek(&self, grain: &GrainId) -> Option<Replica> {
        self.world
            .shape
            .resident
            .then(|| self.store.peek(grain))
            .flatten()
    }

    fn handle(&self, grain: &GrainId) -> Option<ReplicaHandle> {
        self.world
            .shape
            .resident
            .then(|| self.store.handle(grain))
            .flatten()
    }
}
