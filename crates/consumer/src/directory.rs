//! [`Directory`]: where each followed grain's cell is.

use std::hash::BuildHasher;
use std::sync::{Arc, LazyLock};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use gleaner_core::GrainId;
use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard};

use crate::cell::{FeedNumber, GrainCell};

/// The followed grains of one follower: from id to number, and from number to cell.
///
/// A number is `row * stripes + stripe`, where the stripe is that of the id's hash; a number stays a
/// grain's until it is unfollowed, and is then given to another. Within a stripe a table of 32-bit rows
/// leads from hash to row, and ids and cells stand in rows: 13 to 19 bytes a grain beside the cell, most
/// of it the pointer to the id.
///
/// # Concurrency
/// A lock for each stripe. One shard of the driver owns a stripe and alone changes it; readers hold the
/// lock for the look-up, and for a read of the store that is in memory ([`Self::with`]). Cells are
/// written and read without the lock; a chunk of them lives for as long as somebody holds it.
pub(crate) struct Directory {
    hasher: SeedableRandomState,
    stripes: Box<[RwLock<Stripe>]>,
}

/// Cells that are made together.
pub(crate) type Chunk = [GrainCell; CHUNK];

/// Their grains' ids.
type Ids = [Option<GrainId>; CHUNK];

/// How many cells are made together: few enough for a follower of a few grains, enough that what a
/// chunk costs beside them is about a byte a cell.
pub(crate) const CHUNK: usize = 64;

#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "a run of ids that grows by moving leaves holes behind"
)]
struct Stripe {
    rows: HashTable<u32>,
    ids: Vec<Box<Ids>>,
    chunks: Vec<Arc<Chunk>>,
    free: Vec<u32>,
    /// How many rows there are, free ones included.
    grown: u32,
}

/// One grain's cell, held apart from the directory.
#[derive(Debug, Clone)]
pub(crate) struct CellRef {
    chunk: Arc<Chunk>,
    at: usize,
    /// Which tenant of the cell the grain is.
    pub(crate) tenant: u32,
}

impl CellRef {
    /// The cell of a grain that is not followed.
    pub(crate) fn retired() -> Self {
        static RETIRED: LazyLock<Arc<Chunk>> = LazyLock::new(new_chunk);
        Self {
            chunk: RETIRED.clone(),
            at: 0,
            tenant: 0,
        }
    }

    /// The cell. A place is within its chunk.
    pub(crate) fn cell(&self) -> Option<&GrainCell> {
        self.beside(self.at)
    }

    /// Another cell of the same chunk.
    pub(crate) fn beside(&self, at: usize) -> Option<&GrainCell> {
        self.chunk.get(at)
    }
}

fn new_chunk() -> Arc<Chunk> {
    Arc::new(std::array::from_fn(|_| GrainCell::vacant()))
}

impl Directory {
    /// With a seed, a grain's stripe is the same in every run; without, nobody can tell beforehand which
    /// grains share one.
    pub(crate) fn new(stripes: usize, seed: Option<u32>) -> Self {
        let hasher = match seed {
            Some(seed) => {
                SeedableRandomState::with_seed(u64::from(seed), SharedSeed::global_fixed())
            }
            None => SeedableRandomState::random(),
        };
        Self {
            hasher,
            stripes: (0..stripes.max(1)).map(|_| RwLock::default()).collect(),
        }
    }

    pub(crate) fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// How many grains are followed.
    pub(crate) fn len(&self) -> usize {
        self.stripes.iter().map(|it| it.read().rows.len()).sum()
    }

    /// The stripe of a grain, followed or not.
    pub(crate) fn stripe_of(&self, grain: &GrainId) -> usize {
        self.stripe(self.hasher.hash_one(grain))
    }

    /// A grain's number.
    pub(crate) fn number(&self, grain: &GrainId) -> Option<u32> {
        let (at, _, row) = self.look_up(grain)?;
        self.numbered(row, at)
    }

