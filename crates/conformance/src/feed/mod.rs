//! The tests of clauses F1 to F5.

mod filters;
mod names;
mod pages;
mod positions;
mod pushes;
mod reader;
mod waits;

pub(crate) use filters::*;
pub(crate) use names::*;
pub(crate) use pages::*;
pub(crate) use positions::*;
pub(crate) use pushes::*;
pub(crate) use waits::*;
