//! Seeded worlds on virtual time: real publishers, followers and actors over the memory backend, with
//! everything going wrong that may, and invariants that are told all of it.
//!
//! [`run`] runs the world of a seed to its end and says what did not hold; the same seed gives the same
//! world to the byte. A world owns its log, stores, clocks and faults; what may go wrong and what must
//! hold then stands in `docs/testing.md`. It knows nothing of how the product does its work: it sees
//! calls, answers and what stores hold.

mod disaster;
mod invariants;
mod log;
mod primary;
mod process;
mod pushes;
mod rng;
mod run;
mod secondary;
mod seen;
mod shape;
mod shrink;
mod states;
mod store;
mod trace;
mod truth;
mod wire;
mod world;

#[cfg(gleaner_plant)]
pub use gleaner::plant::Plant;
pub use run::run;
pub use shrink::{Shortened, shorten};
pub use world::{Counts, Ending, Mask, Violation};