    /// A grain's cell, to be kept.
    pub(crate) fn find(&self, grain: &GrainId) -> Option<CellRef> {
        let (_, stripe, row) = self.look_up(grain)?;
        let (chunk, at) = stripe.place(row)?;
        let tenant = chunk.get(at)?.tenant();
        Some(CellRef {
            chunk: chunk.clone(),
            at,
            tenant,
        })
    }

    /// Looks at a grain's cell, under the stripe's lock: spares the count that keeping the cell costs.
    pub(crate) fn with<T>(&self, grain: &GrainId, look: impl FnOnce(&GrainCell) -> T) -> Option<T> {
        let (_, stripe, row) = self.look_up(grain)?;
        let (chunk, at) = stripe.place(row)?;
        chunk.get(at).map(look)
    }

    /// A grain's stripe, that stripe locked for reading, and the grain's row in it.
    fn look_up(&self, grain: &GrainId) -> Option<(usize, RwLockReadGuard<'_, Stripe>, u32)> {
        let hash = self.hasher.hash_one(grain);
        let at = self.stripe(hash);
        let stripe = self.stripes.get(at)?.read();
        let row = stripe.find(hash, grain)?;
        Some((at, stripe, row))
    }

    /// The grain that has a number.
    pub(crate) fn grain_of(&self, number: u32) -> Option<GrainId> {
        let stripes = u32::try_from(self.stripes.len()).ok()?;
        let stripe = self.stripes.get(index(number % stripes))?.read();
        id(&stripe.ids, number / stripes).cloned()
    }

    /// The cells of a stripe by row, in use or not.
    pub(crate) fn chunks(&self, stripe: usize) -> Vec<Arc<Chunk>> {
        let stripe = self.stripes.get(stripe);
        stripe.map_or_else(Vec::new, |stripe| stripe.read().chunks.clone())
    }

    /// The grain in a row and its cell, if it is this tenant still.
    pub(crate) fn grain(
        &self,
        stripe: usize,
        row: usize,
        tenant: u32,
    ) -> Option<(GrainId, CellRef)> {
        let stripe = self.stripes.get(stripe)?.read();
        let (chunk, at) = (stripe.chunks.get(row / CHUNK)?.clone(), row % CHUNK);
        if chunk.get(at)?.tenant() != tenant {
            return None;
        }
        let grain = stripe.ids.get(row / CHUNK)?.get(at)?.clone()?;
        Some((grain, CellRef { chunk, at, tenant }))
    }

    /// Gives a grain a number and a cell: its owner's alone. None beyond 2^32 grains.
    pub(crate) fn register(
        &self,
        grain: &GrainId,
        feed: Option<FeedNumber>,
    ) -> Option<(u32, CellRef)> {
        let hash = self.hasher.hash_one(grain);
        let at = self.stripe(hash);
        let mut stripe = self.stripes.get(at)?.write();
        let stripe = &mut *stripe;
        let row = match stripe.free.pop() {
            Some(row) => row,
            None => stripe.grow()?,
        };
        let number = self.numbered(row, at)?;
        *stripe.id_mut(row)? = Some(grain.clone());
        let ids = &stripe.ids;
        let rehash = |row: &u32| id(ids, *row).map_or(0, |id| self.hasher.hash_one(id));
        stripe.rows.insert_unique(hash, row, rehash);
        let (chunk, at) = stripe.place(row)?;
        let tenant = chunk.get(at)?.open(feed);
        let cell = CellRef {
            chunk: chunk.clone(),
            at,
            tenant,
        };
        Some((number, cell))
    }

    /// Takes a grain's number back: its owner's alone.
    pub(crate) fn unregister(&self, grain: &GrainId) {
        let hash = self.hasher.hash_one(grain);
        let Some(stripe) = self.stripes.get(self.stripe(hash)) else {
            return;
        };
        let mut stripe = stripe.write();
        let Some(row) = stripe.find(hash, grain) else {
            return;
        };
        if let Some(cell) = stripe.place(row).and_then(|(chunk, at)| chunk.get(at)) {
            cell.retire();
        }
        let Ok(found) = stripe.rows.find_entry(hash, |other| *other == row) else {
            return;
        };
        found.remove();
        if let Some(id) = stripe.id_mut(row) {
            *id = None;
        }
        stripe.free.push(row);
    }

