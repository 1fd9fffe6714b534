//! [`Folding`]: what a grain of Deltas keeps, so that it can always give its whole state (P6).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use gleaner_core::{Entry, Fold, FoldError, GrainId};

/// How a grain of Deltas is opened.
#[derive(Clone)]
#[must_use]
pub struct DeltaOptions {
    pub(crate) fold: Arc<dyn Fold>,
    pub(crate) initial: Bytes,
    pub(crate) full_every: u64,
}

impl DeltaOptions {
    /// 64: a replica that is behind folds at most as many, and a log can be compacted as often.
    pub const DEFAULT_FULL_EVERY: u64 = 64;

    /// A fold, and the state that the first delta changes: what the grain holds now.
    pub fn new(fold: Arc<dyn Fold>, initial: impl Into<Bytes>) -> Self {
        Self {
            fold,
            initial: initial.into(),
            full_every: Self::DEFAULT_FULL_EVERY,
        }
    }

    /// After how many deltas the next one is written as the whole state that it leads to; at least
    /// one.
    pub const fn full_every(mut self, deltas: u64) -> Self {
        self.full_every = if deltas == 0 { 1 } else { deltas };
        self
    }
}

impl std::fmt::Debug for DeltaOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaOptions")
            .field("initial", &self.initial.len())
            .field("full_every", &self.full_every)
            .finish_non_exhaustive()
    }
}

/// A grain's current state and the fold that moves it.
pub(crate) struct Folding {
    fold: Arc<dyn Fold>,
    /// None once the grain is deleted.
    pub(crate) state: Option<Bytes>,
    /// Deltas numbered since the last whole state.
    pub(crate) since_full: u64,
    pub(crate) full_every: u64,
}

impl Folding {
    pub(crate) fn new(options: DeltaOptions) -> Self {
        Self {
            fold: options.fold,
            state: Some(options.initial),
            since_full: 0,
            full_every: options.full_every,
        }
    }

    /// The state after `delta`. A panic of the fold is an error like any other: it must not take the
    /// publisher along.
    pub(crate) fn after(&self, grain: &GrainId, delta: &Entry) -> Result<Bytes, FoldError> {
        let Some(state) = &self.state else {
            return Err(FoldError::new(
                "the grain is deleted; only a whole state brings it back",
            ));
        };
        catch_unwind(AssertUnwindSafe(|| self.fold.fold(grain, state, delta)))
            .unwrap_or_else(|_| Err(FoldError::new("the fold panicked")))
    }
}
