//! Loom's locks and counts, and what stands on them in the model.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::PoisonError;

use gleaner_core::{GrainId, Replica};

pub(crate) use loom::sync::MutexGuard;
pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};

/// Loom's lock with the face of `parking_lot`'s.
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self(loom::sync::Mutex::new(T::default()))
    }
}

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `ReplicaSlot`: a store and a load are each one moment.
#[derive(Default)]
pub(crate) struct Pointer(Mutex<Option<Replica>>);

impl Pointer {
    pub(crate) fn load(&self) -> Option<Replica> {
        self.0.lock().clone()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_none()
    }

    pub(crate) fn store(&self, replica: Option<Replica>) {
        *self.0.lock() = replica;
    }
}

/// `DashMap` with one shard.
pub(crate) struct Map<V>(Mutex<BTreeMap<GrainId, V>>);

pub(crate) fn map<V>() -> Map<V> {
    Map(Mutex::default())
}

impl<V> Map<V> {
    pub(crate) fn get<'a>(&'a self, grain: &GrainId) -> Option<Ref<'a, V>> {
        let guard = self.0.lock();
        guard.contains_key(grain).then(|| Ref {
            guard,
            grain: grain.clone(),
        })
    }

    pub(crate) fn entry(&self, grain: GrainId) -> Entry<'_, V> {
        Entry {
            guard: self.0.lock(),
            grain,
            value: PhantomData,
        }
    }

    pub(crate) fn remove_if_mut(
        &self,
        grain: &GrainId,
        wanted: impl FnOnce(&GrainId, &mut V) -> bool,
    ) -> Option<(GrainId, V)> {
        let mut guard = self.0.lock();
        let gone = guard.get_mut(grain).is_some_and(|it| wanted(grain, it));
        gone.then(|| guard.remove_entry(grain)).flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// A value under the map's lock.
pub(crate) struct Ref<'a, V> {
    guard: MutexGuard<'a, BTreeMap<GrainId, V>>,
    grain: GrainId,
}

impl<V> Deref for Ref<'_, V> {
    type Target = V;

    fn deref(&self) -> &V {
        self.guard
            .get(&self.grain)
            .unwrap_or_else(|| unreachable!("it was there when the lock was taken"))
    }
}

pub(crate) struct Entry<'a, V> {
    guard: MutexGuard<'a, BTreeMap<GrainId, V>>,
    grain: GrainId,
    value: PhantomData<V>,
}

impl<'a, V> Entry<'a, V> {
    pub(crate) fn or_insert_with(mut self, made: impl FnOnce() -> V) -> Ref<'a, V> {
        self.guard.entry(self.grain.clone()).or_insert_with(made);
        Ref {
            guard: self.guard,
            grain: self.grain,
        }
    }
}
