//! The tests of clauses S1 to S9.

mod apply;
mod bench;
mod concurrent;
mod foreign;
mod generations;
mod ids;
mod named;
mod neighbours;
mod reopen;

pub(crate) use apply::*;
pub(crate) use concurrent::*;
pub(crate) use foreign::*;
pub(crate) use generations::*;
pub(crate) use ids::*;
pub(crate) use named::*;
pub(crate) use neighbours::*;
pub(crate) use reopen::*;
