//! The tests of clauses L1 to L12, a file a clause or two.

mod append;
mod batch;
mod catch_up;
mod claim;
mod durable;
mod fence;
mod fidelity;
mod fresh;
mod limits;
mod listing;
mod numbers;
mod read;
mod truncate;

pub(crate) use append::*;
pub(crate) use batch::*;
pub(crate) use catch_up::*;
pub(crate) use claim::*;
pub(crate) use durable::*;
pub(crate) use fence::*;
pub(crate) use fidelity::*;
pub(crate) use fresh::*;
pub(crate) use limits::*;
pub(crate) use listing::*;
pub(crate) use numbers::*;
pub(crate) use read::*;
pub(crate) use truncate::*;
