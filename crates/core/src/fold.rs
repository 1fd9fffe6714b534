//! [`Fold`]: how a Delta changes a state.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use crate::{Entry, GrainId, Schema};

/// The user's rule for Deltas: given a grain's state and an entry, the state after it.
///
/// It must be a function of its arguments alone: every replica folds for itself and all must end
/// equal. It is called with the store's locks or transaction held, so it does no I/O.
pub trait Fold: Send + Sync + 'static {
    /// The state after `delta`.
    ///
    /// # Contract
    /// Deterministic; called only for an entry of kind Delta that fits (same epoch, number one
    /// higher, `prev` equal to the state's digest).
    ///
    /// # Errors
    /// [`FoldError`] if the delta makes no sense for this state; a panic is caught and counts as
    /// one. The grain is re-built from its base, and quarantined if that fails too; its last good
    /// state goes on being served.
    fn fold(&self, grain: &GrainId, state: &[u8], delta: &Entry) -> Result<Bytes, FoldError>;

    /// The newest schema it understands. An entry of any kind with a newer one is not applied, and
    /// the grain is quarantined until this process is upgraded or skips it. Default: all.
    fn newest_schema(&self) -> Schema {
        Schema::MAX
    }
}

/// Why a delta could not be folded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FoldError(String);

impl FoldError {
    /// A reason, in lower case.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// Calls a fold with its panic caught (S7).
pub(crate) fn fold_caught(
    fold: &dyn Fold,
    grain: &GrainId,
    state: &[u8],
    delta: &Entry,
) -> Result<Bytes, FoldError> {
    caught(|| fold.fold(grain, state, delta)).and_then(|folded| folded)
}

/// Asks a fold for its newest schema with its panic caught (S7).
pub(crate) fn newest_schema_caught(fold: &dyn Fold) -> Result<Schema, FoldError> {
    caught(|| fold.newest_schema())
}

fn caught<T>(call: impl FnOnce() -> T) -> Result<T, FoldError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let said = panic
            .downcast_ref::<&str>()
            .map(|said| (*said).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        FoldError(format!("the fold panicked: {said}"))
    })
}