    fn stripe(&self, hash: u64) -> usize {
        // Other bits than those that the table goes by.
        let stripes = self.stripes.len() as u64;
        usize::try_from((hash >> 24) % stripes).unwrap_or_default()
    }

    fn numbered(&self, row: u32, stripe: usize) -> Option<u32> {
        let number = u64::from(row) * self.stripes.len() as u64 + stripe as u64;
        u32::try_from(number).ok()
    }
}

impl Stripe {
    fn find(&self, hash: u64, grain: &GrainId) -> Option<u32> {
        let is = |row: &u32| id(&self.ids, *row) == Some(grain);
        self.rows.find(hash, is).copied()
    }

    fn id_mut(&mut self, row: u32) -> Option<&mut Option<GrainId>> {
        let ids = self.ids.get_mut(index(row) / CHUNK)?;
        ids.get_mut(index(row) % CHUNK)
    }

    fn place(&self, row: u32) -> Option<(&Arc<Chunk>, usize)> {
        let chunk = self.chunks.get(index(row) / CHUNK)?;
        Some((chunk, index(row) % CHUNK))
    }

    /// A row more. Ids and cells come in chunks that stay where they are: to grow one run of a million
    /// by moving it would leave megabytes behind.
    fn grow(&mut self) -> Option<u32> {
        let row = self.grown;
        self.grown = row.checked_add(1)?;
        if index(row).is_multiple_of(CHUNK) {
            self.ids.push(Box::new([const { None }; CHUNK]));
            self.chunks.push(new_chunk());
        }
        Some(row)
    }
}

fn id(ids: &[Box<Ids>], row: u32) -> Option<&GrainId> {
    let ids = ids.get(index(row) / CHUNK)?;
    ids.get(index(row) % CHUNK)?.as_ref()
}

/// A row as an index. `usize` has 32 bits or more wherever the standard library's maps run.
pub(crate) fn index(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grain(key: u32) -> GrainId {
        GrainId::new("plane", key.to_string()).unwrap()
    }

    #[test]
    fn numbers_lead_to_cells_and_are_given_out_again() {
        for stripes in [1, 7, 64] {
            let directory = Directory::new(stripes, Some(1));
            let mut numbers: Vec<u32> = (0..5_000)
                .map(|key| directory.register(&grain(key), Some(3)).unwrap().0)
                .collect();
            assert_eq!(directory.len(), 5_000);
            for (key, number) in (0..).zip(&numbers) {
                assert_eq!(directory.number(&grain(key)), Some(*number));
                let stripe = directory.stripe_of(&grain(key));
                assert_eq!(index(*number) % stripes, stripe);
            }
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), 5_000);
            let held = directory.find(&grain(17)).unwrap();
            directory.unregister(&grain(17));
            assert!(directory.number(&grain(17)).is_none());
            let standing = held.cell().unwrap().standing(None, held.tenant);
            assert!(standing.gone);
            // Its number becomes another's: the handle still knows that it is not its grain's.
            let number = (5_000..10_000)
                .find_map(|key| {
                    directory.register(&grain(key), None).unwrap();
                    let other = directory.find(&grain(key)).unwrap();
                    (Arc::ptr_eq(&other.chunk, &held.chunk) && other.at == held.at).then_some(other)
                })
                .unwrap();
            assert!(!number.cell().unwrap().standing(None, number.tenant).gone);
            assert!(held.cell().unwrap().standing(None, held.tenant).gone);
        }
    }

    #[test]
    fn a_retired_cell_is_gone() {
        let cell = CellRef::retired();
        assert!(cell.cell().unwrap().standing(None, cell.tenant).gone);
    }
}
